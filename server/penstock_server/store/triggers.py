"""The state of triggers: when each fires next, and which execution keeps it from firing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, select, tuple_, update

from penstock_server.store import upserts
from penstock_server.store.bulk import Bound, BulkInsert
from penstock_server.store.engine import Tx
from penstock_server.store.schema import triggers
from penstock_server.store.staging import Staging

_CHUNK = 200
# Who holds a trigger, who has switched it off and when it fired last is not for its text to say.
_CHANGED = BulkInsert(triggers, over=True, keep=["execution_id", "disabled", "last_date"])
# Made once: each date that fires asks for its row more than once.
_BY_NAME = select(triggers).where(
    triggers.c.namespace == bindparam("n"),
    triggers.c.flow_id == bindparam("f"),
    triggers.c.trigger_id == bindparam("t"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerState:
    """What is remembered of one trigger of one flow.

    `digest` is of the trigger as written: when it differs, the trigger begins anew. While
    `execution_id` is set, the trigger does not fire. `body` is for the kind of trigger to use.
    """

    namespace: str
    flow_id: str
    trigger_id: str
    type: str
    digest: str
    updated_at: datetime
    last_date: datetime | None = None
    next_date: datetime | None = None
    execution_id: str | None = None
    disabled: bool = False
    backfill: Mapping[str, Any] | None = None
    body: Mapping[str, Any] | None = None
    evaluated_at: datetime | None = None


def put(connection: Connection, states: Iterable[TriggerState]) -> None:
    """Write states, over those of the same triggers."""
    upserts.put(connection, triggers, [upserts.values_of(state) for state in states])


def get(
    connection: Connection, namespace: str, flow_id: str, trigger_id: str
) -> TriggerState | None:
    """The state of a trigger."""
    name = {"n": namespace, "f": flow_id, "t": trigger_id}
    row = connection.execute(_BY_NAME, name).mappings().one_or_none()
    return None if row is None else TriggerState(**row)


def of_flow(connection: Connection, namespace: str, flow_id: str) -> list[TriggerState]:
    """The states of a flow's triggers."""
    return _all(connection, _of(select(triggers), namespace, flow_id))


def of_flows(connection: Connection, names: Collection[tuple[str, str]]) -> list[TriggerState]:
    """The states of the triggers of many flows."""
    found: list[TriggerState] = []
    listed = list(dict.fromkeys(names))
    for start in range(0, len(listed), _CHUNK):
        keys = tuple_(triggers.c.namespace, triggers.c.flow_id)
        chosen = select(triggers).where(keys.in_(listed[start : start + _CHUNK]))
        found += _all(connection, chosen)
    return found


def bound(state: TriggerState) -> Bound:
    """A changed trigger as `put_bound` takes it."""
    return _CHANGED.bound(upserts.values_of(state))


def put_bound(tx: Tx, rows: Sequence[Bound]) -> None:
    """Write triggers that have changed; what has happened to them meanwhile stays."""
    _CHANGED.write(tx, rows)


def stage_bound(tx: Tx, rows: Sequence[Bound], staging: Staging) -> None:
    """Put triggers aside that have changed."""
    staging.put(tx, _CHANGED, rows)


def put_staged(tx: Tx, staging: Staging) -> None:
    """Write the triggers that were put aside."""
    staging.write(tx, _CHANGED, [])


def remove_many(tx: Tx, names: Iterable[tuple[str, str]]) -> None:
    """Forget the triggers of many flows."""
    tx.execute_many("DELETE FROM triggers WHERE namespace = ? AND flow_id = ?", list(names))


def list_states(connection: Connection, *, type_: str | None = None) -> list[TriggerState]:
    """All states, or those of one type of trigger."""
    chosen = select(triggers)
    if type_ is not None:
        chosen = chosen.where(triggers.c.type == type_)
    return _all(connection, chosen)


def due(connection: Connection, now: datetime, limit: int) -> list[TriggerState]:
    """Triggers to look at now: their moment has come, and nothing holds them; longest due first."""
    chosen = (
        select(triggers)
        .where(triggers.c.next_date <= now, triggers.c.execution_id.is_(None), ~triggers.c.disabled)
        .order_by(triggers.c.next_date)
        .limit(limit)
    )
    return _all(connection, chosen, ordered=True)


def switched_off(connection: Connection) -> list[tuple[str, str, str]]:
    """The names of the triggers that are switched off."""
    table = triggers.c
    chosen = select(table.namespace, table.flow_id, table.trigger_id).where(table.disabled)
    return [(row[0], row[1], row[2]) for row in connection.execute(chosen)]


def late(connection: Connection, before: datetime) -> list[TriggerState]:
    """Triggers whose moment came before a given one, whatever holds them."""
    return _all(connection, select(triggers).where(triggers.c.next_date < before))


def next_due(connection: Connection) -> datetime | None:
    """When the next trigger wants to be looked at."""
    chosen = (
        select(triggers.c.next_date)
        .where(
            triggers.c.next_date.is_not(None),
            triggers.c.execution_id.is_(None),
            ~triggers.c.disabled,
        )
        .order_by(triggers.c.next_date)
        .limit(1)
    )
    return connection.scalar(chosen)


def lock(
    connection: Connection, namespace: str, flow_id: str, trigger_id: str, execution_id: str
) -> bool:
    """Keep a free trigger from firing until the execution has ended; whether it was free."""
    changed = connection.execute(
        _of(update(triggers), namespace, flow_id, trigger_id)
        .where(triggers.c.execution_id.is_(None))
        .values(execution_id=execution_id)
    )
    return bool(changed.rowcount)


def unlock(connection: Connection, execution_id: str) -> int:
    """Free the triggers that an execution holds; how many."""
    freed = update(triggers).where(triggers.c.execution_id == execution_id)
    return connection.execute(freed.values(execution_id=None)).rowcount


def remove(
    connection: Connection, namespace: str, flow_id: str, *, keep: Collection[str] = ()
) -> int:
    """Forget the triggers of a flow but those named; how many."""
    gone = _of(delete(triggers), namespace, flow_id)
    if keep:
        gone = gone.where(triggers.c.trigger_id.not_in(keep))
    return int(connection.execute(gone).rowcount)


def remove_one(connection: Connection, namespace: str, flow_id: str, trigger_id: str) -> None:
    """Forget one trigger."""
    connection.execute(_of(delete(triggers), namespace, flow_id, trigger_id))


def _of(statement: Any, namespace: str, flow_id: str, trigger_id: str | None = None) -> Any:
    chosen = statement.where(triggers.c.namespace == namespace, triggers.c.flow_id == flow_id)
    return chosen if trigger_id is None else chosen.where(triggers.c.trigger_id == trigger_id)


def _all(
    connection: Connection, chosen: Select[Any], *, ordered: bool = False
) -> list[TriggerState]:
    if not ordered:
        keys = (triggers.c.namespace, triggers.c.flow_id, triggers.c.trigger_id)
        chosen = chosen.order_by(*keys)
    return [TriggerState(**row) for row in connection.execute(chosen).mappings()]
