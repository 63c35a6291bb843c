"""Flow triggers: executions of some flows, in some states, start executions of others.

What an execution's new state asks for is written in the transaction that writes the state: a row
per state and trigger, so nothing is lost and nothing happens twice. It is started right afterwards,
in a transaction of its own: a start that fails is logged, and the upstream execution never knows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from penstock_runner.engine.state import Execution, State, TriggerOrigin
from penstock_runner.executor.messages import Outcome, Refused, Start, Starter
from penstock_runner.executor.store import Write
from penstock_runner.expressions.dates.moments import zone
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.variables import trigger_map
from penstock_runner.flow.model import Flow
from penstock_runner.tasks.api import TaskFailed
from penstock_server.clock import Clock
from penstock_server.scheduler.rendering import Load, Services, TriggerRender, without_services
from penstock_server.scheduler.upstream import (
    FLOW,
    Listener,
    Several,
    listener_of,
    states_between,
    variables_of,
)
from penstock_server.scheduler.windows import Window, opened
from penstock_server.store import flow_fires, triggers
from penstock_server.store.flow_fires import FlowFire, StoredWindow

log = logging.getLogger(__name__)

_AT_ONCE = 1000
_KEPT = timedelta(days=1)
_TIDY_EVERY = timedelta(hours=1)


class _NotAsked(Refused):
    """The row of a fire is not there, or somebody has taken it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A trigger that an execution may fire, as far as can be told without the store."""

    flow: Flow
    listener: Listener
    execution: Execution
    place: int
    render: TriggerRender
    held: Mapping[str, frozenset[str]]


class FlowTriggers:
    """All Flow triggers; called by the executor's thread."""

    def __init__(
        self,
        *,
        database: Any,
        starter: Starter,
        clock: Clock,
        flows: Callable[[str, str], Flow | None],
        expressions: Expressions,
        load: Load,
        services: Services = without_services,
        constants: Mapping[str, Any] | None = None,
    ) -> None:
        self._database = database
        self._starter = starter
        self._clock = clock
        self._flows = flows
        self._expressions = expressions
        self._zone = zone(expressions.default_zone)
        self._load = load
        self._services = services
        self._constants = constants or {}
        self._listening: dict[tuple[str, str], frozenset[str]] | None = None
        self._read: dict[tuple[str, str], tuple[int | None, tuple[Listener, ...]]] = {}
        self._tidied: datetime | None = None

    # Which flows listen

    def flows_saved(self, flows: Mapping[tuple[str, str], frozenset[str]]) -> None:
        """Flows were saved: remember those that listen to others, with these triggers."""
        known = self._known()
        for name, on in flows.items():
            self._read.pop(name, None)
            if on:
                known[name] = on
            else:
                known.pop(name, None)

    def flow_deleted(self, tx: Any, namespace: str, flow_id: str) -> None:
        """A flow is gone."""
        self._known().pop((namespace, flow_id), None)
        flow_fires.remove_windows(tx.connection, namespace, flow_id)

    def _known(self) -> dict[tuple[str, str], frozenset[str]]:
        if self._listening is None:
            found: dict[tuple[str, str], set[str]] = {}
            with self._database.read() as connection:
                for row in triggers.list_states(connection, type_=FLOW):
                    if not (row.body or {}).get("off"):
                        found.setdefault((row.namespace, row.flow_id), set()).add(row.trigger_id)
            self._listening = {name: frozenset(ids) for name, ids in found.items()}
        return self._listening

    # The hook of the executor

    def changed(self, execution: Execution, told: int) -> Sequence[Write]:
        """What to write because an execution has reached new states."""
        if not self._known():
            return ()
        candidates: list[_Candidate] = []
        try:
            for place, state in states_between(execution, told):
                candidates += self._candidates(_as_of(execution, place, state), place)
        except Exception:
            # Whatever a trigger does, the execution that it listens to goes on.
            log.exception("Flow triggers: execution %s could not be looked at", execution.id)
        return [partial(self._decide, one) for one in candidates]

    def _candidates(self, execution: Execution, place: int) -> Iterable[_Candidate]:
        variables: dict[str, Any] | None = None
        for name in list(self._known()):
            if name == (execution.namespace, execution.flow_id):
                continue
            for flow, listener in self._listeners(name):
                if listener.may_fire(execution):
                    variables = variables or {**self._constants, **variables_of(execution)}
                    yield from self._candidate(flow, listener, execution, place, variables)

    def _listeners(self, name: tuple[str, str]) -> list[tuple[Flow, Listener]]:
        flow = self._flow(*name)
        if flow is None or flow.disabled:
            return []
        known = self._read.get(name)
        if known is None or known[0] != flow.revision:
            known = (flow.revision, tuple(self._read_listeners(flow)))
            self._read[name] = known
        on = self._known().get(name, frozenset())
        return [(flow, one) for one in known[1] if one.trigger.id in on]

    def _read_listeners(self, flow: Flow) -> Iterable[Listener]:
        for trigger in flow.triggers:
            if trigger.kind != FLOW or trigger.disabled:
                continue
            try:
                yield listener_of(trigger)
            except (ValueError, TaskFailed) as wrong:
                where = f"{flow.namespace}.{flow.id}"
                log.warning("%s: trigger %s cannot be read: %s", where, trigger.id, wrong)

    def _candidate(
        self,
        flow: Flow,
        listener: Listener,
        execution: Execution,
        place: int,
        variables: Mapping[str, Any],
    ) -> Iterable[_Candidate]:
        try:
            services = self._services(flow.namespace, self._clock.now())
            own = trigger_map(listener.trigger.id, listener.trigger.type, variables["trigger"])
            seen = {**variables, "trigger": own}
            render = TriggerRender(self._expressions, services, flow, seen)
            if not listener.fires(execution, render, self._load):
                return
            held = {one.id: one.held(execution, render, self._load) for one in listener.several}
        except Exception:
            where = f"{flow.namespace}.{flow.id}"
            log.exception("%s: trigger %s could not be evaluated", where, listener.trigger.id)
            return
        if not held or any(held.values()):
            yield _Candidate(
                flow=flow,
                listener=listener,
                execution=execution,
                place=place,
                render=render,
                held=held,
            )

    # In the transaction that writes the state

    def _decide(self, one: _Candidate, tx: Any) -> None:
        flow, trigger = one.flow, one.listener.trigger
        row = triggers.get(tx.connection, flow.namespace, flow.id, trigger.id)
        if row is not None and row.disabled:
            return
        if not self._all_held(one, tx):
            return
        try:
            start = self._start(one)
        except Exception as failed:  # noqa: BLE001 - it must not undo what others write
            _warn(flow.namespace, flow.id, trigger.id, failed)
            return
        fire = FlowFire(
            namespace=flow.namespace,
            flow_id=flow.id,
            trigger_id=trigger.id,
            upstream_id=one.execution.id,
            place=one.place,
            execution_id=str(start.id),
            created_at=self._clock.now(),
            start=_data(start),
        )
        if flow_fires.add(tx.connection, fire):
            self._begin(fire)

    def _all_held(self, one: _Candidate, tx: Any) -> bool:
        """Note what has held, and say whether everything has by now."""
        complete = True
        for several in one.listener.several:
            window = self._window(one, several, tx)
            complete = complete and several.parts.keys() <= window.held.keys()
        if complete:
            for several in one.listener.several:
                if several.resets:
                    name = (one.flow.namespace, one.flow.id, several.id)
                    flow_fires.remove_window(tx.connection, *name)
        return complete

    def _window(self, one: _Candidate, several: Several, tx: Any) -> Window:
        name = (one.flow.namespace, one.flow.id, several.id)
        now = self._clock.now()
        stored = flow_fires.window(tx.connection, *name)
        window = (
            Window(start=stored.start_at, end=stored.end_at, held=stored.held)
            if stored is not None
            else None
        )
        if window is None or not window.open(now):
            window = opened(several.window, now, self._zone)
        held = dict.fromkeys(sorted(one.held[several.id]), one.execution.id)
        window = replace(window, held={**window.held, **held})
        namespace, flow_id, condition_id = name
        flow_fires.put_window(
            tx.connection,
            StoredWindow(
                namespace=namespace,
                flow_id=flow_id,
                condition_id=condition_id,
                start_at=window.start,
                end_at=window.end,
                held=window.held,
            ),
        )
        return window if window.open(now) else replace(window, held={})

    def _start(self, one: _Candidate) -> Start:
        trigger, execution = one.listener.trigger, one.execution
        variables: dict[str, object] = {
            "executionId": execution.id,
            "namespace": execution.namespace,
            "flowId": execution.flow_id,
            "flowRevision": execution.flow_revision,
            "state": execution.state.value,
        }
        return Start(
            namespace=one.flow.namespace,
            flow_id=one.flow.id,
            inputs=one.render.value(dict(trigger.inputs)) or None,
            labels=one.render.labels(trigger.labels),
            trigger=TriggerOrigin(id=trigger.id, type=FLOW, variables=variables),
            origin="flow",
            id=self._starter.new_id(),
            correlate=False,
        )

    # Starting what was asked for

    def tick(self, now: datetime) -> None:
        """Take up what a service that died has left, and forget what is long done."""
        if self._tidied is None:
            with self._database.read() as connection:
                left = flow_fires.pending(connection, _AT_ONCE)
            for fire in left:
                self._begin(fire)
        if self._tidied is None or now - self._tidied >= _TIDY_EVERY:
            self._tidied = now
            if self._known():
                before = now - _KEPT
                self._starter.transact(writes=[lambda tx: flow_fires.tidy(tx.connection, before)])

    def _begin(self, fire: FlowFire) -> None:
        def take(tx: Any) -> None:
            if not flow_fires.take(tx.connection, fire):
                raise _NotAsked("nobody asks for this execution any more", status=409)

        def done(outcome: Outcome) -> None:
            if outcome.error is None or isinstance(outcome.error, _NotAsked):
                return
            _warn(fire.namespace, fire.flow_id, fire.trigger_id, outcome.error)
            # Asking again would not help.
            self._starter.transact(writes=[lambda tx: _forget(tx, fire)])

        self._starter.transact(writes=[take], starts=[_start_of(fire)], done=done)

    def _flow(self, namespace: str, flow_id: str) -> Flow | None:
        try:
            return self._flows(namespace, flow_id)
        except Refused:
            return None


def _as_of(execution: Execution, place: int, state: State) -> Execution:
    """The execution as it was when it reached a state."""
    if place == len(execution.history) - 1:
        return execution
    outputs = execution.outputs if state.terminal else None
    return replace(execution, history=execution.history[: place + 1], outputs=outputs)


def _forget(tx: Any, fire: FlowFire) -> None:
    flow_fires.take(tx.connection, fire)


def _warn(namespace: str, flow_id: str, trigger_id: str, reason: Exception) -> None:
    log.warning("Failed to trigger flow %s.%s by '%s': %s", namespace, flow_id, trigger_id, reason)


def _data(start: Start) -> dict[str, Any]:
    variables = start.trigger.variables if start.trigger is not None else {}
    inputs = dict(start.inputs) if start.inputs is not None else None
    return {"inputs": inputs, "labels": dict(start.labels), "variables": dict(variables)}


def _start_of(fire: FlowFire) -> Start:
    data = fire.start or {}
    variables = data.get("variables") or {}
    return Start(
        namespace=fire.namespace,
        flow_id=fire.flow_id,
        inputs=data.get("inputs"),
        labels=data.get("labels") or {},
        trigger=TriggerOrigin(id=fire.trigger_id, type=FLOW, variables=variables),
        origin="flow",
        id=fire.execution_id,
        correlate=False,
    )


def listening(flow: Flow) -> frozenset[str]:
    """The triggers of a flow that listen to other flows; none when it is switched off."""
    on = () if flow.disabled else flow.triggers
    return frozenset(one.id for one in on if one.kind == FLOW and not one.disabled)
