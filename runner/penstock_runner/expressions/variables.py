"""The variables of a rendering, built from what an execution holds; nothing is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from penstock_runner.expressions.text import printed


class OutputRun(NamedTuple):
    """The outputs of one task run, and the values that lead to it, outermost first."""

    task_id: str
    values: tuple[str, ...]
    outputs: Mapping[str, object] | None


def outputs_tree(
    runs: Iterable[OutputRun | tuple[str, tuple[str, ...], Mapping[str, object] | None]],
) -> dict[str, object]:
    """The `outputs` variable: `outputs.task[value]...property`; runs of one task are merged."""
    tree: dict[str, object] = {}
    for task_id, values, outputs in runs:
        if outputs is None:
            continue
        nested: dict[str, object] = dict(outputs)
        for value in reversed(values):
            nested = {value: nested}
        _merge(tree, {task_id: nested})
    return tree


def _merge(into: dict[str, object], more: Mapping[str, object]) -> None:
    """Maps are merged in depth, lists joined, other values replaced; inputs are not changed."""
    for key, value in more.items():
        known = into.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            merged = dict(known)
            _merge(merged, value)
            into[key] = merged
        elif isinstance(known, list) and isinstance(value, list):
            into[key] = [*known, *value]
        else:
            into[key] = value


def tasks_tree(states: Iterable[tuple[str, tuple[str, ...], str]]) -> dict[str, object]:
    """The `tasks` variable: `tasks.id.state`, or `tasks.id[value].state`."""
    return outputs_tree((task_id, values, {"state": state}) for task_id, values, state in states)


def nest_dotted(values: Mapping[str, object]) -> dict[str, object]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`, for inputs whose id has dots."""
    nested: dict[str, object] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        place = nested
        for parent in parents:
            inner = place.get(parent)
            copied: dict[str, object] = dict(inner) if isinstance(inner, Mapping) else {}
            place[parent] = copied
            place = copied
        known = place.get(last)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            place[last] = {**known, **value}
        else:
            place[last] = value
    return nested


def labels_map(labels: Iterable[tuple[str, object]] | Mapping[str, object]) -> dict[str, object]:
    """The `labels` variable; `system.x` is found under `labels.system`."""
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return nest_dotted(dict(pairs))


def trigger_map(
    trigger_id: str, trigger_type: str, found: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The `trigger` variable while a trigger is evaluated: itself, and what it has found so far."""
    return {"id": trigger_id, "type": trigger_type, **(found or {})}


class Ancestor(NamedTuple):
    """A task run around the current one: its value (of a loop) and its outputs, if any."""

    value: str | None = None
    outputs: Mapping[str, object] | None = None
    iteration: int | None = None


def parents_list(ancestors: Iterable[Ancestor]) -> list[dict[str, object]]:
    """The `parents` variable, nearest first, from ancestors given nearest first."""
    found: list[dict[str, object]] = []
    for ancestor in ancestors:
        entry: dict[str, object] = {}
        taskrun: dict[str, object] = {}
        if ancestor.value is not None:
            taskrun["value"] = ancestor.value
        if ancestor.iteration is not None:
            taskrun["iteration"] = ancestor.iteration
        if taskrun:
            entry["taskrun"] = taskrun
        if ancestor.outputs:
            entry["outputs"] = ancestor.outputs
        if entry:
            found.append(entry)
    return found


def current_each_output(outputs: object, taskrun: object, parents: object) -> object:
    """The outputs of a sibling task in the same iteration, null where there are none."""
    values = [
        entry["taskrun"]["value"]
        for entry in (parents if isinstance(parents, (list, tuple)) else ())
        if isinstance(entry, Mapping)
        and isinstance(entry.get("taskrun"), Mapping)
        and entry["taskrun"].get("value") is not None
    ]
    own = taskrun.get("value") if isinstance(taskrun, Mapping) else None
    found: object = outputs
    for value in [*reversed(values), own]:
        if value is None or not isinstance(found, Mapping):
            return None
        found = found.get(printed(value))
    return found
