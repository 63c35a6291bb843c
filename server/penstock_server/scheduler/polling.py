"""Polling triggers: a runner asks the world at an interval, and what it finds may start a flow.

Nothing is asked here: the question goes to a runner as a job that belongs to no execution, and
comes back as its report. One that is lost with its runner is asked again at the next interval.

What was found and the execution that it starts are written in one transaction; only then is the
runner told that it was taken (`penstock_runner.tasks.polling`), so that a file that arrived is
moved away after its execution exists. The row remembers what has to be told until it has been, and
nothing new is asked before: whoever dies in between, nothing is lost and nothing is found twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import orjson

from penstock_runner.engine.state import State, TriggerOrigin
from penstock_runner.executor.dispatch import Dispatch, RunnerSeat
from penstock_runner.executor.messages import Outcome, Refused, Start, Starter
from penstock_runner.executor.neighbourhood import send_cancel
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.variables import trigger_map
from penstock_runner.flow.model import Flow, Trigger
from penstock_runner.flow.types import CORE
from penstock_runner.jobs.protocol import Job, JobId, Report
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.places import SCHEME
from penstock_runner.tasks.polling import DROPPED, FOUND, TAKEN, WORD, interval_of, must_be_told
from penstock_server.clock import Clock
from penstock_server.scheduler.reading import Reading
from penstock_server.scheduler.rendering import Load, Services, TriggerRender
from penstock_server.scheduler.rows import Name, name_of, says
from penstock_server.scheduler.seats import TriggerSeats
from penstock_server.store import triggers
from penstock_server.store.triggers import TriggerState

log = logging.getLogger(__name__)

HTTP = CORE + "http.Trigger"
_WITHOUT_RUNNER = timedelta(seconds=5)
_BODY = "taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a runner was given for a trigger: a question, or a word about its last answer."""

    name: Name
    flow: Flow
    trigger: Trigger
    job: JobId
    word: Mapping[str, Any] | None


class Polling:
    """All polling triggers; called by core's loop, from one thread."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        seats: TriggerSeats,
        starter: Starter,
        clock: Clock,
        reading: Reading,
        expressions: Expressions,
        services: Services,
        load: Load,
        polls: Callable[[str], bool],
        constants: Mapping[str, Any],
    ) -> None:
        self.polls = polls
        self._dispatch = dispatch
        self._seats = seats
        self._starter = starter
        self._clock = clock
        self._reading = reading
        self._expressions = expressions
        self._services = services
        self._load = load
        self._constants = constants
        self._asked: dict[str, _Asked] = {}
        self._to_tell: dict[Name, TriggerState] = {}

    # Asking

    def found(self, state: TriggerState) -> None:
        """A row as a service that stopped has left it: what was not told yet is told soon."""
        if _BODY in (state.body or {}):
            self._to_tell[name_of(state)] = state

    def tick(self) -> None:
        """Tell runners that what they found was taken, as far as there are free slots."""
        for name, state in list(self._to_tell.items()):
            if self._out(name):
                continue
            found = self._reading.trigger(state)
            seat = self._seats.find(*found) if found is not None else None
            if found is None:
                # The trigger is gone or off; it is told when it is looked at again.
                del self._to_tell[name]
            elif seat is not None:
                del self._to_tell[name]
                self._tell(seat, state, *found)

    def ask(self, state: TriggerState, flow: Flow, trigger: Trigger, now: datetime) -> None:
        """Have a trigger evaluated by a runner with a free slot, if there is one."""
        name = name_of(state)
        seat = self._seats.find(flow, trigger)
        later = now + (self._interval(trigger) if seat is not None else _WITHOUT_RUNNER)
        self._starter.transact(writes=[partial(_postpone, state, later)])
        if self._out(name) or seat is None:
            return
        if _BODY in (state.body or {}):
            self._to_tell.pop(name, None)
            self._tell(seat, state, flow, trigger)
            return
        self._send(seat, name, flow, trigger, question=self._starter.new_id(), word=None)

    def take_back(self, name: Name) -> None:
        """Stop an evaluation that is out; what it finds is not looked at."""
        for key, one in list(self._asked.items()):
            if one.name == name and one.word is None:
                del self._asked[key]
                seat = self._dispatch.seat_of(one.job)
                self._dispatch.free(one.job)
                if seat is not None:
                    send_cancel(seat, one.job)

    def _interval(self, trigger: Trigger) -> timedelta:
        return interval_of(self._load(trigger.kind), trigger.properties.get("interval"))

    def _out(self, name: Name) -> bool:
        """Whether a runner has something of this trigger; what was lost with it is forgotten."""
        known = next((key for key, one in self._asked.items() if one.name == name), None)
        if known is None:
            return False
        if self._dispatch.knows(self._asked[known].job):
            return True
        del self._asked[known]
        return False

    def _tell(self, seat: RunnerSeat, state: TriggerState, flow: Flow, trigger: Trigger) -> None:
        taken = (state.body or {})[_BODY]
        word = {"is": TAKEN, FOUND: taken[FOUND]}
        self._send(seat, name_of(state), flow, trigger, question=str(taken["id"]), word=word)

    def _send(
        self,
        seat: RunnerSeat,
        name: Name,
        flow: Flow,
        trigger: Trigger,
        *,
        question: str,
        word: Mapping[str, Any] | None,
    ) -> None:
        job = self._job(flow, trigger, question, word)
        self._asked[question] = _Asked(name=name, flow=flow, trigger=trigger, job=job.id, word=word)
        self._dispatch.take(seat, job.id)
        seat.send(job.to_wire())

    def _job(
        self, flow: Flow, trigger: Trigger, question: str, word: Mapping[str, Any] | None
    ) -> Job:
        """The question as a job; an execution that comes of it has its id, and finds its files."""
        variables = {
            **self._constants,
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
            "namespace": {"id": flow.namespace},
            "vars": dict(flow.variables),
            "trigger": trigger_map(trigger.id, trigger.type),
        }
        return Job(
            execution_id=question,
            key=trigger.id,
            attempt=1 if word is None else 2,
            taskrun_id=question,
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision or 0,
            task={
                "id": trigger.id,
                "type": trigger.type,
                "kind": trigger.kind,
                "timeout": None,
                "logLevel": None,
                "logToFile": False,
                "properties": dict(trigger.properties),
                WORD: word,
            },
            variables=variables,
        )

    # Answers

    def reported(self, report: Report) -> bool:
        """Take the answer to a question; False when the report is about something else."""
        asked = self._asked.get(report.execution_id)
        job = (report.execution_id, report.key, report.attempt)
        if asked is None or asked.job != job:
            return False
        del self._asked[report.execution_id]
        self._dispatch.free(job)
        if report.state != State.SUCCESS.value:
            self._failed(asked, report.error or report.state)
        elif asked.word is not None:
            self._starter.transact(writes=[partial(_told, asked.name, report.execution_id)])
        else:
            found = (report.outputs or {}).get(FOUND)
            self._answered(asked, None if found is None else dict(found))
        return True

    def _answered(self, asked: _Asked, found: dict[str, Any] | None) -> None:
        start: Start | None = None
        if found is not None:
            try:
                start = self._start(asked, found)
            except (ExpressionFailed, TaskFailed) as failed:
                self._failed(asked, failed, found)
                return
        self._go_on(asked, start, found)

    def _failed(
        self, asked: _Asked, reason: object, found: Mapping[str, Any] | None = None
    ) -> None:
        """Warn of what went wrong; a flow that wants it gets an execution that says so, too."""
        self._warn(asked, reason)
        start: Start | None = None
        if asked.word is None and says(asked.trigger, "failOnTriggerError"):
            start = Start(
                namespace=asked.flow.namespace,
                flow_id=asked.flow.id,
                trigger=TriggerOrigin(id=asked.trigger.id, type=asked.trigger.kind),
                origin="trigger",
                id=self._starter.new_id(),
                failure=f"Unable to evaluate the trigger '{asked.trigger.id}': {reason}",
                correlate=False,
            )
        self._go_on(asked, start, found)

    def _drop(self, asked: _Asked, found: Mapping[str, Any]) -> None:
        """Have files removed that were stored for an execution that never came."""
        seat = self._seats.find(asked.flow, asked.trigger)
        if seat is not None and SCHEME in orjson.dumps(found, default=str).decode():
            word = {"is": DROPPED, FOUND: found}
            question = asked.job[0]
            self._send(seat, asked.name, asked.flow, asked.trigger, question=question, word=word)

    def _start(self, asked: _Asked, found: Mapping[str, Any]) -> Start | None:
        flow, trigger = asked.flow, asked.trigger
        services = self._services(flow.namespace, self._clock.now())
        seen = {**self._constants, "trigger": trigger_map(trigger.id, trigger.type, found)}
        render = TriggerRender(self._expressions, services, flow, seen)
        if not all(render.holds(one, self._load) for one in trigger.conditions):
            return None
        return Start(
            namespace=flow.namespace,
            flow_id=flow.id,
            inputs=render.value(dict(trigger.inputs)),
            resolve=True,
            labels=_labels(flow, trigger, render),
            trigger=TriggerOrigin(id=trigger.id, type=trigger.kind, variables=dict(found)),
            origin="trigger",
            id=asked.job[0],
            correlate=False,
        )

    def _go_on(
        self, asked: _Asked, start: Start | None, found: Mapping[str, Any] | None = None
    ) -> None:
        """Write when to ask again, start what was found, and remember what is to be told."""
        runs = start is not None and start.failure is None
        tells = runs and must_be_told(self._load(asked.trigger.kind))
        locks = runs and not says(asked.trigger, "allowConcurrent")
        now = self._clock.now()
        following = now + self._interval(asked.trigger)
        written: list[TriggerState] = []

        def write(tx: Any) -> None:
            state = triggers.get(tx.connection, *asked.name)
            if state is None:
                raise Refused("the trigger is gone", status=404)
            after = replace(state, next_date=following, evaluated_at=now, updated_at=now)
            if start is not None:
                if state.disabled or state.execution_id is not None:
                    raise Refused("the trigger was switched off or locked meanwhile", status=409)
                lock = start.id if locks else None
                after = replace(after, execution_id=lock, last_date=now)
            if tells and found is not None:
                taken = {"id": asked.job[0], FOUND: dict(found)}
                after = replace(after, body={**(after.body or {}), _BODY: taken})
            triggers.put(tx.connection, [after])
            written[:] = [after]

        def done(outcome: Outcome) -> None:
            if outcome.error is None and tells:
                self._to_tell[asked.name] = written[0]
            elif outcome.error is not None and start is not None:
                self._warn(asked, outcome.error)
                self._go_on(asked, None, found)
            elif not runs and found is not None:
                self._drop(asked, found)

        starts = [start] if start is not None else []
        self._starter.transact(writes=[write], starts=starts, done=done)

    def _warn(self, asked: _Asked, reason: object) -> None:
        namespace, flow_id, trigger_id = asked.name
        what = "could not finish with what it found" if asked.word else "found nothing"
        log.warning("%s.%s: trigger '%s' %s: %s", namespace, flow_id, trigger_id, what, reason)


def _labels(flow: Flow, trigger: Trigger, render: TriggerRender) -> Mapping[str, str]:
    """Those of the trigger; of an http.Trigger as written, and only where its flow has none."""
    if trigger.kind != HTTP:
        return render.labels(trigger.labels)
    return {key: str(value) for key, value in trigger.labels.items() if key not in flow.labels}


def _told(name: Name, question: str, tx: Any) -> None:
    """Forget what the runner has been told."""
    state = triggers.get(tx.connection, *name)
    body = dict(state.body or {}) if state is not None else {}
    if state is not None and body.get(_BODY, {}).get("id") == question:
        del body[_BODY]
        triggers.put(tx.connection, [replace(state, body=body or None)])


def _postpone(before: TriggerState, later: datetime, tx: Any) -> None:
    state = triggers.get(tx.connection, *name_of(before))
    if state is not None and state.next_date == before.next_date:
        triggers.put(tx.connection, [replace(state, next_date=later)])
