"""If: a condition, rendered once, chooses `then` or `else` for good."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.engine.flowables.api import Choice, Flowable
from penstock_runner.engine.truth import truthy
from penstock_runner.flow.model import Task


def _asks(task: Task) -> Mapping[str, object]:
    return {"condition": task.properties.get("condition")}


def _decide(_task: Task, values: Mapping[str, object]) -> Choice:
    holds = truthy(values.get("condition"))
    return Choice(branch="then" if holds else "else", outputs={"evaluationResult": holds})


IF = Flowable(purpose="condition", asks=_asks, decide=_decide)
