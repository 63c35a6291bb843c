"""Schedules: rows that are due become executions, one after the other, none twice.

The date of a trigger, its lock and the execution that it starts are written in one transaction.
While that execution runs the trigger is locked, and dates that pass are run one by one afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from penstock_runner.engine.state import Execution
from penstock_runner.executor.messages import Outcome, Refused, Start, Starter
from penstock_runner.executor.store import Write
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.model import Flow, Trigger
from penstock_runner.jobs.protocol import Report
from penstock_runner.tasks.registry import Registry
from penstock_server.clock import Clock
from penstock_server.scheduler.backfills import moved
from penstock_server.scheduler.cron import BadCron
from penstock_server.scheduler.evaluation import CannotEvaluate, Evaluation, Firing
from penstock_server.scheduler.flow_triggers import FlowTriggers
from penstock_server.scheduler.parking import Parking, unpark
from penstock_server.scheduler.polling import POLLED, Polling
from penstock_server.scheduler.recovery import may_be_late, recovered
from penstock_server.scheduler.rendering import Load, Services, without_services
from penstock_server.scheduler.rows import Name, digest_of, find, name_of, states_of
from penstock_server.scheduler.schedules import ALL, KINDS, Plan, plan_of
from penstock_server.store import triggers
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


class _Changed(Refused):
    """The row is no longer what was read; the trigger is looked at again."""


class Scheduler:
    """All schedules; called by core's loop, from one thread."""

    def __init__(
        self,
        *,
        database: Database,
        starter: Starter,
        clock: Clock,
        flows: Callable[[str, str], Flow | None],
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
        self._flows = flows
        self._zone = expressions.default_zone
        load = load or Registry().load
        self.evaluation = Evaluation(expressions, services, load, constants or {})
        self._flow_triggers = flow_triggers
        self._polling = polling
        self._recover = recover
        self._recovers: timedelta | None = timedelta(0)
        self._under_way: set[Name] = set()
        self._parking = Parking()
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
        self._look_at_parked()
        soon = now + _SECOND
        if not self._asks(now):
            return soon
        with self._database.read() as connection:
            due = triggers.due(connection, now, _AT_ONCE)
            self._next = triggers.next_due(connection)
        self._stale, self._asked = False, now
        for state in due:
            if name_of(state) not in self._under_way:
                self._fire(state, now)
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
        trigger = find(self._flow(execution.namespace, execution.flow_id), origin.id)
        stops = trigger.stop_after if trigger is not None else ()
        if not stops and origin.type not in KINDS | POLLED:
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
            if after != state:
                self._stale = True
                triggers.put(tx.connection, [replace(after, updated_at=self._clock.now())])

        return [write]

    # What is called in the transaction that saves a flow

    def flow_saved(self, tx: Any, flow: Flow, now: datetime) -> None:
        """Make the rows of the flow's triggers what its text says.

        A trigger that is as before keeps its state; one that was changed begins anew from now, but
        stays switched off when a person has done that.
        """
        self.flows_saved(tx, [flow], now)

    def flows_saved(self, tx: Any, flows: Sequence[Flow], now: datetime) -> None:
        """The same for many flows at once, in a few statements."""
        before = states_of(tx.connection, flows)
        changed: list[TriggerState] = []
        for flow in flows:
            known = before.get((flow.namespace, flow.id), {})
            changed += self._new_rows(flow, known, now)
            kept = [trigger.id for trigger in flow.triggers]
            if known.keys() - set(kept):
                triggers.remove(tx.connection, flow.namespace, flow.id, keep=kept)
        if changed:
            triggers.put(tx.connection, changed)
        for flow in flows:
            self.flow_switched(flow.namespace, flow.id)
        if self._flow_triggers is not None:
            self._flow_triggers.flows_saved(flows)
        self._saved()

    def flow_deleted(self, tx: Any, namespace: str, flow_id: str) -> None:
        """Forget the triggers of a flow."""
        triggers.remove(tx.connection, namespace, flow_id)
        if self._flow_triggers is not None:
            self._flow_triggers.flow_deleted(tx, namespace, flow_id)
        self._saved()

    def _saved(self) -> None:
        self.changed()
        if self._recovers is None:
            self._recovers = _NOT_YET_MISSED

    def _new_rows(
        self, flow: Flow, before: Mapping[str, TriggerState], now: datetime
    ) -> list[TriggerState]:
        changed: list[TriggerState] = []
        for trigger in flow.triggers:
            known = before.get(trigger.id)
            digest = digest_of(flow, trigger)
            if known is not None and known.digest == digest:
                continue
            changed.append(
                TriggerState(
                    namespace=flow.namespace,
                    flow_id=flow.id,
                    trigger_id=trigger.id,
                    type=trigger.kind,
                    digest=digest,
                    updated_at=now,
                    next_date=self._first(flow, trigger, now),
                    execution_id=known.execution_id if known is not None else None,
                    disabled=known.disabled if known is not None else False,
                    last_date=known.last_date if known is not None else None,
                    body={"off": True} if flow.disabled or trigger.disabled else None,
                )
            )
        return changed

    def _first(self, flow: Flow, trigger: Trigger, now: datetime) -> datetime | None:
        if trigger.kind not in KINDS | POLLED or flow.disabled or trigger.disabled:
            return None
        if trigger.kind in POLLED:
            return now
        plan = self._plan(flow, trigger)
        first = plan.first(now) if plan is not None else None
        if plan is not None and first is None:
            where = f"{flow.namespace}.{flow.id}"
            log.warning("%s: trigger %s never fires: it has no date to come", where, trigger.id)
        return first

    # Firing

    def reported(self, report: Report) -> bool:
        """Take a runner's report, if it is about a trigger."""
        return self._polling is not None and self._polling.reported(report)

    def _poll(self, state: TriggerState, now: datetime) -> None:
        flow = self._flow(state.namespace, state.flow_id)
        trigger = find(flow, state.trigger_id)
        if flow is None or trigger is None or flow.disabled or trigger.disabled:
            self._write(state, self._parking.parked(state), None, _nothing)
        elif self._polling is not None:
            self._polling.ask(state, flow, trigger, now)

    def _fire(self, state: TriggerState, now: datetime) -> None:
        if state.type in POLLED:
            self._poll(state, now)
            return
        found = self.firing(state, now)
        if found is None or found.flow.disabled or found.trigger.disabled:
            self._write(state, self._parking.parked(state), None, _nothing)
            return
        date = found.plan.at_or_after(found.date)
        early = state.backfill is not None and date is not None and date > found.date
        if date is None or date > now + _SECOND or early:
            # What was stored is no date of the schedule.
            self._write(state, moved(state, date), None, _nothing)
            return
        firing = replace(found, date=date.astimezone(found.plan.zone))
        self._run(firing)

    def _run(self, firing: Firing) -> None:
        state = firing.state
        try:
            start = self.evaluation.start(firing, self._starter.new_id())
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
        dealt_with = replace(
            state,
            last_date=firing.date if ran else state.last_date,
            execution_id=start.id if start is not None and start.failure is None else None,
            evaluated_at=firing.now,
            updated_at=firing.now,
        )
        return moved(dealt_with, self.evaluation.following(firing))

    def _fail(self, firing: Firing, message: str) -> None:
        """Keep a record of what went wrong; the date is over, it would not go better later."""
        state = firing.state
        log.warning("%s.%s: %s", state.namespace, state.flow_id, message)
        record = self.evaluation.failure(firing, message, self._starter.new_id())
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
            self._stale = True
            done(outcome)

        starts = [start] if start is not None else []
        self._starter.transact(writes=[write], starts=starts, done=ended)

    def _look_at_parked(self) -> None:
        """Let triggers go on whose flows have been switched on, some at a time."""
        for name in self._parking.to_look_at():
            flow = self._flow(name[0], name[1])
            trigger = find(flow, name[2])
            if flow is None or trigger is None or flow.disabled or trigger.disabled:
                continue
            if trigger.kind in POLLED or self._plan(flow, trigger) is not None:
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
            if not self._parking.found(state) and state.type in KINDS and may_be_late(state, now):
                firing = self.firing(state, now)
                after = recovered(firing, self.evaluation) if firing is not None else state
                if after != state:
                    moves.append((state, replace(after, updated_at=now)))
        if not moves:
            return False
        self._starter.transact(writes=[partial(_move, moves)], done=self._written)
        return True

    def _written(self, _outcome: Outcome) -> None:
        self._stale = True

    # Flows

    def firing(self, state: TriggerState, now: datetime) -> Firing | None:
        """A row with its flow and its dates; None when it is no schedule that can be read."""
        flow = self._flow(state.namespace, state.flow_id)
        trigger = find(flow, state.trigger_id)
        if flow is None or trigger is None or trigger.kind not in KINDS:
            return None
        plan = self._plan(flow, trigger)
        if plan is None:
            return None
        date = (state.next_date or now).astimezone(plan.zone)
        return Firing(state=state, flow=flow, trigger=trigger, plan=plan, date=date, now=now)

    def _plan(self, flow: Flow, trigger: Trigger) -> Plan | None:
        try:
            return plan_of(trigger, self._zone, self._recover)
        except (BadCron, ExpressionFailed, ValueError) as wrong:
            log.warning("trigger %s of %s.%s: %s", trigger.id, flow.namespace, flow.id, wrong)
            return None

    def _flow(self, namespace: str, flow_id: str) -> Flow | None:
        try:
            return self._flows(namespace, flow_id)
        except Refused:
            return None


def _move(moves: Sequence[tuple[TriggerState, TriggerState]], tx: Any) -> None:
    """Write rows that are still what they were when it was decided."""
    kept = [
        after for before, after in moves if triggers.get(tx.connection, *name_of(before)) == before
    ]
    triggers.put(tx.connection, kept)


def _nothing(_outcome: Outcome) -> None:
    """Nobody waits for it."""
