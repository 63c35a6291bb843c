"""What a trigger renders before an execution exists: its inputs, its labels and its conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from penstock_runner.executor.inline import InlineRender
from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.expressions.errors import UnknownSecret
from penstock_runner.flow.model import Flow, Trigger
from penstock_runner.tasks.conditions import evaluate

Load = Callable[[str], type[Any]]


class TriggerServices(NoServices):
    """What templates of triggers may ask: the time, and secrets."""

    def __init__(self, now: datetime, secrets: Mapping[str, str]) -> None:
        super().__init__(now)
        self._secrets = secrets

    def secret(self, name: str, namespace: str | None) -> str:  # noqa: ARG002 - scopes come with them
        """A secret by name, in any case."""
        value = self._secrets.get(name.upper())
        if value is None:
            raise UnknownSecret(name)
        return value


class TriggerRender:
    """Renders for one trigger of one flow."""

    def __init__(
        self,
        expressions: Expressions,
        services: TriggerServices,
        flow: Flow,
        variables: Mapping[str, Any],
    ) -> None:
        self._flow = flow
        self._variables = {
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
            "namespace": flow.namespace,
            "vars": dict(flow.variables),
            "labels": dict(flow.labels),
            **variables,
        }
        self._expressions = expressions
        self._services = services

    def value(self, written: Any) -> Any:
        """Every text of a value rendered."""
        return self._expressions.render_deep(written, self._variables, self._services)

    def labels(self, trigger: Trigger) -> dict[str, str]:
        """The trigger's own labels; system ones are not a flow's to give."""
        rendered = {key: self.value(value) for key, value in trigger.labels.items()}
        return {
            key: "" if value is None else str(value)
            for key, value in rendered.items()
            if not key.startswith("system.")
        }

    def holds(self, condition: Mapping[str, Any], load: Load) -> bool:
        """Whether a condition is true."""
        render = InlineRender(self._expressions, self._variables, self._services)  # type: ignore[arg-type]
        return evaluate(
            condition, render, load, namespace=self._flow.namespace, flow_id=self._flow.id
        )
