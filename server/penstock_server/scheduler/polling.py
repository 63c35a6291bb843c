"""Polling triggers: a runner asks the world at an interval, and what it finds may start a flow.

Nothing is asked here: the question goes to a runner as a job that belongs to no execution, and
comes back as its report. One that is lost with its runner is asked again at the next interval.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from penstock_runner.engine.state import State, TriggerOrigin
from penstock_runner.executor.dispatch import Dispatch
from penstock_runner.executor.messages import Outcome, Refused, Start, Starter
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.variables import trigger_map
from penstock_runner.flow.durations import parse
from penstock_runner.flow.model import Flow, Trigger
from penstock_runner.flow.types import CORE
from penstock_runner.jobs.protocol import Job, Report
from penstock_runner.tasks.api import TaskFailed
from penstock_server.clock import Clock
from penstock_server.scheduler.rendering import Load, Services, TriggerRender
from penstock_server.scheduler.rows import Name, name_of
from penstock_server.store import triggers
from penstock_server.store.triggers import TriggerState

log = logging.getLogger(__name__)

HTTP = CORE + "http.Trigger"
POLLED = frozenset({HTTP})
_REQUEST = CORE + "http.Request"
_INTERVAL = timedelta(seconds=60)
_WITHOUT_RUNNER = timedelta(seconds=5)
_OWN = frozenset({"interval", "responseCondition"})
_CONDITION = "{{ response.statusCode < 400 }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A question that a runner has."""

    name: Name
    flow: Flow
    trigger: Trigger


class Polling:
    """All polling triggers; called by core's loop, from one thread."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        starter: Starter,
        clock: Clock,
        expressions: Expressions,
        services: Services,
        load: Load,
        constants: Mapping[str, Any],
    ) -> None:
        self._dispatch = dispatch
        self._starter = starter
        self._clock = clock
        self._expressions = expressions
        self._services = services
        self._load = load
        self._constants = constants
        self._asked: dict[str, _Asked] = {}

    def ask(self, state: TriggerState, flow: Flow, trigger: Trigger, now: datetime) -> None:
        """Have a trigger evaluated by a runner with a free slot, if there is one."""
        name = name_of(state)
        seat = self._dispatch.choose(())
        later = now + (interval_of(trigger) if seat is not None else _WITHOUT_RUNNER)
        self._starter.transact(writes=[partial(_postpone, state, later)])
        known = next((key for key, one in self._asked.items() if one.name == name), None)
        if known is not None:
            if self._dispatch.knows((known, trigger.id, 1)):
                return
            del self._asked[known]
        if seat is None:
            return
        job = self._job(flow, trigger)
        self._asked[job.execution_id] = _Asked(name=name, flow=flow, trigger=trigger)
        self._dispatch.take(seat, job.id)
        seat.send(job.to_wire())

    def reported(self, report: Report) -> bool:
        """Take the answer to a question; False when the report is about something else."""
        asked = self._asked.pop(report.execution_id, None)
        if asked is None:
            return False
        self._dispatch.free((report.execution_id, report.key, report.attempt))
        if report.state != State.SUCCESS.value:
            self._warn(asked, report.error or report.state)
            self._go_on(asked, None)
            return True
        try:
            self._go_on(asked, self._start(asked, dict(report.outputs or {})))
        except (ExpressionFailed, TaskFailed) as failed:
            self._warn(asked, failed)
            self._go_on(asked, None)
        return True

    def _job(self, flow: Flow, trigger: Trigger) -> Job:
        properties = {k: v for k, v in trigger.properties.items() if k not in _OWN}
        question = self._starter.new_id()
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
            attempt=1,
            taskrun_id=question,
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision or 0,
            task={
                "id": trigger.id,
                "type": _REQUEST,
                "kind": _REQUEST,
                "timeout": None,
                "logLevel": None,
                "logToFile": False,
                # Any answer is one; the condition says what to think of it.
                "properties": {**properties, "allowFailed": True},
            },
            variables=variables,
        )

    def _start(self, asked: _Asked, found: Mapping[str, Any]) -> Start | None:
        flow, trigger = asked.flow, asked.trigger
        response = {
            "statusCode": found.get("code"),
            "body": found.get("body"),
            "headers": found.get("headers"),
        }
        variables = {key: found.get(key) for key in ("uri", "code", "headers", "body")}
        encrypted = found.get("encryptedBody")
        if encrypted is not None:
            variables["encryptedBody"] = encrypted
        services = self._services(flow.namespace, self._clock.now())
        seen_as = trigger_map(trigger.id, trigger.type, variables)
        seen = {**self._constants, "response": response, "trigger": seen_as}
        render = TriggerRender(self._expressions, services, flow, seen)
        wanted = trigger.properties.get("responseCondition") or _CONDITION
        answer = str(render.value(wanted) or "").strip()
        if answer in ("", "false") or not all(
            render.holds(one, self._load) for one in trigger.conditions
        ):
            return None
        own = {key: str(value) for key, value in trigger.labels.items() if key not in flow.labels}
        return Start(
            namespace=flow.namespace,
            flow_id=flow.id,
            inputs=render.value(dict(trigger.inputs)),
            resolve=True,
            labels=own,
            trigger=TriggerOrigin(id=trigger.id, type=trigger.kind, variables=variables),
            origin="trigger",
            id=self._starter.new_id(),
            correlate=False,
        )

    def _go_on(self, asked: _Asked, start: Start | None) -> None:
        """Write when to ask again, and start what was found."""
        now = self._clock.now()
        following = now + interval_of(asked.trigger)

        def write(tx: Any) -> None:
            state = triggers.get(tx.connection, *asked.name)
            if state is None:
                raise Refused("the trigger is gone", status=404)
            after = replace(state, next_date=following, evaluated_at=now, updated_at=now)
            if start is not None:
                if state.disabled or state.execution_id is not None:
                    raise Refused("the trigger was switched off or locked meanwhile", status=409)
                after = replace(after, execution_id=start.id, last_date=now)
            triggers.put(tx.connection, [after])

        def done(outcome: Outcome) -> None:
            if outcome.error is not None and start is not None:
                self._warn(asked, outcome.error)
                self._go_on(asked, None)

        starts = [start] if start is not None else []
        self._starter.transact(writes=[write], starts=starts, done=done)

    def _warn(self, asked: _Asked, reason: object) -> None:
        namespace, flow_id, trigger_id = asked.name
        log.warning("%s.%s: trigger '%s' found nothing: %s", namespace, flow_id, trigger_id, reason)


def _postpone(before: TriggerState, later: datetime, tx: Any) -> None:
    state = triggers.get(tx.connection, *name_of(before))
    if state is not None and state.next_date == before.next_date:
        triggers.put(tx.connection, [replace(state, next_date=later)])


def interval_of(trigger: Trigger) -> timedelta:
    """The time between two questions; never less than a second."""
    written = trigger.properties.get("interval")
    found = parse(written) if written is not None else _INTERVAL
    return max(found, timedelta(seconds=1))
