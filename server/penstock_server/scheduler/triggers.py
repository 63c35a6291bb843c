"""Schedules: rows that are due become executions, one after the other, none twice.

The date of a trigger, its lock and the execution that it starts are written in one transaction.
While that execution runs the trigger is locked, and dates that pass are run one by one afterwards.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from penstock_runner.engine.state import Execution, TriggerOrigin
from penstock_runner.executor.messages import Outcome, Refused, Start, Starter
from penstock_runner.executor.store import Write
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.model import Flow, Trigger
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.registry import Registry
from penstock_server.clock import Clock
from penstock_server.scheduler.cron import BadCron
from penstock_server.scheduler.rendering import Load, TriggerRender, TriggerServices
from penstock_server.scheduler.schedules import ALL, KINDS, ON_DATES, Plan, plan_of
from penstock_server.store import triggers
from penstock_server.store.triggers import TriggerState

log = logging.getLogger(__name__)

Name = tuple[str, str, str]
_AT_ONCE = 200
_MANY = 50
_SECOND = timedelta(seconds=1)
_SHORTEST = timedelta(milliseconds=100)
_LOOK_AGAIN = timedelta(seconds=5)
_YEARS = timedelta(days=3653)
_MOST_DATES = 2000


class Database(Protocol):
    """What the scheduler reads from."""

    def read(self) -> Any:
        """A context manager that gives a connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Firing:
    """A trigger whose date has come, with all that is known of it."""

    state: TriggerState
    flow: Flow
    trigger: Trigger
    plan: Plan
    date: datetime
    now: datetime


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
        secrets: Mapping[str, str] | None = None,
        load: Load | None = None,
        recover: str = ALL,
    ) -> None:
        self._database = database
        self._starter = starter
        self._clock = clock
        self._flows = flows
        self._expressions = expressions
        self._secrets = secrets or {}
        self._load = load or Registry().load
        self._recover = recover
        self._recovered = False
        self._under_way: set[Name] = set()
        self._stale = True
        self._next: datetime | None = None
        self._asked: datetime | None = None

    # What core's loop calls

    def tick(self, now: datetime) -> datetime | None:
        """Fire what is due; when to be called again.

        Called every second, since rows change between: it only asks the store when they may have.
        """
        if not self._recovered:
            self._recovered = True
            if self._recover_missed(now):
                return now
        soon = now + _SECOND
        if not self._asks(now):
            return soon
        with self._database.read() as connection:
            due = triggers.due(connection, now, _AT_ONCE)
            self._next = triggers.next_due(connection)
        self._stale, self._asked = False, now
        for state in due:
            if _name(state) not in self._under_way:
                self._fire(state, now)
        return soon if self._next is None else min(max(self._next, now + _SHORTEST), soon)

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
        trigger = self._trigger(execution.namespace, execution.flow_id, origin.id)
        stops = trigger.stop_after if trigger is not None else ()
        if not stops and origin.type not in KINDS:
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
        before = _states_of(tx.connection, flows)
        changed: list[TriggerState] = []
        for flow in flows:
            known = before.get((flow.namespace, flow.id), {})
            changed += self._changed(flow, known, now)
            kept = [trigger.id for trigger in flow.triggers]
            if known.keys() - set(kept):
                triggers.remove(tx.connection, flow.namespace, flow.id, keep=kept)
        if changed:
            triggers.put(tx.connection, changed)
            self._stale = True

    def _changed(
        self, flow: Flow, before: Mapping[str, TriggerState], now: datetime
    ) -> list[TriggerState]:
        changed: list[TriggerState] = []
        for trigger in flow.triggers:
            known = before.get(trigger.id)
            digest = _digest(flow, trigger)
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
                )
            )
        return changed

    def flow_deleted(self, tx: Any, namespace: str, flow_id: str) -> None:
        """Forget the triggers of a flow."""
        triggers.remove(tx.connection, namespace, flow_id)

    def _first(self, flow: Flow, trigger: Trigger, now: datetime) -> datetime | None:
        if trigger.kind not in KINDS or flow.disabled or trigger.disabled:
            return None
        try:
            return self._plan(trigger).first(now)
        except (BadCron, ExpressionFailed) as wrong:
            log.warning("trigger %s of %s.%s: %s", trigger.id, flow.namespace, flow.id, wrong)
            return None

    # Firing

    def _fire(self, state: TriggerState, now: datetime) -> None:
        firing = self._firing(state, now)
        if firing is None:
            return
        try:
            start = self._start(firing)
            following = self._following(firing)
        except (ExpressionFailed, TaskFailed) as failed:
            self._cannot(firing, f"Unable to evaluate the trigger '{state.trigger_id}': {failed}")
            return
        after = replace(
            state,
            last_date=firing.date if start is not None else state.last_date,
            next_date=following,
            execution_id=start.id if start is not None else None,
            evaluated_at=now,
            updated_at=now,
        )

        def done(outcome: Outcome) -> None:
            if outcome.error is None:
                return
            self._cannot(firing, f"trigger '{state.trigger_id}' did not start: {outcome.error}")

        self._write(state, after, start, done)

    def _write(
        self,
        before: TriggerState,
        after: TriggerState,
        start: Start | None,
        done: Callable[[Outcome], None],
    ) -> None:
        """The row and the execution in one transaction, unless the row has changed meanwhile."""
        name = _name(before)
        self._under_way.add(name)

        def write(tx: Any) -> None:
            present = triggers.get(tx.connection, *name)
            if present != before:
                raise Refused("the trigger was changed meanwhile", status=409)
            triggers.put(tx.connection, [after])

        def ended(outcome: Outcome) -> None:
            self._under_way.discard(name)
            self._stale = True
            done(outcome)

        starts = [start] if start is not None else []
        self._starter.transact(writes=[write], starts=starts, done=ended)

    def _cannot(self, firing: _Firing, message: str) -> None:
        """The date is passed over: it would not go better the next second."""
        state = firing.state
        log.warning("%s.%s: %s", state.namespace, state.flow_id, message)

        def write(tx: Any) -> None:
            present = triggers.get(tx.connection, *_name(state))
            if present is not None and present.next_date == state.next_date:
                following = firing.plan.following(firing.date, firing.now)
                triggers.put(
                    tx.connection,
                    [replace(present, next_date=following, evaluated_at=firing.now)],
                )

        self._starter.transact(writes=[write])

    def _firing(self, state: TriggerState, now: datetime) -> _Firing | None:
        flow = self._flow(state.namespace, state.flow_id)
        trigger = _find(flow, state.trigger_id)
        if flow is None or trigger is None or flow.disabled or trigger.disabled:
            return None
        if state.next_date is None or trigger.kind not in KINDS:
            return None
        try:
            plan = self._plan(trigger)
        except (BadCron, ExpressionFailed) as wrong:
            log.warning("trigger %s of %s.%s: %s", trigger.id, flow.namespace, flow.id, wrong)
            return None
        date = state.next_date.astimezone(plan.zone)
        return _Firing(state=state, flow=flow, trigger=trigger, plan=plan, date=date, now=now)

    def _start(self, firing: _Firing) -> Start | None:
        """The execution of this date; None when a condition does not hold."""
        dates = {"date": firing.date.isoformat()}
        if not self._holds(firing, firing.date):
            return None
        for name, moment in (
            ("next", self._true_date(firing, forwards=True)),
            ("previous", self._true_date(firing, forwards=False)),
        ):
            if moment is not None:
                dates[name] = moment.astimezone(firing.plan.zone).isoformat()
        trigger = firing.trigger
        # Dates that are written out have no variables.
        variables: dict[str, object] = {} if trigger.kind == ON_DATES else dict(dates)
        render = self._render(firing, {"trigger": variables, "schedule": variables})
        return Start(
            namespace=firing.flow.namespace,
            flow_id=firing.flow.id,
            inputs=render.value(dict(trigger.inputs)),
            resolve=True,
            labels=render.labels(trigger),
            trigger=TriggerOrigin(id=trigger.id, type=trigger.kind, variables=variables),
            schedule_date=firing.date,
            origin="schedule",
            id=self._starter.new_id(),
        )

    def _following(self, firing: _Firing) -> datetime | None:
        following = firing.plan.following(firing.date, firing.now)
        if not firing.plan.conditions:
            return following
        return self._search(firing, following, forwards=True)

    def _true_date(self, firing: _Firing, *, forwards: bool) -> datetime | None:
        """The nearest date on one side for which the conditions hold."""
        dates = firing.plan.dates
        nearest = dates.after(firing.date) if forwards else dates.before(firing.date)
        if not firing.plan.conditions:
            return nearest
        return self._search(firing, nearest, forwards=forwards)

    def _search(
        self, firing: _Firing, start: datetime | None, *, forwards: bool
    ) -> datetime | None:
        """The first date from `start` on that satisfies the conditions, within ten years."""
        dates, moment = firing.plan.dates, start
        for _ in range(_MOST_DATES):
            if moment is None or abs(moment - firing.date) > _YEARS:
                return None
            if self._holds(firing, moment):
                return moment
            moment = dates.after(moment) if forwards else dates.before(moment)
        # So many refusals in a row: go on from here the next time.
        return moment if forwards else None

    def _holds(self, firing: _Firing, moment: datetime) -> bool:
        if not firing.plan.conditions:
            return True
        variables = {"date": moment.astimezone(firing.plan.zone).isoformat()}
        render = self._render(firing, {"trigger": variables, "schedule": variables})
        return all(render.holds(condition, self._load) for condition in firing.plan.conditions)

    def _render(self, firing: _Firing, variables: Mapping[str, Any]) -> TriggerRender:
        services = TriggerServices(firing.now, self._secrets)
        return TriggerRender(self._expressions, services, firing.flow, variables)

    # After a stop

    def _recover_missed(self, now: datetime) -> bool:
        """Move dates that passed while the service was down, as each trigger wants it."""
        with self._database.read() as connection:
            states = triggers.list_states(connection)
        moved: list[TriggerState] = []
        for state in states:
            if state.next_date is None or state.next_date > now or state.disabled:
                continue
            firing = self._firing(state, now)
            if firing is None:
                continue
            following = firing.plan.recovered(firing.date, now)
            if following != state.next_date:
                moved.append(replace(state, next_date=following, updated_at=now))
        if not moved:
            return False

        def write(tx: Any) -> None:
            triggers.put(tx.connection, moved)

        self._starter.transact(writes=[write])
        return True

    # Flows

    def _plan(self, trigger: Trigger) -> Plan:
        return plan_of(trigger, self._expressions.default_zone, self._recover)

    def _flow(self, namespace: str, flow_id: str) -> Flow | None:
        try:
            return self._flows(namespace, flow_id)
        except Refused:
            return None

    def _trigger(self, namespace: str, flow_id: str, trigger_id: str) -> Trigger | None:
        return _find(self._flow(namespace, flow_id), trigger_id)


def _states_of(
    connection: Any, flows: Sequence[Flow]
) -> dict[tuple[str, str], dict[str, TriggerState]]:
    """The rows of these flows; all rows are read at once when there are many."""
    found: Iterable[TriggerState]
    if len(flows) > _MANY:
        found = triggers.list_states(connection)
    else:
        found = [
            state
            for flow in flows
            for state in triggers.of_flow(connection, flow.namespace, flow.id)
        ]
    by_flow: dict[tuple[str, str], dict[str, TriggerState]] = {}
    for state in found:
        by_flow.setdefault((state.namespace, state.flow_id), {})[state.trigger_id] = state
    return by_flow


def _find(flow: Flow | None, trigger_id: str) -> Trigger | None:
    if flow is None:
        return None
    return next((one for one in flow.triggers if one.id == trigger_id), None)


def _name(state: TriggerState) -> Name:
    return (state.namespace, state.flow_id, state.trigger_id)


def _digest(flow: Flow, trigger: Trigger) -> str:
    """Changes when the trigger is written differently, or its flow is switched off or on."""
    written = trigger.model_dump(mode="json", exclude={"description"})
    text = orjson.dumps([written, flow.disabled], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()
