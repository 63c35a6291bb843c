"""Schedules and polls: rows that are due are dealt with, one after the other, none twice.

While the execution that a trigger has started runs, the trigger is locked, and dates that pass are
run one by one afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from penstock_runner.engine.state import Execution
from penstock_runner.executor.messages import Outcome, Starter
from penstock_runner.executor.store import Write
from penstock_runner.expressions.environment import Expressions
from penstock_runner.flow.model import Flow
from penstock_runner.jobs.protocol import Report
from penstock_runner.tasks.registry import Registry
from penstock_server.clock import Clock
from penstock_server.scheduler.dates import DueDates
from penstock_server.scheduler.evaluation import Evaluation
from penstock_server.scheduler.flow_triggers import FlowTriggers
from penstock_server.scheduler.parking import Parking, unpark
from penstock_server.scheduler.polling import Polling
from penstock_server.scheduler.reading import FindFlow, Reading
from penstock_server.scheduler.recovery import may_be_late, recovered
from penstock_server.scheduler.rendering import Load, Services, without_services
from penstock_server.scheduler.rows import Name, find, name_of, stops_after
from penstock_server.scheduler.saving import ReadyTriggers, Saving
from penstock_server.scheduler.schedules import ALL, KINDS
from penstock_server.scheduler.switches import Switches
from penstock_server.store import triggers
from penstock_server.store.staging import Staging
from penstock_server.store.triggers import TriggerState

log = logging.getLogger(__name__)

_AT_ONCE = 200
_SECOND = timedelta(seconds=1)
_SHORTEST = timedelta(milliseconds=100)
_LOOK_AGAIN = timedelta(seconds=5)
# A date that has only just come is not missed, whatever else happens in that moment.
_NOT_YET_MISSED = timedelta(seconds=10)


class Database(Protocol):
    """What the scheduler reads from."""

    def read(self) -> Any:
        """A context manager that gives a connection."""
        ...


class Scheduler:
    """All triggers with a moment; called by core's loop, from one thread."""

    def __init__(
        self,
        *,
        database: Database,
        starter: Starter,
        clock: Clock,
        flows: FindFlow,
        expressions: Expressions,
        services: Services = without_services,
        load: Load | None = None,
        constants: Mapping[str, Any] | None = None,
        recover: str = ALL,
        flow_triggers: FlowTriggers | None = None,
        polling: Polling | None = None,
    ) -> None:
        self._database = database
        self._starter = starter
        self._clock = clock
        load = load or Registry().load
        self.evaluation = Evaluation(expressions, services, load, constants or {})
        self.reading = Reading(flows, expressions.default_zone, recover)
        self.switches = Switches(database)
        self._flow_triggers = flow_triggers
        self._polling = polling
        self._parking = Parking()
        self._saving = Saving(self.reading, self.polls)
        self._dates = DueDates(
            starter=starter,
            reading=self.reading,
            evaluation=self.evaluation,
            parking=self._parking,
            written=self.changed,
        )
        self._recovers: timedelta | None = timedelta(0)
        self._stale = True
        self._next: datetime | None = None
        self._asked: datetime | None = None

    # What core's loop calls

    def tick(self, now: datetime) -> datetime | None:
        """Fire what is due; when to be called again.

        Called every second, since rows change between: it only asks the store when they may have.
        """
        if self._flow_triggers is not None:
            self._flow_triggers.tick(now)
        if self._recovers is not None and self._recover_missed(now):
            return now
        if self._polling is not None:
            self._polling.tick()
        self._look_at_parked()
        soon = now + _SECOND
        if not self._asks(now):
            return soon
        with self._database.read() as connection:
            due = triggers.due(connection, now, _AT_ONCE)
            self._next = triggers.next_due(connection)
        self._stale, self._asked = False, now
        for state in due:
            if self.polls(state.type):
                self._poll(state, now)
            elif not self._dates.under_way(name_of(state)):
                self._dates.fire(state, now)
        return soon if self._next is None else min(max(self._next, now + _SHORTEST), soon)

    def changed(self) -> None:
        """Rows were changed by somebody else: look at once."""
        self._stale = True

    def flow_switched(self, namespace: str, flow_id: str) -> None:
        """A flow may be on that was off."""
        self._parking.flow_switched(namespace, flow_id)

    def _asks(self, now: datetime) -> bool:
        """Whether the store may know of something due. Others change rows too, so now and then."""
        waits = self._next is None or self._next > now
        recently = self._asked is not None and now - self._asked < _LOOK_AGAIN
        return self._stale or not waits or not recently

    def execution_ended(self, execution: Execution) -> list[Write]:
        """Free the trigger that started an execution, and stop it when its `stopAfter` says so."""
        origin = execution.trigger
        if origin is None:
            return []
        trigger = find(self.reading.flow(execution.namespace, execution.flow_id), origin.id)
        stops = stops_after(trigger) if trigger is not None else frozenset()
        if not stops and origin.type not in KINDS and not self.polls(origin.type):
            return []
        disabled = execution.state.value in stops

        def write(tx: Any) -> None:
            state = triggers.get(tx.connection, execution.namespace, execution.flow_id, origin.id)
            if state is None:
                return
            freed = None if state.execution_id == execution.id else state.execution_id
            after = replace(state, execution_id=freed)
            if stops:
                after = replace(after, disabled=disabled)
                self.switches.changed()
            if after != state:
                self._stale = True
                triggers.put(tx.connection, [replace(after, updated_at=self._clock.now())])

        return [write]

    # What is called in the transaction that saves a flow

    def flow_saved(self, tx: Any, flow: Flow, now: datetime) -> None:
        """Make the rows of the flow's triggers what its text says."""
        self.flows_saved(tx, [flow], now)

    def flows_saved(self, tx: Any, flows: Sequence[Flow], now: datetime) -> None:
        """The same for many flows at once, in a few statements."""
        self.write_ready(tx, self.ready(tx.connection, flows, now))

    def ready(self, connection: Any, flows: Sequence[Flow], now: datetime) -> ReadyTriggers:
        """What saving these flows means for their triggers, to be written later."""
        return self._saving.ready(connection, flows, now)

    def stage(self, tx: Any, made: ReadyTriggers, staging: Staging) -> None:
        """Put it aside, to be written with the flows."""
        self._saving.stage(tx, made, staging)

    def write_staged(self, tx: Any, staging: Staging) -> None:
        """Write what was put aside, before `write_ready` of each."""
        triggers.put_staged(tx, staging)

    def write_ready(self, tx: Any, made: ReadyTriggers) -> None:
        """Write it, with the flows."""
        self._saving.write(tx, made)
        for namespace, flow_id in made.listening:
            self.flow_switched(namespace, flow_id)
        if self._flow_triggers is not None:
            self._flow_triggers.flows_saved(made.listening)
        self._saved()

    def flow_deleted(self, tx: Any, namespace: str, flow_id: str) -> None:
        """Forget the triggers of a flow."""
        triggers.remove(tx.connection, namespace, flow_id)
        if self._flow_triggers is not None:
            self._flow_triggers.flow_deleted(tx, namespace, flow_id)
        self._saved()

    def flows_deleted(self, tx: Any, names: Sequence[tuple[str, str]]) -> None:
        """The same for many flows at once."""
        triggers.remove_many(tx, names)
        if self._flow_triggers is not None:
            for namespace, flow_id in names:
                self._flow_triggers.flow_deleted(tx, namespace, flow_id)
        self._saved()

    def _saved(self) -> None:
        self.changed()
        self.switches.changed()
        if self._recovers is None:
            self._recovers = _NOT_YET_MISSED

    # Polling

    def reported(self, report: Report) -> bool:
        """Take a runner's report, if it is about a trigger."""
        return self._polling is not None and self._polling.reported(report)

    def take_back(self, name: Name) -> None:
        """Let nobody wait for the evaluation of a trigger that is out."""
        if self._polling is not None:
            self._polling.take_back(name)

    def _poll(self, state: TriggerState, now: datetime) -> None:
        found = self.reading.trigger(state)
        if found is None:
            self._dates.park(state)
        elif self._polling is not None:
            self._polling.ask(state, *found, now)

    def polls(self, kind: str) -> bool:
        """Whether runners evaluate triggers of this type."""
        return self._polling is not None and self._polling.polls(kind)

    def _look_at_parked(self) -> None:
        """Let triggers go on whose flows have been switched on, some at a time."""
        for name in self._parking.to_look_at():
            flow = self.reading.flow(name[0], name[1])
            trigger = find(flow, name[2])
            if flow is None or trigger is None or flow.disabled or trigger.disabled:
                continue
            if self.polls(trigger.kind) or self.reading.plan(flow, trigger) is not None:
                self._parking.let_go(name)
                self._starter.transact(writes=[partial(unpark, name)], done=self._written)

    # After a stop

    def _recover_missed(self, now: datetime) -> bool:
        """Move dates that were missed, as each trigger wants it; whether there were any."""
        starts = self._recovers == timedelta(0)
        before = now - (self._recovers or timedelta(0))
        self._recovers = None
        with self._database.read() as connection:
            if starts:
                states = triggers.list_states(connection)
            else:
                states = triggers.late(connection, before)
        moves: list[tuple[TriggerState, TriggerState]] = []
        for state in states:
            if starts and self._polling is not None:
                self._polling.found(state)
            if not self._parking.found(state) and state.type in KINDS and may_be_late(state, now):
                firing = self.reading.firing(state, now)
                after = recovered(firing, self.evaluation) if firing is not None else state
                if after != state:
                    moves.append((state, replace(after, updated_at=now)))
        if not moves:
            return False
        self._starter.transact(writes=[partial(_move, moves)], done=self._written)
        return True

    def _written(self, _outcome: Outcome) -> None:
        self._stale = True


def _move(moves: Sequence[tuple[TriggerState, TriggerState]], tx: Any) -> None:
    """Write rows that are still what they were when it was decided."""
    kept = [
        after for before, after in moves if triggers.get(tx.connection, *name_of(before)) == before
    ]
    triggers.put(tx.connection, kept)
