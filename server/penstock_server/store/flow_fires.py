"""What Flow triggers have seen and done: windows of time, and the executions they ask for.

A fire is written with the state of the upstream execution that caused it, so it is never lost, and
its key keeps it from happening twice. `start` says what is to be started until that is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from penstock_server.store import upserts
from penstock_server.store.schema import flow_fires, trigger_windows


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFire:
    """One firing of a Flow trigger; `place` is that of the state in the upstream's history."""

    namespace: str
    flow_id: str
    trigger_id: str
    upstream_id: str
    place: int
    execution_id: str
    created_at: datetime
    start: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWindow:
    """A window of time of one condition of a flow, and what has held in it."""

    namespace: str
    flow_id: str
    condition_id: str
    start_at: datetime
    end_at: datetime
    held: Mapping[str, str]


def add(connection: Connection, fire: FlowFire) -> bool:
    """Ask for an execution; False when this state of the upstream asked for it before."""
    return upserts.add(connection, flow_fires, upserts.values_of(fire))


def pending(connection: Connection, limit: int) -> list[FlowFire]:
    """What is asked for and not done, oldest first."""
    chosen = (
        select(flow_fires)
        .where(flow_fires.c.start.is_not(None))
        .order_by(flow_fires.c.created_at, flow_fires.c.execution_id)
        .limit(limit)
    )
    return [FlowFire(**row) for row in connection.execute(chosen).mappings()]


def take(connection: Connection, fire: FlowFire) -> bool:
    """Mark a fire as done; False when somebody did before, or it was never written."""
    done = (
        update(flow_fires)
        .where(
            flow_fires.c.namespace == fire.namespace,
            flow_fires.c.flow_id == fire.flow_id,
            flow_fires.c.trigger_id == fire.trigger_id,
            flow_fires.c.upstream_id == fire.upstream_id,
            flow_fires.c.place == fire.place,
            flow_fires.c.start.is_not(None),
        )
        .values(start=None)
    )
    return connection.execute(done).rowcount == 1


def window(
    connection: Connection, namespace: str, flow_id: str, condition_id: str
) -> StoredWindow | None:
    """The window of a condition."""
    chosen = select(trigger_windows).where(*_of(namespace, flow_id, condition_id))
    row = connection.execute(chosen).mappings().one_or_none()
    return None if row is None else StoredWindow(**row)


def put_window(connection: Connection, one: StoredWindow) -> None:
    """Write a window, over the one of the same condition."""
    upserts.put(connection, trigger_windows, [upserts.values_of(one)])


def remove_window(connection: Connection, namespace: str, flow_id: str, condition_id: str) -> None:
    """Forget a window."""
    connection.execute(delete(trigger_windows).where(*_of(namespace, flow_id, condition_id)))


def remove_windows(connection: Connection, namespace: str, flow_id: str) -> None:
    """Forget the windows of a flow."""
    flow = (trigger_windows.c.namespace == namespace, trigger_windows.c.flow_id == flow_id)
    connection.execute(delete(trigger_windows).where(*flow))


def tidy(connection: Connection, before: datetime) -> None:
    """Forget what was done, and windows that closed, before a moment."""
    old = (flow_fires.c.start.is_(None), flow_fires.c.created_at < before)
    connection.execute(delete(flow_fires).where(*old))
    connection.execute(delete(trigger_windows).where(trigger_windows.c.end_at < before))


def _of(namespace: str, flow_id: str, condition_id: str) -> tuple[Any, ...]:
    return (
        trigger_windows.c.namespace == namespace,
        trigger_windows.c.flow_id == flow_id,
        trigger_windows.c.condition_id == condition_id,
    )
