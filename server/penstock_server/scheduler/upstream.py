"""Whether an execution is what a Flow trigger waits for.

Errors of conditions count as false: one trigger that is written wrongly must not disturb others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import regex

from penstock_runner.engine.state import TERMINAL, Execution, State, TaskRun
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.variables import labels_map, nest_dotted, outputs_tree, tasks_tree
from penstock_runner.flow.durations import parse
from penstock_runner.flow.model import Trigger
from penstock_runner.flow.types import canonical
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.core_execution import read_labels
from penstock_runner.tasks.triggers import Filter, Preconditions, TimeWindow, UpstreamFlow, Where
from penstock_server.scheduler.rendering import Load, TriggerRender

log = logging.getLogger(__name__)

FLOW = "io.kestra.plugin.core.trigger.Flow"
_CONDITION = "io.kestra.plugin.core.condition."
_MULTIPLE = _CONDITION + "MultipleCondition"
_REGEX_SECONDS = 0.05

Condition = Mapping[str, Any]
Holds = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """Conditions that must all have held within a window of time, each for some execution."""

    id: str
    window: TimeWindow
    resets: bool
    parts: Mapping[str, Callable[[Execution, TriggerRender, Load], bool]]

    def held(self, execution: Execution, render: TriggerRender, load: Load) -> frozenset[str]:
        """Those that hold for this execution."""
        return frozenset(name for name, part in self.parts.items() if part(execution, render, load))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A Flow trigger, read once."""

    trigger: Trigger
    states: frozenset[str]
    single: tuple[Condition, ...]
    several: tuple[Several, ...]

    def may_fire(self, execution: Execution) -> bool:
        """A quick look that leaves out most executions without rendering anything."""
        if execution.state.value not in self.states:
            return False
        return not any(_excludes(one, execution) for one in self.single)

    def fires(self, execution: Execution, render: TriggerRender, load: Load) -> bool:
        """Whether the conditions hold that are about one execution alone."""
        return all(holds(one, execution, render, load) for one in self.single)


def listener_of(trigger: Trigger) -> Listener:
    """Read a Flow trigger; raises `ValueError` when its preconditions cannot be read."""
    states = trigger.properties.get("states")
    found = {str(one) for one in states} if isinstance(states, list | tuple) else set()
    several: list[Several] = []
    single: list[Condition] = []
    for place, one in enumerate(trigger.conditions):
        if canonical(str(one.get("type", ""))) == _MULTIPLE:
            several.append(_multiple(one, place))
        else:
            single.append(one)
    written = trigger.properties.get("preconditions")
    if isinstance(written, Mapping):
        several.append(_preconditions(Preconditions.model_validate(written)))
    return Listener(
        trigger=trigger,
        states=frozenset(found or {state.value for state in TERMINAL}),
        single=tuple(single),
        several=tuple(one for one in several if one.parts),
    )


def holds(condition: Condition, execution: Execution, render: TriggerRender, load: Load) -> bool:
    """Whether a condition holds; one that cannot be evaluated does not, which is logged."""
    try:
        return render.holds(condition, load, execution)
    except (TaskFailed, ExpressionFailed) as failed:
        kind = str(condition.get("type", "")).rpartition(".")[2]
        log.warning("%s: condition %s counts as false: %s", render.place, kind, failed)
        return False


def variables_of(execution: Execution) -> dict[str, Any]:
    """What the expressions of a Flow trigger see of the upstream execution."""
    runs = sorted(execution.runs.values(), key=lambda run: run.order)
    facts = {
        "executionId": execution.id,
        "namespace": execution.namespace,
        "flowId": execution.flow_id,
        "flowRevision": execution.flow_revision,
        "state": execution.state.value,
    }
    trigger: dict[str, Any] = dict(facts)
    if execution.outputs:
        trigger["outputs"] = dict(execution.outputs)
    return {
        "execution": {
            "id": execution.id,
            "originalId": execution.original_id or execution.id,
            "startDate": execution.history[0][1],
            "state": execution.state.value,
        },
        "inputs": nest_dotted(dict(execution.inputs or {})),
        "labels": labels_map(execution.labels),
        "outputs": outputs_tree(
            (run.task_id, _values(execution, run), run.outputs) for run in runs
        ),
        "tasks": tasks_tree(
            (run.task_id, () if run.value is None else (run.value,), run.state.value)
            for run in runs
        ),
        "trigger": trigger,
    }


def _values(execution: Execution, run: TaskRun) -> tuple[str, ...]:
    found: list[str] = []
    one: TaskRun | None = run
    while one is not None:
        if one.value is not None:
            found.append(one.value)
        one = execution.runs.get(one.parent) if one.parent is not None else None
    return tuple(reversed(found))


def _excludes(condition: Condition, execution: Execution) -> bool:
    kind = canonical(str(condition.get("type", ""))).removeprefix(_CONDITION)
    match kind:
        case "ExecutionFlow":
            named = (condition.get("namespace"), condition.get("flowId"))
            plain = not any("{" in str(one) for one in named)
            return plain and named != (execution.namespace, execution.flow_id)
        case "ExecutionStatus":
            among, beside = condition.get("in"), condition.get("notIn")
            state = execution.state.value
            out = isinstance(among, list | tuple) and state not in among
            return out or (isinstance(beside, list | tuple) and state in beside)
        case _:
            return False


# Several conditions over time


def _multiple(written: Condition, place: int) -> Several:
    window = written.get("timeWindow") or {
        "window": written.get("window"),
        "windowAdvance": written.get("windowAdvance"),
    }
    lengths = {name: window.get(name) for name in ("window", "windowAdvance")}
    read = {name: parse(value) for name, value in lengths.items() if value is not None}
    others = {name: value for name, value in window.items() if name not in lengths}
    conditions = written.get("conditions")
    parts = conditions if isinstance(conditions, Mapping) else {}
    return Several(
        id=str(written.get("id") or f"condition-{place}"),
        window=TimeWindow.model_validate({**others, **read}),
        resets=written.get("resetOnSuccess") is not False,
        parts={str(name): _part(one) for name, one in parts.items()},
    )


def _part(condition: Condition) -> Callable[[Execution, TriggerRender, Load], bool]:
    return lambda execution, render, load: holds(condition, execution, render, load)


def _preconditions(wanted: Preconditions) -> Several:
    parts: dict[str, Callable[[Execution, TriggerRender, Load], bool]] = {}
    for place, flow in enumerate(wanted.flows):
        parts[f"flows[{place}]"] = _flow_part(flow)
    for where in wanted.where:
        parts[where.id] = _where_part(where)
    return Several(
        id=wanted.id, window=wanted.time_window, resets=wanted.reset_on_success, parts=parts
    )


def _flow_part(wanted: UpstreamFlow) -> Callable[[Execution, TriggerRender, Load], bool]:
    labels = read_labels(_plain(wanted.labels)) if wanted.labels else {}
    states: tuple[State, ...] | None = wanted.states

    def part(execution: Execution, _render: TriggerRender, _load: Load) -> bool:
        return (
            execution.namespace == wanted.namespace
            and wanted.flow_id in (None, execution.flow_id)
            and (states is None or execution.state in states)
            and labels.items() <= dict(execution.labels).items()
        )

    return part


def _plain(labels: object) -> object:
    return dict(labels) if isinstance(labels, Mapping) else list(labels)  # type: ignore[call-overload]


def _where_part(where: Where) -> Callable[[Execution, TriggerRender, Load], bool]:
    def part(execution: Execution, render: TriggerRender, _load: Load) -> bool:
        each = (_passes(one, execution, render) for one in where.filters)
        return any(each) if where.operand == "OR" else all(each)

    return part


def _passes(one: Filter, execution: Execution, render: TriggerRender) -> bool:
    try:
        return _compares(one, execution, render)
    except (ExpressionFailed, KeyError, TimeoutError, regex.error) as failed:
        log.warning("%s: filter of %s counts as false: %s", render.place, one.field, failed)
        return False


def _compares(one: Filter, execution: Execution, render: TriggerRender) -> bool:
    if one.field == "EXPRESSION":
        # The value is what is looked at, so there is nothing to compare it with.
        actual = str(render.value(one.value or "") or "")
        return _TESTS[one.type if one.type in _ALONE else "IS_TRUE"](actual, one)
    facts = {
        "FLOW_ID": execution.flow_id,
        "NAMESPACE": execution.namespace,
        "STATE": execution.state.value,
    }
    return _TESTS[one.type](facts[one.field], one)


def _true(actual: str) -> bool:
    return bool(actual.strip()) and actual.strip() != "false"


def _matches(actual: str, one: Filter) -> bool:
    return regex.fullmatch(one.value or "", actual, timeout=_REGEX_SECONDS) is not None


_ALONE = frozenset({"IS_TRUE", "IS_FALSE", "IS_NULL", "IS_NOT_NULL", "IN", "NOT_IN"})
_TESTS: Mapping[str, Callable[[str, Filter], bool]] = {
    "EQUAL_TO": lambda actual, one: actual == one.value,
    "NOT_EQUAL_TO": lambda actual, one: actual != one.value,
    "IN": lambda actual, one: actual in (one.values or ()),
    "NOT_IN": lambda actual, one: actual not in (one.values or ()),
    "IS_TRUE": lambda actual, _one: _true(actual),
    "IS_FALSE": lambda actual, _one: not _true(actual),
    "IS_NULL": lambda actual, _one: not actual,
    "IS_NOT_NULL": lambda actual, _one: bool(actual),
    "STARTS_WITH": lambda actual, one: actual.startswith(one.value or ""),
    "ENDS_WITH": lambda actual, one: actual.endswith(one.value or ""),
    "CONTAINS": lambda actual, one: (one.value or "") in actual,
    "REGEX": _matches,
}


def states_between(execution: Execution, told: int) -> Iterator[tuple[int, State]]:
    """The states that an execution has reached since it was told of last, with their places."""
    for place in range(told, len(execution.history)):
        yield place, execution.history[place][0]
