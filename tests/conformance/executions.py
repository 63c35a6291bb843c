"""Looking at executions and their task runs: finding them by place, saying what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import isodate
from tests.conformance.flow_world import in_order
from tests.conformance.matchers import ABSENT

from penstock_runner.engine.state import Execution, TaskRun

_STEP = re.compile(r"""\.?([^.\[\]]+)|\[(\d+)\]|\["([^"]+)"\]""")


def at(value: Any, path: str) -> Any:
    """The value at a path such as `a.b[0]["c"]`, or ABSENT."""
    for name, index, key in _STEP.findall(path):
        if index:
            inside = isinstance(value, (list, tuple)) and int(index) < len(value)
            value = value[int(index)] if inside else ABSENT
        elif isinstance(value, Mapping):
            value = value.get(name or key, ABSENT)
        else:
            return ABSENT
    return value


def fact(execution: Execution, name: str) -> object | None:
    """What placeholders ask of an execution."""
    return {"id": execution.id, "flowId": execution.flow_id}.get(name)


def loop_values(execution: Execution, run: TaskRun) -> list[str]:
    """The values of the loops around a task run, then its own."""
    found = [] if run.value is None else [run.value]
    parent = run.parent
    while parent is not None and parent in execution.runs:
        above = execution.runs[parent]
        if above.value is not None:
            found.append(above.value)
        parent = above.parent
    return found[::-1]


def matching(execution: Execution, asked: Mapping[str, Any]) -> list[TaskRun]:
    """The task runs that a case names."""
    runs = in_order(execution)
    if asked.get("index") is not None:
        index = asked["index"]
        return [runs[index]] if -len(runs) <= index < len(runs) else []
    found = [run for run in runs if run.task_id == asked["id"]]
    if asked.get("value") is not None:
        wanted = [str(value) for value in asked["value"]]
        found = [run for run in found if loop_values(execution, run) == wanted]
    return found


def pick(execution: Execution, asked: Mapping[str, Any]) -> TaskRun | None:
    """The first of them."""
    return next(iter(matching(execution, asked)), None)


def plain_trigger(trigger: Any) -> dict[str, Any]:
    """A trigger as cases write it."""
    return {"type": trigger.type, "variables": dict(trigger.variables)}


def history_begins(wanted: list[str], execution: Execution) -> str | None:
    """Why the history does not begin so."""
    states = [state.value for state, _ in execution.history]
    return None if states[: len(wanted)] == wanted else f"the history is {states}"


def in_this_order(wanted: Mapping[str, str], runs: list[TaskRun]) -> str | None:
    """Why the task runs are not in this order."""
    ids = [run.task_id for run in runs]
    for index, task in wanted.items():
        if int(index) >= len(ids) or ids[int(index)] != task:
            return f"the order is {ids}, expected {task} at {index}"
    return None


def none_ran(wanted: list[str], runs: list[TaskRun]) -> str | None:
    """Why some of these ran."""
    there = [run.task_id for run in runs if run.task_id in wanted]
    return f"{there} ran" if there else None


def all_are(wanted: str, runs: list[TaskRun]) -> str | None:
    """Why not all task runs are in this state."""
    other = [run.task_id for run in runs if run.state != wanted]
    return f"{other} are not {wanted}" if other else None


def identity(execution: Execution, other: Execution, *, same: bool) -> str | None:
    """Why the executions are not the same, or are."""
    return None if (execution.id == other.id) is same else f"same id: {not same}"


def seconds(text: str) -> float:
    """A duration in seconds."""
    seconds: float = isodate.parse_duration(text).total_seconds()
    return seconds


def shown(execution: Execution) -> str:
    """An execution in a few words."""
    runs = ", ".join(f"{run.key} {run.state.value}" for run in in_order(execution)[:12])
    return f"{execution.state.value}; {runs}"
