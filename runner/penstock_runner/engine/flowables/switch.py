"""Switch: a rendered value chooses a case, else the defaults.

The choice is made once, when the task begins, and kept: a value that is rendered again at every
step could change the branch under running children.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.engine.flowables.api import Choice, Flowable
from penstock_runner.engine.state import State
from penstock_runner.flow.model import Task


def _asks(task: Task) -> Mapping[str, object]:
    return {"value": task.properties.get("value")}


def _decide(task: Task, values: Mapping[str, object]) -> Choice:
    value = values.get("value")
    text = value if isinstance(value, str) else _text(value)
    case = f"cases.{text}"
    if case in task.branches:
        return Choice(branch=case, outputs={"value": text, "defaults": False})
    branch = "defaults" if "defaults" in task.branches else None
    return Choice(branch=branch, outputs={"value": text, "defaults": True})


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _result(_task: Task, branch: str | None, state: State) -> State:
    return State.FAILED if branch is None else state


SWITCH = Flowable(purpose="value", asks=_asks, decide=_decide, result=_result)
