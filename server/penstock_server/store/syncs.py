"""Syncs as stored: each run with what it did, and what comes in and goes out around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from penstock_server.store import upserts
from penstock_server.store.bulk import Bound, BulkInsert
from penstock_server.store.engine import Tx
from penstock_server.store.schema import (
    flow_revisions,
    outbox,
    push_fires,
    sync_items,
    sync_runs,
    webhook_deliveries,
)
from penstock_server.store.staging import Staging

Data = Mapping[str, Any]
_ITEMS = BulkInsert(sync_items)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One run of a sync, from its plan to its end."""

    id: str
    source_id: str
    trigger: str
    phase: str
    started_at: datetime
    actor: str | None = None
    from_commit: str | None = None
    to_commit: str | None = None
    ended_at: datetime | None = None
    counts: Data | None = None
    errors: Any = None
    dry_run: bool = False
    delivery_id: str | None = None
    plan_digest: str | None = None
    history_rewritten: bool = False
    warnings: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncItem:
    """What a run did to one flow or file; unchanged ones are not stored."""

    kind: str
    namespace: str
    name: str
    action: str
    path: str | None = None
    blob: str | None = None
    from_revision: int | None = None
    to_revision: int | None = None
    commit_sha: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook delivery that was let in, or why not."""

    source_id: str
    delivery_id: str
    forge: str
    event: str
    received_at: datetime
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushFire:
    """A flow that a commit has started; there is one of a kind."""

    namespace: str
    flow_id: str
    trigger_id: str
    source_id: str
    commit_sha: str
    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """Something to tell a forge; `id` is 0 until stored."""

    kind: str
    body: Data
    next_at: datetime
    tries: int = 0
    id: int = 0


def put_run(connection: Connection, run: SyncRun) -> None:
    """Write a run, over what was stored of it."""
    upserts.put(connection, sync_runs, [upserts.values_of(run)])


def run(connection: Connection, run_id: str) -> SyncRun | None:
    """A run by its id."""
    chosen = select(sync_runs).where(sync_runs.c.id == run_id)
    row = connection.execute(chosen).mappings().one_or_none()
    return None if row is None else SyncRun(**row)


def runs(connection: Connection, source_id: str, *, limit: int = 50) -> list[SyncRun]:
    """The last runs of a source, the latest first."""
    chosen = (
        select(sync_runs)
        .where(sync_runs.c.source_id == source_id)
        .order_by(sync_runs.c.id.desc())
        .limit(limit)
    )
    return [SyncRun(**row) for row in connection.execute(chosen).mappings()]


def add_items(connection: Connection, run_id: str, items: Sequence[SyncItem]) -> None:
    """Store what a run did, in this order."""
    if items:
        connection.execute(
            insert(sync_items),
            [
                {"run_id": run_id, "place": place, **upserts.values_of(item)}
                for place, item in enumerate(items)
            ],
        )


def bound_item(run_id: str, place: int, item: SyncItem) -> Bound:
    """A line of a run as `add_bound_items` takes it."""
    return _ITEMS.bound({"run_id": run_id, "place": place, **upserts.values_of(item)})


def stage_items(tx: Tx, rows: Sequence[Bound], staging: Staging) -> None:
    """Put lines of a run aside."""
    staging.put(tx, _ITEMS, rows)


def add_bound_items(tx: Tx, rows: Sequence[Bound], staging: Staging) -> None:
    """Store what a run did: these lines and those that were put aside."""
    staging.write(tx, _ITEMS, rows)


def items(connection: Connection, run_id: str) -> list[SyncItem]:
    """What a run did."""
    wanted = [c for c in sync_items.c if c.name not in {"run_id", "place"}]
    chosen = select(*wanted).where(sync_items.c.run_id == run_id).order_by(sync_items.c.place)
    return [SyncItem(**row) for row in connection.execute(chosen).mappings()]


def sources_with_runs(connection: Connection) -> list[str]:
    """The sources that have runs, those of tasks and deploys too."""
    return list(connection.scalars(select(sync_runs.c.source_id).distinct()))


def remove_old_runs(
    connection: Connection, source_id: str, *, before: datetime, keep: int = 200
) -> int:
    """Delete runs that are older and not among the last; those that a revision names stay."""
    last = list(
        connection.scalars(
            select(sync_runs.c.id)
            .where(sync_runs.c.source_id == source_id)
            .order_by(sync_runs.c.id.desc())
            .limit(keep)
        )
    )
    named = select(flow_revisions.c.sync_run_id).where(flow_revisions.c.sync_run_id.is_not(None))
    old = list(
        connection.scalars(
            select(sync_runs.c.id).where(
                sync_runs.c.source_id == source_id,
                sync_runs.c.started_at < before,
                sync_runs.c.id.not_in(last),
                sync_runs.c.id.not_in(named),
            )
        )
    )
    for start in range(0, len(old), 200):
        chunk = old[start : start + 200]
        connection.execute(delete(sync_items).where(sync_items.c.run_id.in_(chunk)))
        connection.execute(delete(sync_runs).where(sync_runs.c.id.in_(chunk)))
    return len(old)


def add_delivery(connection: Connection, delivery: Delivery) -> bool:
    """Remember a delivery; False when it came before."""
    return upserts.add(connection, webhook_deliveries, upserts.values_of(delivery))


def deliveries(connection: Connection, source_id: str, *, limit: int = 50) -> list[Delivery]:
    """The last deliveries for a source, the latest first."""
    chosen = (
        select(webhook_deliveries)
        .where(webhook_deliveries.c.source_id == source_id)
        .order_by(webhook_deliveries.c.received_at.desc())
        .limit(limit)
    )
    return [Delivery(**row) for row in connection.execute(chosen).mappings()]


def remove_deliveries(connection: Connection, before: datetime) -> int:
    """Forget deliveries that came before this moment; how many."""
    gone = delete(webhook_deliveries).where(webhook_deliveries.c.received_at < before)
    return connection.execute(gone).rowcount


def add_push_fire(connection: Connection, fire: PushFire) -> bool:
    """Remember that a commit starts a flow; False when it did before."""
    return upserts.add(connection, push_fires, upserts.values_of(fire))


def add_outgoing(connection: Connection, outgoing: Sequence[Outgoing]) -> None:
    """Store what is to be told."""
    if outgoing:
        rows = [upserts.values_of(one) for one in outgoing]
        for row in rows:
            del row["id"]
        connection.execute(insert(outbox), rows)


def due_outgoing(
    connection: Connection, now: datetime, limit: int, *, kind: str | None = None
) -> list[Outgoing]:
    """What is to be told now, oldest first."""
    chosen = select(outbox).where(outbox.c.next_at <= now).order_by(outbox.c.id).limit(limit)
    if kind is not None:
        chosen = chosen.where(outbox.c.kind == kind)
    return [Outgoing(**row) for row in connection.execute(chosen).mappings()]


def outgoing(connection: Connection, kinds: Sequence[str], limit: int) -> list[Outgoing]:
    """What is to be told now or later, oldest first."""
    chosen = select(outbox).where(outbox.c.kind.in_(kinds)).order_by(outbox.c.id).limit(limit)
    return [Outgoing(**row) for row in connection.execute(chosen).mappings()]


def postpone_outgoing(connection: Connection, id_: int, next_at: datetime) -> None:
    """Tell it later: this time it did not arrive."""
    later = update(outbox).where(outbox.c.id == id_)
    connection.execute(later.values(next_at=next_at, tries=outbox.c.tries + 1))


def remove_outgoing(connection: Connection, id_: int) -> None:
    """It has been told, or is given up."""
    connection.execute(delete(outbox).where(outbox.c.id == id_))
