"""Log lines as rooms outside the executor add, read and delete them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select, tuple_

from penstock_runner.executor.store import LogRow
from penstock_runner.flow.model import Level
from penstock_server.store import rows, upserts
from penstock_server.store.bodies import legible
from penstock_server.store.schema import logs

# An execution and the number of one of its lines: where a slice of all lines begins or ends.
LineKey = tuple[str, int]

_KEY = tuple_(logs.c.execution_id, logs.c.n)


def add(connection: Connection, lines: Sequence[LogRow]) -> None:
    """Store lines; one that is stored already (same execution and number) stays as it is."""
    upserts.add_all(connection, logs, [_values(line) for line in lines])


def after(
    connection: Connection, execution_id: str, number: int = 0, *, limit: int = 1000
) -> list[LogRow]:
    """The lines of an execution after a number, in their order."""
    chosen = (
        select(*rows.LOG_FIELDS)
        .where(logs.c.execution_id == execution_id, logs.c.n > number)
        .order_by(logs.c.n)
        .limit(limit)
    )
    return [rows.log_of(row) for row in connection.execute(chosen)]


def remove(
    connection: Connection,
    execution_id: str,
    *,
    levels: Collection[Level] | None = None,
    task_id: str | None = None,
    taskrun_id: str | None = None,
    attempt: int | None = None,
) -> int:
    """Delete lines of an execution: all, or those that fit everything given; how many."""
    gone = delete(logs).where(logs.c.execution_id == execution_id)
    if levels is not None:
        gone = gone.where(logs.c.level.in_([rows.LEVELS.index(level) for level in levels]))
    if task_id is not None:
        gone = gone.where(logs.c.task_id == task_id)
    if taskrun_id is not None:
        gone = gone.where(logs.c.taskrun_id == taskrun_id)
    if attempt is not None:
        gone = gone.where(logs.c.attempt == attempt)
    return connection.execute(gone).rowcount


def remove_of_flow(connection: Connection, namespace: str, flow_id: str) -> int:
    """Delete all lines of a flow's executions; how many."""
    gone = delete(logs).where(logs.c.namespace == namespace, logs.c.flow_id == flow_id)
    return connection.execute(gone).rowcount


def slice_end(connection: Connection, beyond: LineKey | None, size: int) -> LineKey | None:
    """The key of the last of the next `size` lines; None when there are not so many."""
    chosen = select(logs.c.execution_id, logs.c.n)
    if beyond is not None:
        chosen = chosen.where(beyond < _KEY)
    chosen = chosen.order_by(logs.c.execution_id, logs.c.n).offset(size - 1).limit(1)
    last = connection.execute(chosen).one_or_none()
    return None if last is None else (last.execution_id, last.n)


def remove_between(
    connection: Connection,
    *,
    start: datetime | None,
    end: datetime | None,
    namespace: str | None = None,
    flow_id: str | None = None,
    levels: Collection[Level] = (),
    beyond: LineKey | None = None,
    until: LineKey | None = None,
) -> int:
    """Delete lines of a span of time in one slice of all; how many. A namespace has children."""
    gone = delete(logs).where(logs.c.level.in_([rows.LEVELS.index(level) for level in levels]))
    if beyond is not None:
        gone = gone.where(beyond < _KEY)
    if until is not None:
        gone = gone.where(until >= _KEY)
    if start is not None:
        gone = gone.where(logs.c.at >= start)
    if end is not None:
        gone = gone.where(logs.c.at <= end)
    if namespace is not None:
        inside = logs.c.namespace.startswith(f"{namespace}.", autoescape=True)
        gone = gone.where((logs.c.namespace == namespace) | inside)
    if flow_id is not None:
        gone = gone.where(logs.c.flow_id == flow_id)
    return connection.execute(gone).rowcount


def _values(line: LogRow) -> dict[str, object]:
    return {
        **line._asdict(),
        "level": rows.LEVELS.index(Level(line.level)),
        "message": legible(line.message),
        "stream": line.stream or None,
    }
