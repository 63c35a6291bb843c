"""What belongs to no execution: keys, triggers, Git sources and their runs, runners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    or_,
    select,
)

from penstock_runner.tasks.api import KvEntry
from penstock_server.store.kv import entry_of
from penstock_server.store.queries.conditions import (
    Condition,
    Paging,
    contains,
    equal,
    in_namespace,
    sorted_page,
    values_of,
)
from penstock_server.store.schema import (
    git_sources,
    kv,
    runners,
    sync_items,
    sync_runs,
    triggers,
    webhook_deliveries,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRecord:
    """The state of one trigger."""

    namespace: str
    flow_id: str
    trigger_id: str
    type: str
    last_date: datetime | None = None
    next_date: datetime | None = None
    execution_id: str | None = None
    disabled: bool = False
    backfill: Mapping[str, Any] | None = None
    evaluated_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One run of a Git source with what it did."""

    values: Mapping[str, Any]
    items: tuple[Mapping[str, Any], ...] = field(default=())


def kv_entries(connection: Connection, namespace: str, now: datetime) -> list[KvEntry]:
    """Entries of a namespace that have not expired, by key."""
    query = (
        select(kv)
        .where(kv.c.namespace == namespace)
        .where(or_(kv.c.expires_at.is_(None), kv.c.expires_at > now))
        .order_by(kv.c.key)
    )
    return [entry_of(row) for row in connection.execute(query)]


def kv_entry(connection: Connection, namespace: str, key: str) -> KvEntry | None:
    """One entry, expired or not."""
    query = select(kv).where(kv.c.namespace == namespace, kv.c.key == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else entry_of(row)


def kv_namespaces(connection: Connection) -> list[str]:
    """Namespaces that hold keys."""
    return list(connection.scalars(select(kv.c.namespace).distinct().order_by(kv.c.namespace)))


_TRIGGER_SORTS: Mapping[str, ColumnElement[Any]] = {
    "namespace": triggers.c.namespace,
    "flowId": triggers.c.flow_id,
    "triggerId": triggers.c.trigger_id,
    "executionId": triggers.c.execution_id,
    "nextExecutionDate": triggers.c.next_date,
    "date": triggers.c.last_date,
}


def triggers_page(
    connection: Connection,
    paging: Paging,
    *,
    text: str | None = None,
    namespace: str | None = None,
    flow_id: str | None = None,
    exact_namespace: bool = False,
) -> tuple[list[TriggerRecord], int]:
    """One page of triggers by namespace, flow and id unless sorted, and how many there are."""
    table = triggers.c
    conditions: list[Condition] = [
        *in_namespace(table.namespace, namespace, exact=exact_namespace),
        *equal({table.flow_id: flow_id}),
    ]
    if text:
        conditions.append(contains(text, table.trigger_id, table.flow_id, table.namespace))
    where = and_(True, *conditions)  # noqa: FBT003 - SQL's own word
    query = sorted_page(
        select(triggers).where(where),
        paging,
        _TRIGGER_SORTS,
        table.namespace,
        table.flow_id,
        table.trigger_id,
    )
    total = connection.scalar(select(func.count()).select_from(triggers).where(where)) or 0
    return [trigger_record(row) for row in connection.execute(query)], total


def trigger(
    connection: Connection, namespace: str, flow_id: str, trigger_id: str
) -> TriggerRecord | None:
    """The state of one trigger."""
    query = select(triggers).where(
        triggers.c.namespace == namespace,
        triggers.c.flow_id == flow_id,
        triggers.c.trigger_id == trigger_id,
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else trigger_record(row)


def sources(connection: Connection) -> list[dict[str, Any]]:
    """All Git sources as their rows, by id."""
    rows = connection.execute(select(git_sources).order_by(git_sources.c.id))
    return [values_of(row) for row in rows]


def source(connection: Connection, source_id: str) -> dict[str, Any] | None:
    """One Git source as its row."""
    row = connection.execute(select(git_sources).where(git_sources.c.id == source_id)).one_or_none()
    return None if row is None else values_of(row)


def runs_of_source(
    connection: Connection, source_id: str | None, paging: Paging
) -> tuple[list[SyncRun], int]:
    """Runs of a source (of all when None), newest first, and how many there are."""
    where = and_(True, *equal({sync_runs.c.source_id: source_id}))  # noqa: FBT003 - SQL's word
    query = sorted_page(select(sync_runs).where(where), paging, {}, sync_runs.c.id.desc())
    total = connection.scalar(select(func.count()).select_from(sync_runs).where(where)) or 0
    return [SyncRun(values=values_of(row)) for row in connection.execute(query)], total


def sync_run(connection: Connection, run_id: str) -> SyncRun | None:
    """One run with its items."""
    row = connection.execute(select(sync_runs).where(sync_runs.c.id == run_id)).one_or_none()
    if row is None:
        return None
    items = connection.execute(
        select(sync_items).where(sync_items.c.run_id == run_id).order_by(sync_items.c.place)
    )
    return SyncRun(values=values_of(row), items=tuple(values_of(item) for item in items))


def delivery_seen(connection: Connection, source_id: str, delivery_id: str) -> bool:
    """Whether a webhook delivery came before."""
    query = select(webhook_deliveries.c.delivery_id).where(
        webhook_deliveries.c.source_id == source_id,
        webhook_deliveries.c.delivery_id == delivery_id,
    )
    return connection.scalar(query) is not None


def runners_seen_since(connection: Connection, moment: datetime) -> int:
    """How many runners have been heard of since a moment."""
    query = select(func.count()).select_from(runners).where(runners.c.seen_at >= moment)
    return connection.scalar(query) or 0


def readable(connection: Connection) -> bool:
    """Whether the store answers."""
    return connection.scalar(select(1)) == 1


def trigger_record(row: Row[Any]) -> TriggerRecord:
    """The record of a row."""
    values = values_of(row)
    return TriggerRecord(**{name: values[name] for name in TriggerRecord.__dataclass_fields__})
