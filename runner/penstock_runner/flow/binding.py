"""From the plain data of a flow file to a `Flow`, with every fault at its place.

A `Binder` walks the data once. What the language says of every task, trigger and input becomes
typed here; what belongs to a type stays plain data in `properties`. Deprecated spellings are
understood and reported as warnings. Rules that look at several values are in `check`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from pydantic import ValidationError

from penstock_runner.flow import durations, model
from penstock_runner.flow.faults import MAX_FAULTS, Fault, Severity
from penstock_runner.flow.labels import read_labels
from penstock_runner.flow.suggestions import did_you_mean
from penstock_runner.flow.types import (
    COMMON_INPUT,
    COMMON_TASK,
    COMMON_TRIGGER,
    FLOWABLES,
    INPUT_OPTIONS,
    Flowable,
    replaced_by,
)
from penstock_runner.flow.wording import describe, unknown_property
from penstock_runner.flow.yaml import Document, pointer_of

FLOW_CLASS = "io.kestra.core.models.flows.Flow"
FLOW_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
NAMESPACE = re.compile(r"[a-z0-9][a-z0-9._-]*")
TASK_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*")
INPUT_ID = re.compile(r"[a-zA-Z0-9][.a-zA-Z0-9_-]*")

_FLOW_PROPERTIES = frozenset(
    (
        "id", "namespace", "revision", "description", "labels", "inputs", "variables", "tasks",
        "errors",
        "finally", "afterExecution", "listeners", "triggers", "pluginDefaults", "taskDefaults",
        "concurrency", "outputs", "retry", "sla", "checks", "env", "disabled", "deleted",
        "tenantId",
        "updated", "runsOn", "runs-on", "workerGroup", "workerSelector", "assets", "quota",
        "onRunnerLost",
    )
)  # fmt: skip
_TASK_FIELDS = {
    "description": "description", "disabled": "disabled", "allowFailure": "allow_failure",
    "allowWarning": "allow_warning", "logLevel": "log_level", "logToFile": "log_to_file",
    "runIf": "run_if", "when": "run_if", "interruptible": "interruptible", "runsOn": "runs_on",
    "runs-on": "runs_on", "workerGroup": "worker_group", "workerSelector": "worker_selector",
    "taskCache": "task_cache", "onRunnerLost": "on_runner_lost", "killSignal": "kill_signal",
    "assets": "assets", "version": "version", "pluginDefaultsRef": "plugin_defaults_ref",
}  # fmt: skip
_TRIGGER_FIELDS = {
    "description": "description", "disabled": "disabled", "logLevel": "log_level", "when": "run_if",
    "minLogLevel": "log_level", "inputs": "inputs", "stopAfter": "stop_after", "runsOn": "runs_on",
    "runs-on": "runs_on", "workerGroup": "worker_group", "workerSelector": "worker_selector",
    "logToFile": "log_to_file", "version": "version", "pluginDefaultsRef": "plugin_defaults_ref",
}  # fmt: skip
_SPELLINGS = {name: old for old, name in (("runIf", "run_if"), ("logLevel", "log_level"))}
_DURATIONS = frozenset(("interval", "maxInterval", "minInterval", "maxDuration", "duration"))

M = TypeVar("M", bound=model.Model)
T = TypeVar("T")


class Binder:
    """Binds one document; `faults` holds everything found so far."""

    def __init__(self, document: Document, *, strict: bool = True) -> None:
        self.faults: list[Fault] = []
        self._document = document
        self._strict = strict

    # -- the flow ---------------------------------------------------------------------------------

    def flow(self, data: object, source: str) -> model.Flow | None:
        """The flow that the data says, or None when a fault stands in the way."""
        if not isinstance(data, Mapping):
            self._add("WRONG_TYPE", "a flow is a map with id, namespace and tasks", "")
            return None
        self._known(data, _FLOW_PROPERTIES, "", FLOW_CLASS)
        values: dict[str, object] = {"source": source}
        self._flow_name(data, "id", FLOW_ID, 100, values)
        self._flow_name(data, "namespace", NAMESPACE, 150, values)
        for name, field in (("tasks", "tasks"), ("errors", "errors"), ("finally", "finally_")):
            values[field] = self._tasks(data.get(name), f"/{name}")
        values["after_execution"] = self._tasks(data.get("afterExecution"), "/afterExecution")
        if not data.get("tasks"):
            self._add("MISSING_PROPERTY", "'tasks' must not be empty", "/tasks")
        values["labels"] = self._labels(data.get("labels"), "/labels")
        values["inputs"] = self._each(data.get("inputs"), "/inputs", self.input)
        values["outputs"] = self._each(data.get("outputs"), "/outputs", self._output)
        values["triggers"] = self._each(data.get("triggers"), "/triggers", self.trigger)
        values["listeners"] = self._each(data.get("listeners"), "/listeners", self._listener)
        values["sla"] = self._each(data.get("sla"), "/sla", self.sla)
        values["checks"] = self._each(data.get("checks"), "/checks", self._check)
        values["plugin_defaults"] = self._plugin_defaults(data)
        values["retry"] = self.retry(data.get("retry"), "/retry")
        values["concurrency"] = self._concurrency(data.get("concurrency"))
        for name in ("listeners", "taskDefaults"):
            if name in data:
                self._deprecated_property(f"/{name}", name)
        self._rest_of_flow(data, values)
        return self._model(model.Flow, values, "")

    def _flow_name(
        self,
        data: Mapping[str, object],
        name: str,
        pattern: re.Pattern[str],
        longest: int,
        values: dict[str, object],
    ) -> None:
        values[name] = text = self._text(data.get(name))
        code = "BAD_ID" if name == "id" else "BAD_NAMESPACE"
        pointer = f"/{name}"
        if text is None:
            if data.get(name) is None:
                self._add("MISSING_PROPERTY", f"'{name}' must not be null", pointer)
            return
        if name == "id" and not text.strip():
            self._add(code, "'id' must not be blank", pointer)
        if not pattern.fullmatch(text):
            self._add(code, f"'{name}' must match \"^{pattern.pattern}\"", pointer)
        if not 1 <= len(text) <= longest:
            self._add(code, f"'{name}' size must be between 1 and {longest}", pointer)

    def _rest_of_flow(self, data: Mapping[str, object], values: dict[str, object]) -> None:
        names = {"description": "description", "revision": "revision", "disabled": "disabled"}
        names |= {"deleted": "deleted", "variables": "variables", "env": "env", "runsOn": "runs_on"}
        names |= {"runs-on": "runs_on", "workerGroup": "worker_group"}
        names |= {"workerSelector": "worker_selector"}
        for name, field in names.items():
            if data.get(name) is not None:
                values[field] = data[name]

    # -- tasks ------------------------------------------------------------------------------------

    def _tasks(self, data: object, pointer: str) -> tuple[model.Task, ...]:
        return self._each(data, pointer, self.task)

    def task(self, data: object, pointer: str) -> model.Task | None:
        """One task and everything below it."""
        if not isinstance(data, Mapping):
            self._add("WRONG_TYPE", "a task is a map with id and type", pointer)
            return None
        before = len(self.faults)
        type_, kind = self._type(data, pointer)
        values: dict[str, object] = {"type": type_, "kind": kind, "branches": {}, "depends_on": {}}
        values["id"] = self._id(data, pointer, TASK_ID)
        flowable = FLOWABLES.get(kind)
        self._common(data, _TASK_FIELDS, values, pointer)
        if "retry" in data:
            values["retry"] = self.retry(data["retry"], pointer + "/retry")
        if data.get("timeout") is not None:
            values["timeout"] = self._timeout(data["timeout"], pointer + "/timeout")
        for name, field in (("queueTimeout", "queue_timeout"), ("killGrace", "kill_grace")):
            if data.get(name) is not None:
                values[field] = self._duration(data[name], f"{pointer}/{name}")
        if flowable is None:
            own = {k: v for k, v in data.items() if k not in COMMON_TASK}
        else:
            own = {k: v for k, v in data.items() if k in flowable.own and v is not None}
            self._known(data, COMMON_TASK | flowable.names, pointer, type_)
            self._branches(data, flowable, pointer, values)
        values["properties"] = own
        task = self._model(model.Task, values, pointer)
        return task if task is not None and not self._errors_since(before) else None

    def _type(self, data: Mapping[str, object], pointer: str) -> tuple[str, str]:
        type_ = data.get("type")
        if not isinstance(type_, str) or not type_:
            if type_ is None or type_ == "":
                self._add("MISSING_PROPERTY", "'type' must not be null", pointer + "/type")
            else:
                self._add("WRONG_TYPE", "'type' must be text", pointer + "/type")
            return "", ""
        present = replaced_by(type_)
        if present is not None:
            way_out = f"write {present}" if present else "it is going away"
            self._warn(
                "DEPRECATED_TYPE", f"the type {type_} is deprecated: {way_out}", pointer, "type"
            )
        return type_, present or type_

    def _branches(
        self,
        data: Mapping[str, object],
        flowable: Flowable,
        pointer: str,
        values: dict[str, object],
    ) -> None:
        branches: dict[str, tuple[model.Task, ...]] = {}
        for name in data:
            at = pointer_of(name)
            if name in flowable.lists and data[name] is not None:
                branches[name] = self._tasks(data[name], pointer + at)
            elif name == flowable.single and data[name] is not None:
                task = self.task(data[name], pointer + at)
                branches[name] = (task,) if task else ()
            elif name == flowable.cases:
                branches |= self._cases(data[name], pointer + at)
            elif flowable.edges and name == "tasks":
                branches[name], values["depends_on"] = self._edges(data[name], pointer + at)
        values["branches"] = branches

    def _cases(self, data: object, pointer: str) -> dict[str, tuple[model.Task, ...]]:
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            self._add("WRONG_TYPE", "'cases' is a map of values to lists of tasks", pointer)
            return {}
        return {
            f"cases.{value}": self._tasks(tasks, pointer + pointer_of(value))
            for value, tasks in data.items()
        }

    def _edges(
        self, data: object, pointer: str
    ) -> tuple[tuple[model.Task, ...], dict[str, tuple[str, ...]]]:
        edges: dict[str, tuple[str, ...]] = {}

        def one(item: object, at: str) -> model.Task | None:
            if not isinstance(item, Mapping) or not isinstance(item.get("task"), Mapping):
                self._add("WRONG_TYPE", "an item of a Dag is a map with 'task'", at)
                return None
            self._known(item, ("task", "dependsOn"), at, "DagTask")
            task = self.task(item["task"], at + "/task")
            wanted = item.get("dependsOn")
            if isinstance(wanted, str):
                wanted = [wanted]
            if wanted is not None and not isinstance(wanted, list):
                self._add("WRONG_TYPE", "'dependsOn' is a list of task ids", at + "/dependsOn")
            if task is not None and isinstance(wanted, list) and wanted:
                edges[task.id] = tuple(str(name) for name in wanted)
            return task

        return self._each(data, pointer, one), edges

    # -- triggers, inputs, outputs ----------------------------------------------------------------

    def trigger(self, data: object, pointer: str) -> model.Trigger | None:
        """One trigger."""
        if not isinstance(data, Mapping):
            self._add("WRONG_TYPE", "a trigger is a map with id and type", pointer)
            return None
        type_, kind = self._type(data, pointer)
        values: dict[str, object] = {"type": type_, "kind": kind}
        values["id"] = self._id(data, pointer, TASK_ID)
        self._common(data, _TRIGGER_FIELDS, values, pointer)
        values["labels"] = self._labels(data.get("labels"), pointer + "/labels")
        values["conditions"] = self._maps(data.get("conditions"), pointer + "/conditions")
        if "minLogLevel" in data:
            self._deprecated_property(pointer + "/minLogLevel", "minLogLevel", "logLevel")
        values["properties"] = {k: v for k, v in data.items() if k not in COMMON_TRIGGER}
        return self._model(model.Trigger, values, pointer)

    def input(self, data: object, pointer: str) -> model.Input | None:
        """One declared input."""
        if not isinstance(data, Mapping):
            self._add("WRONG_TYPE", "an input is a map with id and type", pointer)
            return None
        values: dict[str, object] = {"type": data.get("type")}
        named = data if "name" not in data or "id" in data else {**data, "id": data["name"]}
        if "name" in data:
            self._deprecated_property(pointer + "/name", "name", "id")
        values["id"] = self._id(named, pointer, INPUT_ID)
        type_ = data.get("type")
        options = INPUT_OPTIONS.get(type_) if isinstance(type_, str) else None
        if options is None:
            self._unknown_input_type(type_, pointer)
            return None
        if type_ in ("BOOLEAN", "ENUM"):
            present = {"BOOLEAN": "BOOL", "ENUM": "SELECT"}[str(type_)]
            message = f"the input type {type_} is deprecated: write {present}"
            self._warn("DEPRECATED_TYPE", message, pointer + "/type", None)
        self._known(data, COMMON_INPUT | options, pointer, f"{type_} input")
        for name, field in (("description", "description"), ("displayName", "display_name")):
            values[field] = data.get(name)
        for name in ("required", "defaults", "prefill"):
            if data.get(name) is not None:
                values[name] = data[name]
        values["depends_on"] = data.get("dependsOn")
        values["options"] = {k: v for k, v in data.items() if k in options and v is not None}
        return self._model(model.Input, values, pointer)

    def _unknown_input_type(self, type_: object, pointer: str) -> None:
        shown = "null" if type_ is None else str(type_)
        if not self._room(Severity.ERROR):
            return
        hint = did_you_mean(shown[:100], INPUT_OPTIONS) or "known are " + ", ".join(INPUT_OPTIONS)
        self._add("BAD_VALUE", f"Invalid type: {shown}", pointer + "/type")
        self.faults[-1] = replace(self.faults[-1], hint=hint)

    def _output(self, data: object, pointer: str) -> model.Output | None:
        allowed = ("id", "type", "value", "description", "displayName", "required")
        values = self._map(data, allowed, pointer, "Output")
        if values is None:
            return None
        values["id"] = self._id(values, pointer, INPUT_ID)
        if values.get("type") not in INPUT_OPTIONS:
            self._unknown_input_type(values.get("type"), pointer)
            return None
        return self._model(model.Output, values, pointer)

    def _listener(self, data: object, pointer: str) -> model.Listener | None:
        values = self._map(data, ("conditions", "tasks", "description"), pointer, "Listener")
        if values is None:
            return None
        if not values.get("tasks"):
            self._add("MISSING_PROPERTY", "'tasks' must not be empty", pointer + "/tasks")
        values["tasks"] = self._tasks(values.get("tasks"), pointer + "/tasks")
        values["conditions"] = self._maps(values.get("conditions"), pointer + "/conditions")
        return self._model(model.Listener, values, pointer)

    # -- small objects ----------------------------------------------------------------------------

    def retry(self, data: object, pointer: str) -> model.Retry | None:
        """A retry policy, with both spellings of its attempts."""
        allowed = (
            "type", "interval", "maxInterval", "minInterval", "delayFactor", "maxAttempts",
            "maxAttempt",
            "maxDuration", "warningOnRetry", "behavior", "when", "exitCodes",
        )  # fmt: skip
        if data is None:
            return None
        values = self._map(data, allowed, pointer, "Retry")
        if values is None:
            return None
        if "maxAttempt" in values:
            self._deprecated_property(pointer + "/maxAttempt", "maxAttempt", "maxAttempts")
            values.setdefault("maxAttempts", values["maxAttempt"])
            del values["maxAttempt"]
        for name in ("when", "exitCodes"):
            if name in values and not isinstance(values[name], list):
                values[name] = [values[name]]
        return self._model(model.Retry, values, pointer)

    def sla(self, data: object, pointer: str) -> model.Sla | None:
        """One service level agreement."""
        allowed = ("id", "type", "behavior", "duration", "assert", "labels")
        values = self._map(data, allowed, pointer, "Sla")
        if values is None:
            return None
        values["labels"] = self._labels(values.get("labels"), pointer + "/labels")
        if "assert" in values:
            values["assertion"] = self._text(values.pop("assert"))
        return self._model(model.Sla, values, pointer)

    def _check(self, data: object, pointer: str) -> model.Check | None:
        values = self._map(data, ("condition", "message", "style", "behavior"), pointer, "Check")
        return None if values is None else self._model(model.Check, values, pointer)

    def _concurrency(self, data: object) -> model.Concurrency | None:
        if data is None:
            return None
        allowed = ("limit", "behavior", "group", "cancelInProgress", "queue")
        values = self._map(data, allowed, "/concurrency", "Concurrency")
        return None if values is None else self._model(model.Concurrency, values, "/concurrency")

    def _plugin_defaults(self, data: Mapping[str, object]) -> tuple[model.PluginDefault, ...]:
        listed = [
            self._each(data.get(name), f"/{name}", self._plugin_default)
            for name in ("pluginDefaults", "taskDefaults")
        ]
        return tuple(one for group in listed for one in group)

    def _plugin_default(self, data: object, pointer: str) -> model.PluginDefault | None:
        values = self._map(data, ("type", "values", "forced"), pointer, "PluginDefault")
        # What is missing is the affair of the check, which knows the language's words for it.
        if (
            values is None
            or not values.get("type")
            or not isinstance(values.get("values"), Mapping)
        ):
            return None
        return self._model(model.PluginDefault, values, pointer)

    # -- the tools of all of them -----------------------------------------------------------------

    def _common(
        self,
        data: Mapping[str, object],
        fields: Mapping[str, str],
        values: dict[str, object],
        pointer: str,
    ) -> None:
        for name, field in fields.items():
            value = data.get(name)
            if value is None:
                continue
            if field in values:
                other = next(n for n, f in fields.items() if f == field and n != name)
                message = f"'{name}' and '{other}' mean the same: leave one out"
                self._add("BAD_VALUE", message, f"{pointer}/{name}", key=True)
            values[field] = self._text(value) if field == "run_if" else value

    def _each(
        self, data: object, pointer: str, read: Callable[[object, str], T | None]
    ) -> tuple[T, ...]:
        if data is None:
            return ()
        if not isinstance(data, list):
            name = pointer.rpartition("/")[2]
            self._add("WRONG_TYPE", f"'{name}' must be a list", pointer)
            return ()
        found = [read(item, f"{pointer}/{index}") for index, item in enumerate(data)]
        return tuple(item for item in found if item is not None)

    def _maps(self, data: object, pointer: str) -> tuple[Mapping[str, object], ...]:
        def one(item: object, at: str) -> Mapping[str, object] | None:
            if isinstance(item, Mapping):
                return item
            self._add("WRONG_TYPE", "a condition is a map with type", at)
            return None

        return self._each(data, pointer, one)

    def _map(
        self, data: object, allowed: Collection[str], pointer: str, what: str
    ) -> dict[str, object] | None:
        """A small object without its nulls, its durations read; None when it is no map."""
        if not isinstance(data, Mapping):
            self._add("WRONG_TYPE", f"{what} must be a map", pointer)
            return None
        self._known(data, allowed, pointer, what)
        values = {k: v for k, v in data.items() if k in allowed and v is not None}
        for name in _DURATIONS & values.keys():
            values[name] = self._duration(values[name], f"{pointer}/{name}")
        return values

    def _labels(self, data: object, pointer: str) -> dict[str, str]:
        labels, bad = read_labels(data)
        for fault in bad:
            self._add(fault.code, fault.message, pointer + pointer_of(*fault.where))
        return labels

    def _id(self, data: Mapping[str, object], pointer: str, pattern: re.Pattern[str]) -> str:
        text = self._text(data.get("id"))
        name = "name" if "id" not in data and "name" in data else "id"
        if text is None:
            self._add("MISSING_PROPERTY", "'id' must not be null", f"{pointer}/id")
            return ""
        if not pattern.fullmatch(text):
            message = f"'id' must match \"^{pattern.pattern}\""
            self._add("BAD_ID", message, f"{pointer}/{name}")
        return text

    def _text(self, value: object) -> str | None:
        """A scalar as text: ids and conditions may look like numbers or booleans."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, str | int | float) else None

    def _timeout(self, value: object, pointer: str) -> str | None:
        if isinstance(value, str) and "{{" in value:
            return value
        return None if self._duration(value, pointer) is None else str(value)

    def _duration(self, value: object, pointer: str) -> object:
        try:
            return durations.parse(value)
        except durations.BadDuration as error:
            self._add("BAD_VALUE", str(error), pointer)
            return None

    def _known(
        self, data: Mapping[str, object], allowed: Collection[str], pointer: str, what: str
    ) -> None:
        if not self._strict:
            return
        for name in data:
            if name not in allowed and self._room(Severity.ERROR):
                self.faults.append(unknown_property(self._document, pointer, name, what, allowed))

    def _model(self, kind: type[M], values: Mapping[str, object], pointer: str) -> M | None:
        before = len(self.faults)
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False) if self._room(Severity.ERROR) else ():
                fault = self._fault_of(cast("Mapping[str, object]", detail), pointer)
                # An id or type that is missing has been told already, in better words.
                if not any(f.pointer == fault.pointer for f in self.faults):
                    self.faults.append(fault)
            if len(self.faults) == before and not self._errors_since(0):
                self._add("BAD_VALUE", str(error).splitlines()[0], pointer)
            return None

    def _fault_of(self, detail: Mapping[str, object], pointer: str) -> Fault:
        where = cast("Sequence[str | int]", detail["loc"])
        steps = [_SPELLINGS.get(str(s), _camel(s)) for s in where if not str(s).startswith("dict[")]
        at = pointer + pointer_of(*[s for s in steps if s not in ("bool", "json-or-python")])
        code, message, hint = describe(str(at.rpartition("/")[2]), detail)
        return replace(self._document.fault(code, message, at), hint=hint)

    def _errors_since(self, count: int) -> bool:
        return any(fault.severity is Severity.ERROR for fault in self.faults[count:])

    def _add(self, code: str, message: str, pointer: str, *, key: bool = False) -> None:
        if self._room(Severity.ERROR):
            self.faults.append(self._document.fault(code, message, pointer, key=key))

    def _room(self, severity: Severity) -> bool:
        """Whether another fault of this severity is kept; finding its place takes time."""
        if len(self.faults) < MAX_FAULTS:
            return True
        return sum(fault.severity is severity for fault in self.faults) < MAX_FAULTS

    def _warn(self, code: str, message: str, pointer: str, child: str | None) -> None:
        if not self._room(Severity.WARNING):
            return
        at = pointer if child is None else f"{pointer}/{child}"
        fault = self._document.fault(code, message, at)
        self.faults.append(replace(fault, pointer=pointer, severity=Severity.WARNING))

    def _deprecated_property(self, pointer: str, old: str, new: str | None = None) -> None:
        if not self._room(Severity.WARNING):
            return
        way_out = f"write '{new}'" if new else _SUCCESSORS.get(old, "leave it out")
        fault = self._document.fault(
            "DEPRECATED_PROPERTY", f"'{old}' is deprecated: {way_out}", pointer, key=True
        )
        self.faults.append(replace(fault, severity=Severity.WARNING))


_SUCCESSORS = {
    "listeners": "use a Flow trigger or 'afterExecution'",
    "taskDefaults": "write 'pluginDefaults'",
}


def _camel(step: str | int) -> str | int:
    if isinstance(step, int) or "_" not in step:
        return step
    head, *rest = step.strip("_").split("_")
    return head + "".join(word.title() for word in rest)
