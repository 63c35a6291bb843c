"""Where the job of a task run may go, and what happens when no runner offers what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.state import RunKey, State
from penstock_runner.executor.inline import InlineRender
from penstock_runner.executor.jobs import job_row
from penstock_runner.executor.live import Live
from penstock_runner.executor.store import JobRow, TimerRow
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.durations import to_iso
from penstock_runner.flow.model import Level
from penstock_runner.flow.offers import Demand
from penstock_runner.flow.routing import LONGEST_WAIT, BadRoute, Route, read_route

NO_RUNNER = "no-runner"
QUEUE_PURPOSE = "queue"


class Queue(Protocol):
    """Who hands out jobs."""

    def new_job(self, live: Live, row: JobRow) -> None:
        """A job is made."""
        ...

    def told(self, row: JobRow) -> None:
        """It was said of a job that no runner may take it."""
        ...

    @property
    def complete(self) -> bool:
        """Whether no other runner will ever come."""
        ...

    def why_unmatched(self, demand: Demand) -> str | None:
        """Why no runner may take such a job; None when one may."""
        ...


def route_of(written: Mapping[str, Any], render: InlineRender) -> Route:
    """Where a task asks to run, from what is written of it."""
    return read_route(render.typed(dict(written)))  # type: ignore[arg-type]


def place(live: Live, command: c.RunJob, route: Route, queue: Queue, at: datetime) -> None:
    """Make the job, or end its attempt when nobody offers what it asks for."""
    key, attempt = command.key, command.attempt
    row = job_row(live, command, at, route.required)
    reason = queue.why_unmatched(row.demand)
    waits = route.fallback == "WAIT"
    if reason is not None and waits and queue.complete:
        refuse(live, key, attempt, f"{reason}; no other runner will come", at)
        return
    if reason is None or waits:
        queue.new_job(live, row)
        if reason is not None:
            tell(live, row, reason, queue, at)
        elif (limit := live.task(key).queue_timeout) is not None:
            live.part.timers.append(_end_of_wait(row, limit))
        return
    state = State.FAILED if route.fallback == "FAIL" else State.CANCELLED
    if state is State.CANCELLED:
        # Said before the end of the task: when it is the last one, its end is that of all.
        live.feed(e.ExitRequested(at=at, key=key, state=state))
    refuse(live, key, attempt, f"{reason}; the fallback is {route.fallback}", at, state=state)


def tell(live: Live, row: JobRow, reason: str, queue: Queue, at: datetime) -> None:
    """Say for what a job waits that no runner may take, and for how long."""
    queue.told(row)
    live.log(at, Level.WARN, reason, key=row.key, attempt=row.attempt)
    limit = live.task(row.key).queue_timeout or LONGEST_WAIT
    live.part.timers.append(_end_of_wait(row, limit))


def _end_of_wait(row: JobRow, limit: timedelta) -> TimerRow:
    return TimerRow(
        execution_id=row.execution_id,
        key=row.key,
        attempt=row.attempt,
        purpose=QUEUE_PURPOSE,
        at=row.created + limit,
    )


def overdue(live: Live, key: RunKey, attempt: int, why: str | None, at: datetime) -> None:
    """Nobody has taken a job in the time that it may wait."""
    limit = live.task(key).queue_timeout or LONGEST_WAIT
    error = f"No runner took this task within {to_iso(limit)}"
    refuse(live, key, attempt, error if why is None else f"{error}: {why}", at)


def refuse(
    live: Live,
    key: RunKey,
    attempt: int,
    error: str,
    at: datetime,
    *,
    state: State = State.FAILED,
    reason: str = NO_RUNNER,
) -> None:
    """End an attempt that never ran."""
    live.log(at, Level.ERROR, error, key=key, attempt=attempt)
    live.feed(e.JobEnded(at=at, key=key, attempt=attempt, state=state, error=error, reason=reason))


PlacingFailed = (BadRoute, ExpressionFailed)
