"""What people do to triggers: switch them, free them, begin and end their backfills.

Each is a statement of the transaction that it is called in; a trigger that is unknown, or cannot do
what it is asked for, is `Refused`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from penstock_runner.executor.messages import Refused
from penstock_runner.flow.model import Flow
from penstock_runner.tasks.api import TaskFailed
from penstock_server.clock import Clock
from penstock_server.scheduler import backfills
from penstock_server.scheduler.recovery import switched_on
from penstock_server.scheduler.rows import Name
from penstock_server.scheduler.triggers import Scheduler
from penstock_server.store import triggers
from penstock_server.store.triggers import TriggerState


class TriggerChanges:
    """Changes rows of triggers for people; the scheduler looks at them at once."""

    def __init__(self, scheduler: Scheduler, clock: Clock) -> None:
        self._scheduler = scheduler
        self._clock = clock

    def switch(self, tx: Any, name: Name, *, disabled: bool) -> None:
        """Set the switch alone: the next date is kept, and dates that pass are caught up."""
        self._change(tx, name, lambda state: replace(state, disabled=disabled))

    def switch_anew(self, tx: Any, name: Name, *, disabled: bool) -> None:
        """Switch off and forget the next date, or on with a date as the trigger recovers."""

        def change(state: TriggerState) -> TriggerState:
            if disabled == state.disabled:
                return state
            if disabled:
                return replace(state, disabled=True, next_date=None)
            now = self._clock.now()
            firing = self._scheduler.reading.firing(state, now)
            if firing is None:
                polls = self._scheduler.polls(state.type)
                return replace(state, disabled=False, next_date=now if polls else state.next_date)
            backfill = firing.backfill
            if backfill is not None and not backfill.paused:
                return replace(state, disabled=False, next_date=backfill.current)
            return switched_on(firing, self._scheduler.evaluation)

        self._change(tx, name, change)

    def backfill(self, tx: Any, name: Name, asked: Mapping[str, Any]) -> None:
        """Begin to run dates of the past."""

        def change(state: TriggerState) -> TriggerState:
            now = self._clock.now()
            firing = self._scheduler.reading.firing(state, now)
            if firing is None:
                raise Refused(f"{state.trigger_id} is no schedule: only schedules have a backfill")

            def first(start: datetime) -> datetime | None:
                return self._scheduler.evaluation.first_of(firing, start)

            try:
                return backfills.begun(state, asked, first, now)
            except TaskFailed as failed:
                raise Refused(f"Illegal argument: {failed}") from None

        self._change(tx, name, change)

    def pause(self, tx: Any, name: Name) -> None:
        """Stop a backfill for now."""
        self._change(tx, name, backfills.paused)

    def unpause(self, tx: Any, name: Name) -> None:
        """Go on with a backfill."""
        self._change(tx, name, backfills.unpaused)

    def end(self, tx: Any, name: Name) -> None:
        """End a backfill before its end."""
        self._change(tx, name, backfills.over)

    def restart(self, tx: Any, name: Name) -> None:
        """Evaluate anew: a question that is out is taken back, what the last left is forgotten."""
        self._scheduler.take_back(name)
        self._change(tx, name, lambda state: replace(state, last_date=None, evaluated_at=None))

    def forget(self, tx: Any, name: Name, flow: Flow | None) -> None:
        """Drop all that is known of a trigger; one that the flow still has begins anew."""
        self._scheduler.take_back(name)
        triggers.remove_one(tx.connection, *name)
        if flow is not None:
            self._scheduler.flow_saved(tx, flow, self._clock.now())
        self._scheduler.changed()
        self._scheduler.switches.changed()

    def unlock(self, tx: Any, name: Name) -> None:
        """Free a trigger from the execution that it waits for."""

        def change(state: TriggerState) -> TriggerState:
            if state.execution_id is None:
                raise Refused("Illegal state: Trigger is not locked", status=409)
            return replace(state, execution_id=None)

        self._change(tx, name, change)

    def _change(self, tx: Any, name: Name, change: Callable[[TriggerState], TriggerState]) -> None:
        found = triggers.get(tx.connection, *name)
        if found is None:
            raise Refused(f"Flow {name[1]} has no trigger {name[2]}", status=404)
        after = change(found)
        if after != found:
            triggers.put(tx.connection, [replace(after, updated_at=self._clock.now())])
        self._scheduler.changed()
        self._scheduler.switches.changed()
