"""What a trigger renders before an execution exists: its inputs, its labels and its conditions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from penstock_runner.executor.inline import InlineRender
from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.expressions.errors import ExpressionFailed, UnknownSecret
from penstock_runner.flow.model import Flow
from penstock_runner.tasks.conditions import evaluate

log = logging.getLogger(__name__)

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

    def labels(self, written: Mapping[str, Any]) -> dict[str, str]:
        """Labels as written, rendered; system ones are not a flow's to give.

        A label that cannot be rendered is left out: it is no reason not to run.
        """
        labels: dict[str, str] = {}
        for key, value in written.items():
            if key.startswith("system."):
                continue
            try:
                rendered = self.value(value)
            except ExpressionFailed as failed:
                where = f"{self._flow.namespace}.{self._flow.id}"
                log.warning("%s: label %s of a trigger is left out: %s", where, key, failed)
                continue
            labels[key] = "" if rendered is None else str(rendered)
        return labels

    def holds(self, condition: Mapping[str, Any], load: Load) -> bool:
        """Whether a condition is true."""
        render = InlineRender(self._expressions, self._variables, self._services)  # type: ignore[arg-type]
        return evaluate(
            condition, render, load, namespace=self._flow.namespace, flow_id=self._flow.id
        )
