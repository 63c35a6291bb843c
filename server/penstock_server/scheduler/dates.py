"""Dates that are due become executions, each once.

The date of a trigger, its lock and the execution that it starts are written in one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.executor.messages import Outcome, Refused, Start, Starter
from penstock_server.scheduler.backfills import moved
from penstock_server.scheduler.evaluation import CannotEvaluate, Evaluation, Firing
from penstock_server.scheduler.parking import Parking
from penstock_server.scheduler.reading import Reading
from penstock_server.scheduler.rows import Name, name_of, says
from penstock_server.store import triggers
from penstock_server.store.triggers import TriggerState

log = logging.getLogger(__name__)

_SECOND = timedelta(seconds=1)


class _Changed(Refused):
    """The row is no longer what was read; the trigger is looked at again."""


class DueDates:
    """Fires schedules; `written` is called whenever a row has been dealt with."""

    def __init__(
        self,
        *,
        starter: Starter,
        reading: Reading,
        evaluation: Evaluation,
        parking: Parking,
        written: Callable[[], None],
    ) -> None:
        self._starter = starter
        self._reading = reading
        self._evaluation = evaluation
        self._parking = parking
        self._written = written
        self._under_way: set[Name] = set()

    def under_way(self, name: Name) -> bool:
        """Whether the row of a trigger is about to be written."""
        return name in self._under_way

    def park(self, state: TriggerState) -> None:
        """Keep the date of a trigger that is off where nobody looks for it."""
        self._write(state, self._parking.parked(state), None, _nothing)

    def fire(self, state: TriggerState, now: datetime) -> None:
        """Deal with a schedule whose stored date has come."""
        found = self._reading.firing(state, now)
        if found is None or found.flow.disabled or found.trigger.disabled:
            self.park(state)
            return
        date = found.plan.at_or_after(found.date)
        early = state.backfill is not None and date is not None and date > found.date
        if date is None or date > now + _SECOND or early:
            # What was stored is no date of the schedule.
            self._write(state, moved(state, date), None, _nothing)
            return
        self._run(replace(found, date=date.astimezone(found.plan.zone)))

    def _run(self, firing: Firing) -> None:
        state = firing.state
        try:
            start = self._evaluation.start(firing, self._starter.new_id())
        except CannotEvaluate as cannot:
            self._fail(firing, str(cannot))
            return

        def done(outcome: Outcome) -> None:
            if outcome.error is not None and not isinstance(outcome.error, _Changed):
                self._fail(
                    firing,
                    f"Unable to evaluate the Schedule trigger '{state.trigger_id}': "
                    f"{outcome.error}",
                )

        self._write(state, self._after(firing, start), start, done)

    def _after(self, firing: Firing, start: Start | None) -> TriggerState:
        """The row when the date has been dealt with."""
        state = firing.state
        ran = start is not None and state.backfill is None
        locks = start is not None and start.failure is None
        if says(firing.trigger, "allowConcurrent") and state.backfill is None:
            locks = False
        dealt_with = replace(
            state,
            last_date=firing.date if ran else state.last_date,
            execution_id=start.id if start is not None and locks else None,
            evaluated_at=firing.now,
            updated_at=firing.now,
        )
        return moved(dealt_with, self._evaluation.following(firing))

    def _fail(self, firing: Firing, message: str) -> None:
        """Keep a record of what went wrong; the date is over, it would not go better later."""
        state = firing.state
        log.warning("%s.%s: %s", state.namespace, state.flow_id, message)
        record = self._evaluation.failure(firing, message, self._starter.new_id())
        after = self._after(firing, record)

        def done(outcome: Outcome) -> None:
            if outcome.error is not None and not isinstance(outcome.error, _Changed):
                # Not even that: the flow was deleted or switched off.
                self._write(state, after, None, _nothing)

        self._write(state, after, record, done)

    def _write(
        self,
        before: TriggerState,
        after: TriggerState,
        start: Start | None,
        done: Callable[[Outcome], None],
    ) -> None:
        """The row and the execution in one transaction, unless the row has changed meanwhile."""
        name = name_of(before)
        self._under_way.add(name)

        def write(tx: Any) -> None:
            present = triggers.get(tx.connection, *name)
            if present != before:
                raise _Changed("the trigger was changed meanwhile", status=409)
            triggers.put(tx.connection, [after])

        def ended(outcome: Outcome) -> None:
            self._under_way.discard(name)
            self._written()
            done(outcome)

        starts = [start] if start is not None else []
        self._starter.transact(writes=[write], starts=starts, done=ended)


def _nothing(_outcome: Outcome) -> None:
    """Nobody waits for it."""
