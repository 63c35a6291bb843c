"""Templates as they are stored: the text of each by namespace and id, without revisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from penstock_server.store import upserts
from penstock_server.store.queries.conditions import (
    Condition,
    Paging,
    contains,
    in_namespace,
    sorted_page,
)
from penstock_server.store.schema import templates

SORTS = {"id": templates.c.id, "namespace": templates.c.namespace}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTemplate:
    """One template; `source` is the text as its author wrote it."""

    namespace: str
    id: str
    source: str
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFilter:
    """Which templates a list holds: of a namespace and those below, with a text in their name."""

    namespace: str | None = None
    text: str | None = None


def get(connection: Connection, namespace: str, template_id: str) -> StoredTemplate | None:
    """One template."""
    chosen = select(templates).where(
        templates.c.namespace == namespace, templates.c.id == template_id
    )
    row = connection.execute(chosen).mappings().one_or_none()
    return None if row is None else StoredTemplate(**row)


def put(connection: Connection, template: StoredTemplate) -> None:
    """Write a template, over the one of its name."""
    upserts.put(connection, templates, [upserts.values_of(template)])


def remove(connection: Connection, namespace: str, template_id: str) -> bool:
    """Delete a template; whether there was one."""
    gone = connection.execute(
        delete(templates).where(templates.c.namespace == namespace, templates.c.id == template_id)
    )
    return bool(gone.rowcount)


def of_namespace(connection: Connection, namespace: str) -> list[StoredTemplate]:
    """The templates of one namespace, by id."""
    chosen = select(templates).where(templates.c.namespace == namespace).order_by(templates.c.id)
    return [StoredTemplate(**row) for row in connection.execute(chosen).mappings()]


def matching(connection: Connection, wanted: TemplateFilter) -> list[StoredTemplate]:
    """All templates that a filter finds, by name."""
    chosen = select(templates).where(*_conditions(wanted))
    ordered = chosen.order_by(templates.c.namespace, templates.c.id)
    return [StoredTemplate(**row) for row in connection.execute(ordered).mappings()]


def page(
    connection: Connection, wanted: TemplateFilter, paging: Paging
) -> tuple[list[StoredTemplate], int]:
    """One page of what a filter finds, and how many there are."""
    conditions = _conditions(wanted)
    total = connection.scalar(select(func.count()).select_from(templates).where(*conditions))
    chosen = sorted_page(
        select(templates).where(*conditions), paging, SORTS, templates.c.namespace, templates.c.id
    )
    return [StoredTemplate(**row) for row in connection.execute(chosen).mappings()], total or 0


def namespaces(connection: Connection) -> list[str]:
    """Namespaces that have templates."""
    distinct = select(templates.c.namespace).distinct().order_by(templates.c.namespace)
    return list(connection.scalars(distinct))


def _conditions(wanted: TemplateFilter) -> list[Condition]:
    found = list(in_namespace(templates.c.namespace, wanted.namespace, exact=False))
    if wanted.text:
        found.append(contains(wanted.text, templates.c.namespace, templates.c.id))
    return found
