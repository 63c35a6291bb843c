"""What an execution and its task runs gave, as lists of names and values. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock_runner.engine.state import Execution
from penstock_runner.flow.model import Flow
from penstock_server.web import loglines

STORAGE = "kestra:///"
DEPTH = 4
LONGEST = 20_000
SHOWN_GROUPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value: text, or a file of the storage."""

    name: str
    text: str
    kind: str
    file: str | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The values of one task run, or of the execution."""

    title: str
    id: str
    entries: tuple[Entry, ...]


def groups(execution: Execution, flow: Flow | None = None) -> tuple[Group, ...]:
    """The flow's outputs first, then those of its tasks in their order, then the inputs."""
    found = []
    if execution.outputs:
        found.append(_group("Outputs of the flow", "flow", execution.outputs))
    for run in sorted(execution.runs.values(), key=lambda run: run.order):
        if run.outputs:
            title = " / ".join(loglines.path(execution.runs, run))
            found.append(_group(title, f"o{run.order}", run.outputs))
    if inputs := _inputs(execution, flow):
        found.append(_group("Inputs", "inputs", inputs))
    return tuple(one for one in found if one.entries)[:SHOWN_GROUPS]


def _inputs(execution: Execution, flow: Flow | None) -> dict[str, object]:
    """The inputs that are no secrets, and that were given or have a default."""
    if flow is None:
        return {}
    secret = {one.id for one in flow.inputs if one.type == "SECRET"}
    known = {one.id for one in flow.inputs} - secret
    return {k: v for k, v in (execution.inputs or {}).items() if k in known and v is not None}


def _group(title: str, id_: str, values: Mapping[str, object]) -> Group:
    found = tuple(_entries("", values, DEPTH))
    # Many tasks give empty maps of what they have none of: they are noise beside real values.
    told = tuple(entry for entry in found if entry.text not in {"{}", "[]"})
    return Group(title=title, id=id_, entries=told)


def _entries(name: str, value: object, depth: int) -> Iterator[Entry]:
    if isinstance(value, Mapping) and value and depth:
        for key, item in value.items():
            yield from _entries(f"{name}.{key}" if name else str(key), item, depth - 1)
        return
    if isinstance(value, str) and value.startswith(STORAGE):
        yield Entry(name=name, text=value.rpartition("/")[2], kind="file", file=value)
        return
    text, kind = shown(value)
    yield Entry(name=name, text=text[:LONGEST], kind=kind, cut=len(text) > LONGEST)


def shown(value: object) -> tuple[str, str]:
    """A value as text, and what kind of value it is."""
    match value:
        case None:
            return "null", "null"
        case bool():
            return ("true" if value else "false"), "boolean"
        case int() | float():
            return str(value), "number"
        case str():
            return value, "text"
        case _:
            return json.dumps(value, indent=2, default=str, ensure_ascii=False), "JSON"
