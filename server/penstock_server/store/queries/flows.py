"""Flows and their revisions: one, a page, names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    func,
    select,
    type_coerce,
)

from penstock_runner.executor.store import StoredFlow
from penstock_server.store import bodies
from penstock_server.store.queries.conditions import (
    Condition,
    Paging,
    contains,
    in_namespace,
    in_scope,
    sorted_page,
)
from penstock_server.store.schema import (
    flow_revisions,
    flows,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFilter:
    """Which flows; deleted ones never."""

    text: str | None = None
    scopes: Collection[str] = ()
    namespace: str | None = None
    labels: Sequence[tuple[str, str]] = ()
    exact_namespace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRecord:
    """A stored revision with what is known of the flow as a whole.

    `stored.disabled` is what counts: a person's override goes before the text. `gone` is whether
    the flow is deleted, whatever the revision.
    """

    stored: StoredFlow
    updated_at: datetime
    managed_by: str | None = None
    drifted: bool = False
    latest: int = 0
    gone: bool = False
    held: Mapping[str, Any] | None = None


_FLOW_SORTS: Mapping[str, ColumnElement[Any]] = {
    "id": flows.c.id,
    "namespace": flows.c.namespace,
    "revision": flows.c.revision,
    "description": flows.c.description,
    "updated": flows.c.updated_at,
}

_REVISION_OF_HEAD = and_(
    flow_revisions.c.namespace == flows.c.namespace,
    flow_revisions.c.id == flows.c.id,
)


def flow(
    connection: Connection,
    namespace: str,
    flow_id: str,
    revision: int | None = None,
    *,
    deleted: bool = False,
) -> FlowRecord | None:
    """A revision of a flow, the latest when None; of a deleted flow only if `deleted`."""
    wanted = flows.c.revision if revision is None else revision
    query = (
        _flows()
        .where(flows.c.namespace == namespace, flows.c.id == flow_id)
        .where(flow_revisions.c.revision == wanted)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if revision is None and row.head_deleted and not deleted:
        return None
    return _flow(row)


def flows_page(
    connection: Connection, wanted: FlowFilter, paging: Paging
) -> tuple[list[FlowRecord], int]:
    """One page of flows by namespace and id unless sorted, and how many there are."""
    where = _flow_where(wanted)
    query = _flows().where(where, flow_revisions.c.revision == flows.c.revision)
    query = sorted_page(query, paging, _FLOW_SORTS, flows.c.namespace, flows.c.id)
    total = connection.scalar(select(func.count()).select_from(flows).where(where)) or 0
    return [_flow(row) for row in connection.execute(query)], total


def all_flows(connection: Connection, wanted: FlowFilter, limit: int = 100_000) -> list[FlowRecord]:
    """All flows of a filter, by namespace and id."""
    return flows_page(connection, wanted, Paging(size=limit))[0]


def revisions(connection: Connection, namespace: str, flow_id: str) -> list[FlowRecord]:
    """All revisions of a flow, oldest first."""
    query = (
        _flows()
        .where(flows.c.namespace == namespace, flows.c.id == flow_id)
        .order_by(flow_revisions.c.revision)
    )
    return [_flow(row) for row in connection.execute(query)]


def flow_heads(
    connection: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """The latest revision of each of these flows that is not deleted."""
    found = {}
    for namespace, flow_id in names:
        query = select(flows.c.revision).where(
            flows.c.namespace == namespace, flows.c.id == flow_id, flows.c.deleted.is_(False)
        )
        if (revision := connection.scalar(query)) is not None:
            found[namespace, flow_id] = revision
    return found


def flow_namespaces(connection: Connection, text: str | None = None) -> list[str]:
    """Namespaces that have a flow, sorted."""
    query = select(flows.c.namespace).distinct().where(flows.c.deleted.is_(False))
    if text:
        query = query.where(contains(text, flows.c.namespace))
    return list(connection.scalars(query.order_by(flows.c.namespace)))


def flow_count(connection: Connection) -> int:
    """How many flows there are."""
    query = select(func.count()).select_from(flows).where(flows.c.deleted.is_(False))
    return connection.scalar(query) or 0


def _flows() -> Select[Any]:
    return select(
        flow_revisions,
        flows.c.revision.label("latest"),
        flows.c.deleted.label("head_deleted"),
        flows.c.disabled.label("head_disabled"),
        flows.c.override,
        flows.c.held,
        flows.c.managed_by,
        flows.c.drifted,
    ).join_from(flows, flow_revisions, _REVISION_OF_HEAD)


_PROVENANCE = {
    "source_id": "source",
    "commit_sha": "commit",
    "commit_author": "author",
    "commit_email": "email",
    "commit_time": "time",
    "commit_subject": "subject",
    "git_path": "path",
    "git_blob": "blob",
    "git_ref": "ref",
    "sync_run_id": "run",
}


def _flow(row: Row[Any]) -> FlowRecord:
    git = {
        name: getattr(row, column)
        for column, name in _PROVENANCE.items()
        if getattr(row, column) is not None
    }
    latest = row.revision == row.latest
    stored = StoredFlow(
        namespace=row.namespace,
        id=row.id,
        revision=row.revision,
        source=row.source,
        deleted=row.deleted or (latest and row.head_deleted),
        disabled=bool((row.override or {}).get("disabled", row.head_disabled)),
        git=git if row.commit_sha is not None else None,
    )
    return FlowRecord(
        stored=stored,
        updated_at=row.created_at,
        managed_by=row.managed_by,
        drifted=row.drifted,
        latest=row.latest,
        gone=row.head_deleted,
        held=row.held,
    )


def _flow_where(wanted: FlowFilter) -> Condition:
    conditions: list[Condition] = [
        flows.c.deleted.is_(False),
        *in_namespace(flows.c.namespace, wanted.namespace, exact=wanted.exact_namespace),
        *in_scope(flows.c.namespace, wanted.scopes),
    ]
    for key, value in wanted.labels:
        pair = bodies.dumps({key: value})[1:-1]
        conditions.append(type_coerce(flows.c.labels, Text).contains(pair, autoescape=True))
    if wanted.text:
        conditions.append(contains(wanted.text, flows.c.id, flows.c.namespace))
    return and_(*conditions)
