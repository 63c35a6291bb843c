"""What was under way when the service stopped, as messages for the executor that goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from penstock_runner.executor.inbox import Lost, Message, Recover
from penstock_runner.executor.store import JobRow, Store
from penstock_runner.jobs.protocol import JobId

_ALL = 10**6
_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class UnderWay:
    """What is to be taken up; `obsolete` jobs were no task run's, and are asked for anew."""

    messages: list[Message] = field(default_factory=list)
    obsolete: list[JobId] = field(default_factory=list)
    executions: int = 0


def under_way(store: Store) -> UnderWay:
    """Read what the store has of executions that go on, and of jobs that outlive theirs."""
    rows: dict[str, list[JobRow]] = {}
    for row in store.jobs():
        rows.setdefault(row.execution_id, []).append(row)
    asleep: dict[str, set[tuple[str, int]]] = {}
    for timer in store.due_timers(_EVER, _ALL):
        asleep.setdefault(timer.execution_id, set()).add((timer.key, timer.attempt))
    ids = store.unended()
    found = UnderWay(messages=list(store.mail(_ALL)), executions=len(ids))
    for execution_id in rows.keys() - set(ids):
        # An execution may end before jobs that it has left behind.
        found.messages.extend(Lost(job=_name(row)) for row in rows[execution_id])
    for execution_id in ids:
        _take_up(found, execution_id, rows.get(execution_id, ()), asleep.get(execution_id, set()))
    return found


def _take_up(
    found: UnderWay, execution_id: str, rows: Iterable[JobRow], asleep: set[tuple[str, int]]
) -> None:
    known = set(asleep)
    waiting: list[JobRow] = []
    for row in rows:
        if row.purpose:
            found.obsolete.append(_name(row))
            continue
        known.add((row.key, row.attempt))
        if row.runner is None:
            waiting.append(row)
        else:
            found.messages.append(Lost(job=_name(row)))
    found.messages.append(
        Recover(execution_id=execution_id, has_rows=frozenset(known), waiting=waiting)
    )


def _name(row: JobRow) -> JobId:
    return (row.execution_id, row.key, row.attempt)
