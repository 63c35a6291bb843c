"""The JSON Schema (draft-07) of flow files, for editors and for other people's tools.

What the language says of every flow, task, trigger and input is written here; the properties of
types come from their models. Where a value may be an expression, text is allowed beside what the
model asks for, since a schema cannot see what is rendered later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from penstock_runner.flow import model
from penstock_runner.flow.binding import FLOW_ID, INPUT_ID, NAMESPACE, TASK_ID
from penstock_runner.flow.catalogue import Catalogue, TypeInfo, TypeKind
from penstock_runner.flow.trigger_rules import TRIGGERS
from penstock_runner.flow.types import (
    COMMON_INPUT,
    COMMON_TASK,
    COMMON_TRIGGER,
    ENGINE_TASKS,
    FLOWABLES,
    INPUT_OPTIONS,
    Flowable,
    Shape,
)

Schema = dict[str, Any]

_DURATION: Schema = {
    "description": "ISO 8601, such as PT30S, or a number of seconds",
    "type": ["string", "number"],
}
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_MAP: Schema = {"type": "object"}
_TASKS: Schema = {"type": "array", "items": {"$ref": "#/definitions/task"}}
_LEVEL: Schema = {"enum": [level.value for level in model.Level]}
_LABELS: Schema = {
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["key", "value"],
                "properties": {"key": {}, "value": {}},
                "additionalProperties": False,
            },
        },
    ]
}
_ON_RUNNER_LOST: Schema = {"enum": ["RETRY", "FAIL"]}
_TASK_PROPERTIES: Schema = {
    "description": _TEXT,
    "timeout": _DURATION,
    "disabled": _FLAG,
    "retry": {"$ref": "#/definitions/retry"},
    "runIf": {"type": ["string", "boolean"]},
    "when": {"type": ["string", "boolean"]},
    "allowFailure": {"type": ["boolean", "object", "string"]},
    "allowWarning": _FLAG,
    "logLevel": _LEVEL,
    "logToFile": _FLAG,
    "interruptible": _FLAG,
    "workerGroup": _MAP,
    "workerSelector": _MAP,
    "taskCache": _MAP,
    "onRunnerLost": _ON_RUNNER_LOST,
    "queueTimeout": _DURATION,
    "idleTimeout": _DURATION,
    "killGrace": _DURATION,
}


class Listing(Catalogue, Protocol):
    """A catalogue that can name its types."""

    def names(self, kind: TypeKind | None = None) -> list[str]:
        """The present names of all types of a kind."""
        ...


def flow_schema(catalogue: Listing) -> Schema:
    """The schema of one flow document."""
    definitions: Schema = {"retry": _retry(), "input": _input(), "output": _output()}
    tasks = _types(catalogue, "task", COMMON_TASK, definitions)
    for name, flowable in FLOWABLES.items():
        tasks[name] = _flowable(flowable, tasks.get(name, {}))
    for name, known in ENGINE_TASKS.items():
        tasks.setdefault(name, _shape(known, COMMON_TASK))
    triggers = _types(catalogue, "trigger", COMMON_TRIGGER, definitions)
    for name, known in TRIGGERS.items():
        triggers.setdefault(name, _shape(known, COMMON_TRIGGER))
    definitions["task"] = _typed(tasks, _TASK_PROPERTIES, definitions)
    definitions["trigger"] = _typed(triggers, {"labels": _LABELS}, definitions)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Penstock flow",
        "type": "object",
        "required": ["id", "namespace", "tasks"],
        "properties": _flow_properties(),
        "additionalProperties": False,
        "definitions": definitions,
    }


def _flow_properties() -> Schema:
    default = {
        "type": "object",
        "required": ["type", "values"],
        "properties": {"type": _TEXT, "values": _MAP, "forced": _FLAG},
        "additionalProperties": False,
    }
    return {
        "id": {"type": "string", "pattern": f"^{FLOW_ID.pattern}$", "maxLength": 100},
        "namespace": {"type": "string", "pattern": f"^{NAMESPACE.pattern}$", "maxLength": 150},
        "description": _TEXT,
        "disabled": _FLAG,
        "labels": _LABELS,
        "inputs": {"type": "array", "items": {"$ref": "#/definitions/input"}},
        "outputs": {"type": "array", "items": {"$ref": "#/definitions/output"}},
        "variables": _MAP,
        "tasks": {**_TASKS, "minItems": 1},
        "errors": _TASKS,
        "finally": _TASKS,
        "afterExecution": _TASKS,
        "triggers": {"type": "array", "items": {"$ref": "#/definitions/trigger"}},
        "pluginDefaults": {"type": "array", "items": default},
        "concurrency": _of(model.Concurrency),
        "retry": {"$ref": "#/definitions/retry"},
        "sla": {"type": "array", "items": _sla()},
        "checks": {"type": "array", "items": _of(model.Check)},
        "env": _MAP,
        "runsOn": {},
        "runs-on": {},
        "workerGroup": _MAP,
        "workerSelector": _MAP,
        "onRunnerLost": _ON_RUNNER_LOST,
        "priority": {"type": "integer"},
        "revision": {"type": "integer"},
        "deleted": _FLAG,
        # Deprecated spellings are read, so an editor must not call them wrong.
        "listeners": {"type": "array"},
        "taskDefaults": {"type": "array", "items": default},
    }


def _of(kind: type[model.Model]) -> Schema:
    """The schema of one of the language's own values; its durations may be numbers too."""
    found: Schema = kind.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    inner = found.pop("$defs", {})
    inlined: Schema = _inlined(found, inner)
    return inlined


def _inlined(value: Any, inner: Schema) -> Any:
    if isinstance(value, Mapping):
        if value.get("format") == "duration":
            return _DURATION
        reference = str(value.get("$ref", "")).rpartition("/")[2]
        if reference in inner:
            return _inlined(inner[reference], inner)
        return {key: _inlined(item, inner) for key, item in value.items()}
    return [_inlined(item, inner) for item in value] if isinstance(value, list) else value


def _retry() -> Schema:
    found = _of(model.Retry)
    found["properties"]["maxAttempt"] = {"type": "integer", "minimum": 1}
    del found["title"]
    return found


def _sla() -> Schema:
    found = _of(model.Sla)
    found["properties"]["assert"] = found["properties"].pop("assertion")
    found["properties"]["labels"] = _LABELS
    return found


def _input() -> Schema:
    variants = [
        {
            "if": {"properties": {"type": {"const": name}}},
            "then": {
                "properties": dict.fromkeys(sorted(COMMON_INPUT | options), True),
                "additionalProperties": False,
            },
        }
        for name, options in INPUT_OPTIONS.items()
    ]
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "id": {"type": "string", "pattern": f"^{INPUT_ID.pattern}$"},
            "type": {"enum": list(INPUT_OPTIONS)},
            "required": _FLAG,
            "description": _TEXT,
            "displayName": _TEXT,
        },
        "allOf": variants,
    }


def _output() -> Schema:
    found = _of(model.Output)
    found["properties"]["type"] = {"enum": list(INPUT_OPTIONS)}
    return found


def _types(
    catalogue: Listing, kind: TypeKind, common: Iterable[str], definitions: Schema
) -> Schema:
    """The schemas of all types of a kind that have a model."""
    found: Schema = {}
    for name in catalogue.names(kind):
        info = catalogue.find(name)
        if info is not None and info.properties is not None:
            found[name] = _from_model(info, common, definitions)
    return found


def _from_model(info: TypeInfo, common: Iterable[str], definitions: Schema) -> Schema:
    properties = info.properties
    if properties is None:
        return {}
    schema: Schema = properties.model_json_schema(
        by_alias=True, ref_template=f"#/definitions/{info.name}.{{model}}"
    )
    for name, inner in schema.pop("$defs", {}).items():
        definitions[f"{info.name}.{name}"] = _loose(_untitled(inner))
    loose = _loose(_untitled(schema))
    # An editor shows the description where the type is named.
    told = {"description": schema["description"]} if "description" in schema else True
    return loose | {
        "properties": dict.fromkeys(sorted(common), True)
        | {"type": told}
        | loose.get("properties", {}),
        # Plugin defaults may give what a file lacks, so nothing is required of the file.
        "required": [],
    }


def _untitled(value: Any) -> Any:
    """A schema without the titles and null defaults that models give every property."""
    if isinstance(value, list):
        return [_untitled(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    own = {k: v for k, v in value.items() if not (k == "title" and isinstance(v, str))}
    if own.get("default", "") is None:
        del own["default"]
    return {key: _untitled(item) for key, item in own.items()}


def _loose(schema: Schema) -> Schema:
    """The same schema with expressions allowed for every property."""
    properties = {
        name: known if known.get("type") == "string" else {"anyOf": [known, _TEXT]}
        for name, known in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema


def _shape(known: Shape, common: Iterable[str]) -> Schema:
    names = sorted(known.names | frozenset(common))
    return {"properties": dict.fromkeys(names, True), "additionalProperties": False}


def _flowable(flowable: Flowable, described: Schema) -> Schema:
    """A task that orders others; what a model says of its own properties is kept."""
    own = described.get("properties", {})
    properties: Schema = dict.fromkeys(sorted(COMMON_TASK | flowable.own), True)
    properties |= {name: own[name] for name in ("type", *flowable.own) if name in own}
    properties |= dict.fromkeys(flowable.lists, _TASKS)
    if flowable.single:
        properties[flowable.single] = {"$ref": "#/definitions/task"}
    if flowable.cases:
        properties[flowable.cases] = {"type": "object", "additionalProperties": _TASKS}
    if flowable.edges:
        node = {"task": {"$ref": "#/definitions/task"}, "dependsOn": {"type": "array"}}
        item = {"type": "object", "properties": node, "additionalProperties": False}
        properties["tasks"] = {"type": "array", "items": item}
    about = {"description": described["description"]} if "description" in described else {}
    return {**about, "properties": properties, "additionalProperties": False}


def _typed(types: Schema, common: Schema, definitions: Schema) -> Schema:
    """An object whose properties depend on its type; unknown types keep theirs open."""
    for name, schema in types.items():
        definitions[name] = schema
    return {
        "type": "object",
        "required": ["id", "type"],
        "properties": {
            "id": {"type": ["string", "number"], "pattern": f"^{TASK_ID.pattern}$"},
            "type": {"type": "string", "anyOf": [{"enum": sorted(types)}, {}]},
            **common,
        },
        "allOf": [
            {
                "if": {"properties": {"type": {"const": name}}},
                "then": {"$ref": f"#/definitions/{name}"},
            }
            for name in sorted(types)
        ],
    }
