"""Which runner evaluates a trigger: the labels it asks for, as tasks do, and why none may."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from penstock_runner.executor.dispatch import Dispatch, RunnerSeat
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.messages import Refused
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.model import Flow, Trigger
from penstock_runner.flow.offers import Demand
from penstock_runner.flow.routing import BadRoute, read_route, written_route
from penstock_server.clock import Clock
from penstock_server.scheduler.rendering import Services, TriggerRender
from penstock_server.scheduler.rows import Name

log = logging.getLogger(__name__)


class TriggerSeats:
    """Finds runners for triggers; called by core's loop, from one thread."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        flows: Flows,
        clock: Clock,
        expressions: Expressions,
        services: Services,
        constants: Mapping[str, Any],
    ) -> None:
        self._dispatch = dispatch
        self._flows = flows
        self._clock = clock
        self._expressions = expressions
        self._services = services
        self._constants = constants
        self._waiting: set[Name] = set()

    def find(self, flow: Flow, trigger: Trigger) -> RunnerSeat | None:
        """A runner that may take the trigger and has a free slot; says once why there is none."""
        name = (flow.namespace, flow.id, trigger.id)
        try:
            demand = self._demand(flow, trigger)
        except Refused:
            return None
        except (BadRoute, ExpressionFailed) as wrong:
            self._wait_for(name, str(wrong))
            return None
        missing = self._dispatch.why_unmatched(demand)
        if missing is not None:
            self._wait_for(name, missing)
            return None
        self._waiting.discard(name)
        return self._dispatch.choose(demand)

    def _demand(self, flow: Flow, trigger: Trigger) -> Demand:
        """What the trigger, its flow or its namespace asks for."""
        loaded = self._flows.get(flow.namespace, flow.id)
        written = written_route((trigger, flow, loaded.default))
        required: tuple[str, ...] = ()
        if written is not None:
            services = self._services(flow.namespace, self._clock.now())
            render = TriggerRender(self._expressions, services, flow, self._constants)
            required = read_route(render.value(written)).required
        return Demand(required=required, namespace=flow.namespace, protected=loaded.protected)

    def _wait_for(self, name: Name, reason: str) -> None:
        if name not in self._waiting:
            self._waiting.add(name)
            log.warning("%s.%s: trigger '%s' is not evaluated: %s", *name, reason)
