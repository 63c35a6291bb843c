"""Rows of triggers together with what their flows say of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from penstock_runner.executor.messages import Refused
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.model import Flow, Trigger
from penstock_server.scheduler.cron import BadCron
from penstock_server.scheduler.evaluation import Firing
from penstock_server.scheduler.rows import find
from penstock_server.scheduler.schedules import KINDS, Plan, plan_of
from penstock_server.store.triggers import TriggerState

log = logging.getLogger(__name__)

FindFlow = Callable[[str, str], Flow | None]


class Reading:
    """Finds flows, their triggers, and the dates of schedules."""

    def __init__(self, flows: FindFlow, zone: str, recover: str) -> None:
        self._flows = flows
        self._zone = zone
        self._recover = recover

    def flow(self, namespace: str, flow_id: str) -> Flow | None:
        """The latest revision of a flow; None when it is gone or cannot be read."""
        try:
            return self._flows(namespace, flow_id)
        except Refused:
            return None

    def trigger(self, state: TriggerState) -> tuple[Flow, Trigger] | None:
        """The trigger of a row with its flow; None when it is gone, or one of them is off."""
        flow = self.flow(state.namespace, state.flow_id)
        trigger = find(flow, state.trigger_id)
        if flow is None or trigger is None or flow.disabled or trigger.disabled:
            return None
        return flow, trigger

    def plan(self, flow: Flow, trigger: Trigger) -> Plan | None:
        """When a schedule fires; None when it cannot be read, which is logged."""
        try:
            return plan_of(trigger, self._zone, self._recover)
        except (BadCron, ExpressionFailed, ValueError) as wrong:
            log.warning("trigger %s of %s.%s: %s", trigger.id, flow.namespace, flow.id, wrong)
            return None

    def firing(self, state: TriggerState, now: datetime) -> Firing | None:
        """A row with its flow and its dates; None when it is no schedule that can be read."""
        flow = self.flow(state.namespace, state.flow_id)
        trigger = find(flow, state.trigger_id)
        if flow is None or trigger is None or trigger.kind not in KINDS:
            return None
        plan = self.plan(flow, trigger)
        if plan is None:
            return None
        date = (state.next_date or now).astimezone(plan.zone)
        return Firing(state=state, flow=flow, trigger=trigger, plan=plan, date=date, now=now)
