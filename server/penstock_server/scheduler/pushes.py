"""What a push trigger renders when its commit is applied: conditions, inputs and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock_runner.executor.messages import Refused, Start
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.truth import truthy
from penstock_runner.expressions.variables import trigger_map
from penstock_runner.flow.model import Flow
from penstock_runner.tasks.api import TaskFailed
from penstock_server.clock import Clock
from penstock_server.scheduler.rendering import Load, Services, TriggerRender


class PushRender:
    """Judges the starts that pushes ask for; pure but for what expressions ask of the services."""

    def __init__(
        self,
        expressions: Expressions,
        services: Services,
        load: Load,
        constants: Mapping[str, Any],
        clock: Clock,
    ) -> None:
        self._expressions = expressions
        self._services = services
        self._load = load
        self._constants = constants
        self._clock = clock

    def settle(self, flow: Flow, trigger: Mapping[str, Any], start: Start) -> Start | None:
        """The start as it is to be made, None when a condition does not hold; raises `Refused`."""
        origin = start.trigger
        seen = origin.variables if origin is not None else {}
        own = trigger_map(trigger["id"], trigger["kind"], seen)
        services = self._services(flow.namespace, self._clock.now())
        variables = {**self._constants, "trigger": own}
        render = TriggerRender(self._expressions, services, flow, variables)
        asked = trigger.get("run_if")
        try:
            if asked and not truthy(render.value(asked)):
                return None
            if not all(render.holds(one, self._load) for one in trigger.get("conditions") or ()):
                return None
            inputs = render.value(dict(start.inputs or {}))
        except (ExpressionFailed, TaskFailed, ValueError) as failed:
            raise Refused(f"trigger '{trigger['id']}': {failed}") from failed
        return replace(start, inputs=inputs, labels=render.labels(start.labels))
