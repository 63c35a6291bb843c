"""What a trigger renders before an execution exists: its inputs, its labels and its conditions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from penstock_runner.engine.state import Execution
from penstock_runner.executor.inline import InlineRender
from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.variables import labels_map
from penstock_runner.flow.model import Flow
from penstock_runner.jobs.secrets import secret_of
from penstock_runner.tasks.conditions import evaluate

log = logging.getLogger(__name__)

Load = Callable[[str], type[Any]]
ReadValue = Callable[[str, str, datetime], object]
Services = Callable[[str, datetime], "TriggerServices"]
"""What the triggers of a namespace may ask at a moment."""


class TriggerServices(NoServices):
    """What templates of triggers may ask: the time, and secrets."""

    def __init__(
        self,
        now: datetime,
        secrets: Mapping[str, str],
        kv: ReadValue | None = None,
        namespace: str = "",
    ) -> None:
        super().__init__(now)
        self._namespace = namespace
        self._secrets = secrets
        self._kv = kv

    def secret(self, name: str, namespace: str | None) -> str:  # noqa: ARG002 - scopes come with them
        """A secret by name, in any case."""
        return secret_of(self._secrets, name, self._namespace)

    def kv(self, key: str, namespace: str | None) -> object:
        """A value of the key-value store."""
        if self._kv is None or self._now is None:
            return super().kv(key, namespace)
        return self._kv(namespace or self._namespace, key, self._now)


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
        self.place = f"{flow.namespace}.{flow.id}"
        self._variables = {
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
            "namespace": {"id": flow.namespace},
            "vars": dict(flow.variables),
            "labels": labels_map(flow.labels),
            **variables,
        }
        self._render = InlineRender(expressions, self._variables, services)  # type: ignore[arg-type]

    def value(self, written: Any) -> Any:
        """Every text of a value rendered."""
        return self._render.deep(written)

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
                log.warning("%s: label %s of a trigger is left out: %s", self.place, key, failed)
                continue
            labels[key] = "" if rendered is None else str(rendered)
        return labels

    def holds(
        self, condition: Mapping[str, Any], load: Load, execution: Execution | None = None
    ) -> bool:
        """Whether a condition is true, of an execution if it is about one."""
        return evaluate(
            condition,
            self._render,
            load,
            namespace=self._flow.namespace,
            flow_id=self._flow.id,
            execution=execution,
            outputs=execution.outputs if execution is not None else None,
        )


def without_services(namespace: str, now: datetime) -> TriggerServices:
    """Triggers that may ask for nothing but the time."""
    return TriggerServices(now, {}, namespace=namespace)
