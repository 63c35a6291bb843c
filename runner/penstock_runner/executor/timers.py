"""What each timer does when its moment has come: sleepers wake, dates begin, retries go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from penstock_runner.engine import events as e
from penstock_runner.engine.attempts import TIMEOUT, clock_text
from penstock_runner.engine.state import RunKey, State
from penstock_runner.engine.truth import constant
from penstock_runner.executor import placing
from penstock_runner.executor.dispatch import Dispatch
from penstock_runner.executor.held import Held
from penstock_runner.executor.live import Live
from penstock_runner.executor.placing import QUEUE_PURPOSE
from penstock_runner.executor.step import OVERSLEPT, SLEEP_PURPOSE
from penstock_runner.executor.store import TimerRow
from penstock_runner.flow import durations
from penstock_runner.flow.model import Level
from penstock_runner.jobs.protocol import JobId


class Timers:
    """Timers that are due, within the batch under construction."""

    def __init__(
        self,
        held: Held,
        dispatch: Dispatch,
        now: Callable[[], datetime],
        advance: Callable[[Live], None],
        replay: Callable[[Live], None],
    ) -> None:
        self._held = held
        self._dispatch = dispatch
        self._now = now
        self._advance = advance
        self._replay = replay

    def fired(self, row: TimerRow) -> None:
        """Do what the timer was for."""
        live = self._held.get(row.execution_id)
        name = (row.execution_id, row.key, row.attempt, row.purpose)
        if live is None:
            self._held.working.timers_ended.append(name)
            return

        def act() -> None:
            live.part.timers_ended.append(name)
            at = live.time(self._now())
            key = RunKey(row.key)
            if row.purpose == SLEEP_PURPOSE:
                live.sleeping.discard((key, row.attempt))
                live.feed(e.JobEnded(at=at, key=key, attempt=row.attempt, state=State.SUCCESS))
            elif row.purpose == OVERSLEPT:
                self._overslept(live, key, row.attempt, at)
            elif row.purpose == QUEUE_PURPOSE:
                self._queued_too_long(live, key, row.attempt, at)
            elif row.purpose == "schedule":
                if live.state is State.CREATED:
                    live.feed(e.Started(at=at))
            elif row.purpose == "new-execution":
                self._replay(live)
            else:
                fired = e.TimerFired(
                    at=at, key=key or None, attempt=row.attempt, purpose=row.purpose
                )
                live.feed(fired)
            self._advance(live)

        self._held.guarded(live, row, act)

    def _queued_too_long(self, live: Live, key: RunKey, attempt: int, at: datetime) -> None:
        job: JobId = (live.id, key, attempt)
        row = self._dispatch.waiting_row(job)
        if row is None:
            return
        why = self._dispatch.why_unmatched(row.demand)
        if why is None and live.task(key).queue_timeout is None:
            return  # a runner has come that may take it, and is busy
        self._dispatch.free(job)
        live.part.jobs_ended.append(job)
        placing.overdue(live, key, attempt, why, at)

    def _overslept(self, live: Live, key: RunKey, attempt: int, at: datetime) -> None:
        live.sleeping.discard((key, attempt))
        run = live.fold.runs.get(key)
        if run is None or run.attempt != attempt or run.state.terminal:
            return
        limit = live.task(key).timeout
        began = run.attempts[-1].history[-1][1] if run.attempts else at
        waited = durations.parse(limit) if constant(limit) else at - began
        error = f"Timeout after {clock_text(waited)}"
        live.log(at, Level.ERROR, error, key=key, attempt=attempt)
        live.feed(
            e.JobEnded(
                at=at, key=key, attempt=attempt, state=State.FAILED, error=error, reason=TIMEOUT
            )
        )
