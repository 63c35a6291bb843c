"""From the plain data of a flow file to a `Flow`, with every fault at its place.

A `Binder` walks the data once. What the language says of every task, trigger and input becomes
typed here; what belongs to a type stays plain data in `properties`. Deprecated spellings are
understood and reported as warnings. Rules that look at several values are in `check`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from penstock_runner.flow import model
from penstock_runner.flow.document import Document, pointer_of
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.reading import Reading
from penstock_runner.flow.suggestions import did_you_mean
from penstock_runner.flow.types import (
    COMMON_INPUT,
    COMMON_TASK,
    COMMON_TRIGGER,
    FLOWABLES,
    INPUT_OPTIONS,
    Flowable,
    old_properties,
    replaced_by,
)

FLOW_CLASS = "io.kestra.core.models.flows.Flow"
FLOW_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
NAMESPACE = re.compile(r"[a-z0-9][a-z0-9._-]*")
TASK_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*")
LONGEST_GRACE = timedelta(seconds=300)
INPUT_ID = re.compile(r"[a-zA-Z0-9][.a-zA-Z0-9_-]*")

_FLOW_PROPERTIES = frozenset(
    (
        "id", "namespace", "revision", "description", "labels", "inputs", "variables", "tasks",
        "errors",
        "finally", "afterExecution", "listeners", "triggers", "pluginDefaults", "taskDefaults",
        "concurrency", "outputs", "retry", "sla", "checks", "env", "disabled", "deleted",
        "tenantId",
        "updated", "runsOn", "runs-on", "workerGroup", "workerSelector", "assets", "quota",
        "onRunnerLost", "priority",
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
_TASK_DURATIONS = {
    "queueTimeout": ("queue_timeout", None),
    "idleTimeout": ("idle_timeout", None),
    "killGrace": ("kill_grace", LONGEST_GRACE),
}
_TRIGGER_FIELDS = {
    "description": "description", "disabled": "disabled", "logLevel": "log_level", "when": "run_if",
    "minLogLevel": "log_level", "inputs": "inputs", "stopAfter": "stop_after", "runsOn": "runs_on",
    "runs-on": "runs_on", "workerGroup": "worker_group", "workerSelector": "worker_selector",
    "logToFile": "log_to_file", "version": "version", "pluginDefaultsRef": "plugin_defaults_ref",
}  # fmt: skip


class Binder:
    """Binds one document; `faults` holds everything found so far."""

    def __init__(self, document: Document, *, strict: bool = True) -> None:
        self._read = Reading(document, strict=strict)

    @property
    def faults(self) -> list[Fault]:
        """Everything found so far, in the order in which it was found."""
        return self._read.faults

    # -- the flow ---------------------------------------------------------------------------------

    def flow(self, data: object, source: str) -> model.Flow | None:
        """The flow that the data says, or None when a fault stands in the way."""
        if not isinstance(data, Mapping):
            self._read.add("WRONG_TYPE", "a flow is a map with id, namespace and tasks", "")
            return None
        self._read.known(data, _FLOW_PROPERTIES, "", FLOW_CLASS)
        values: dict[str, object] = {"source": source}
        self._flow_name(data, "id", FLOW_ID, 100, values)
        self._flow_name(data, "namespace", NAMESPACE, 150, values)
        for name, field in (("tasks", "tasks"), ("errors", "errors"), ("finally", "finally_")):
            values[field] = self._tasks(data.get(name), f"/{name}")
        values["after_execution"] = self._tasks(data.get("afterExecution"), "/afterExecution")
        if not data.get("tasks"):
            self._read.add("MISSING_PROPERTY", "'tasks' must not be empty", "/tasks")
        values["labels"] = self._read.labels(data.get("labels"), "/labels")
        values["inputs"] = self._read.each(data.get("inputs"), "/inputs", self.input)
        values["outputs"] = self._read.each(data.get("outputs"), "/outputs", self._output)
        values["triggers"] = self._read.each(data.get("triggers"), "/triggers", self.trigger)
        values["listeners"] = self._read.each(data.get("listeners"), "/listeners", self._listener)
        values["sla"] = self._read.each(data.get("sla"), "/sla", self.sla)
        values["checks"] = self._read.each(data.get("checks"), "/checks", self._check)
        values["plugin_defaults"] = self._plugin_defaults(data)
        values["retry"] = self.retry(data.get("retry"), "/retry")
        values["concurrency"] = self._concurrency(data.get("concurrency"))
        for name in ("listeners", "taskDefaults"):
            if name in data:
                self._read.deprecated_property(f"/{name}", name)
        self._rest_of_flow(data, values)
        return self._read.model(model.Flow, values, "")

    def _flow_name(
        self,
        data: Mapping[str, object],
        name: str,
        pattern: re.Pattern[str],
        longest: int,
        values: dict[str, object],
    ) -> None:
        values[name] = text = self._read.text(data.get(name))
        code = "BAD_ID" if name == "id" else "BAD_NAMESPACE"
        pointer = f"/{name}"
        if text is None:
            if data.get(name) is None:
                self._read.add("MISSING_PROPERTY", f"'{name}' must not be null", pointer)
            return
        if name == "id" and not text.strip():
            self._read.add(code, "'id' must not be blank", pointer)
        if not pattern.fullmatch(text):
            self._read.add(code, f"'{name}' must match \"^{pattern.pattern}\"", pointer)
        if not 1 <= len(text) <= longest:
            self._read.add(code, f"'{name}' size must be between 1 and {longest}", pointer)

    def _rest_of_flow(self, data: Mapping[str, object], values: dict[str, object]) -> None:
        names = {"description": "description", "revision": "revision", "disabled": "disabled"}
        names |= {"deleted": "deleted", "variables": "variables", "env": "env", "runsOn": "runs_on"}
        names |= {"runs-on": "runs_on", "workerGroup": "worker_group"}
        names |= {"workerSelector": "worker_selector", "onRunnerLost": "on_runner_lost"}
        names |= {"priority": "priority"}
        for name, field in names.items():
            if data.get(name) is not None:
                values[field] = data[name]

    # -- tasks ------------------------------------------------------------------------------------

    def _tasks(self, data: object, pointer: str) -> tuple[model.Task, ...]:
        return self._read.each(data, pointer, self.task)

    def task(self, data: object, pointer: str) -> model.Task | None:
        """One task and everything below it."""
        if not isinstance(data, Mapping):
            self._read.add("WRONG_TYPE", "a task is a map with id and type", pointer)
            return None
        before = len(self.faults)
        type_, kind = self._type(data, pointer)
        values: dict[str, object] = {"type": type_, "kind": kind, "branches": {}, "depends_on": {}}
        values["id"] = self._read.id(data, pointer, TASK_ID)
        flowable = FLOWABLES.get(kind)
        self._read.common(data, _TASK_FIELDS, values, pointer)
        if "retry" in data:
            values["retry"] = self.retry(data["retry"], pointer + "/retry")
        if data.get("timeout") is not None:
            values["timeout"] = self._read.timeout(data["timeout"], pointer + "/timeout")
        for name, (field, longest) in _TASK_DURATIONS.items():
            if data.get(name) is not None:
                values[field] = self._read.wait(data[name], f"{pointer}/{name}", longest)
        if flowable is None:
            own = {k: v for k, v in data.items() if k not in COMMON_TASK}
        else:
            own = {k: v for k, v in data.items() if k in flowable.own and v is not None}
            self._read.known(data, COMMON_TASK | flowable.names, pointer, type_)
            self._branches(data, flowable, pointer, values)
        values["properties"] = own
        task = self._read.model(model.Task, values, pointer)
        return task if task is not None and not self._read.errors_since(before) else None

    def _type(self, data: Mapping[str, object], pointer: str) -> tuple[str, str]:
        type_ = data.get("type")
        if not isinstance(type_, str) or not type_:
            if type_ is None or type_ == "":
                self._read.add("MISSING_PROPERTY", "'type' must not be null", pointer + "/type")
            else:
                self._read.add("WRONG_TYPE", "'type' must be text", pointer + "/type")
            return "", ""
        present = replaced_by(type_)
        if present is not None:
            way_out = f"write {present}" if present else "it is going away"
            self._read.warn(
                "DEPRECATED_TYPE", f"the type {type_} is deprecated: {way_out}", pointer, "type"
            )
        for name, way_out in old_properties(present or type_).items():
            if name in data:
                self._read.deprecated_property(f"{pointer}/{name}", name, way_out)
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
            self._read.add("WRONG_TYPE", "'cases' is a map of values to lists of tasks", pointer)
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
                self._read.add("WRONG_TYPE", "an item of a Dag is a map with 'task'", at)
                return None
            self._read.known(item, ("task", "dependsOn"), at, "DagTask")
            task = self.task(item["task"], at + "/task")
            wanted = item.get("dependsOn")
            if isinstance(wanted, str):
                wanted = [wanted]
            if wanted is not None and not isinstance(wanted, list):
                self._read.add("WRONG_TYPE", "'dependsOn' is a list of task ids", at + "/dependsOn")
            if task is not None and isinstance(wanted, list) and wanted:
                edges[task.id] = tuple(str(name) for name in wanted)
            return task

        return self._read.each(data, pointer, one), edges

    # -- triggers, inputs, outputs ----------------------------------------------------------------

    def trigger(self, data: object, pointer: str) -> model.Trigger | None:
        """One trigger."""
        if not isinstance(data, Mapping):
            self._read.add("WRONG_TYPE", "a trigger is a map with id and type", pointer)
            return None
        type_, kind = self._type(data, pointer)
        values: dict[str, object] = {"type": type_, "kind": kind}
        values["id"] = self._read.id(data, pointer, TASK_ID)
        self._read.common(data, _TRIGGER_FIELDS, values, pointer)
        values["labels"] = self._read.labels(data.get("labels"), pointer + "/labels")
        values["conditions"] = self._read.maps(data.get("conditions"), pointer + "/conditions")
        if "minLogLevel" in data:
            self._read.deprecated_property(
                pointer + "/minLogLevel", "minLogLevel", "write 'logLevel'"
            )
        values["properties"] = {k: v for k, v in data.items() if k not in COMMON_TRIGGER}
        return self._read.model(model.Trigger, values, pointer)

    def input(self, data: object, pointer: str) -> model.Input | None:
        """One declared input."""
        if not isinstance(data, Mapping):
            self._read.add("WRONG_TYPE", "an input is a map with id and type", pointer)
            return None
        values: dict[str, object] = {"type": data.get("type")}
        named = data if "name" not in data or "id" in data else {**data, "id": data["name"]}
        if "name" in data:
            self._read.deprecated_property(pointer + "/name", "name", "write 'id'")
        values["id"] = self._read.id(named, pointer, INPUT_ID)
        type_ = data.get("type")
        options = INPUT_OPTIONS.get(type_) if isinstance(type_, str) else None
        if options is None:
            self._unknown_input_type(type_, pointer)
            return None
        if type_ in ("BOOLEAN", "ENUM"):
            present = {"BOOLEAN": "BOOL", "ENUM": "SELECT"}[str(type_)]
            message = f"the input type {type_} is deprecated: write {present}"
            self._read.warn("DEPRECATED_TYPE", message, pointer + "/type", None)
        self._read.known(data, COMMON_INPUT | options, pointer, f"{type_} input")
        for name, field in (("description", "description"), ("displayName", "display_name")):
            values[field] = data.get(name)
        for name in ("required", "defaults", "prefill"):
            if data.get(name) is not None:
                values[name] = data[name]
        values["depends_on"] = data.get("dependsOn")
        values["options"] = {k: v for k, v in data.items() if k in options and v is not None}
        return self._read.model(model.Input, values, pointer)

    def _unknown_input_type(self, type_: object, pointer: str) -> None:
        shown = "null" if type_ is None else str(type_)
        if not self._read.room(Severity.ERROR):
            return
        hint = did_you_mean(shown[:100], INPUT_OPTIONS) or "known are " + ", ".join(INPUT_OPTIONS)
        self._read.add("BAD_VALUE", f"Invalid type: {shown}", pointer + "/type")
        self.faults[-1] = replace(self.faults[-1], hint=hint)

    def _output(self, data: object, pointer: str) -> model.Output | None:
        allowed = ("id", "type", "value", "description", "displayName", "required")
        values = self._read.map(data, allowed, pointer, "Output")
        if values is None:
            return None
        values["id"] = self._read.id(values, pointer, INPUT_ID)
        if values.get("type") not in INPUT_OPTIONS:
            self._unknown_input_type(values.get("type"), pointer)
            return None
        return self._read.model(model.Output, values, pointer)

    def _listener(self, data: object, pointer: str) -> model.Listener | None:
        values = self._read.map(data, ("conditions", "tasks", "description"), pointer, "Listener")
        if values is None:
            return None
        if not values.get("tasks"):
            self._read.add("MISSING_PROPERTY", "'tasks' must not be empty", pointer + "/tasks")
        values["tasks"] = self._tasks(values.get("tasks"), pointer + "/tasks")
        values["conditions"] = self._read.maps(values.get("conditions"), pointer + "/conditions")
        return self._read.model(model.Listener, values, pointer)

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
        values = self._read.map(data, allowed, pointer, "Retry")
        if values is None:
            return None
        if "maxAttempt" in values:
            self._read.deprecated_property(
                pointer + "/maxAttempt", "maxAttempt", "write 'maxAttempts'"
            )
            values.setdefault("maxAttempts", values["maxAttempt"])
            del values["maxAttempt"]
        for name in ("when", "exitCodes"):
            if name in values and not isinstance(values[name], list):
                values[name] = [values[name]]
        return self._read.model(model.Retry, values, pointer)

    def sla(self, data: object, pointer: str) -> model.Sla | None:
        """One service level agreement."""
        allowed = ("id", "type", "behavior", "duration", "assert", "labels")
        values = self._read.map(data, allowed, pointer, "Sla")
        if values is None:
            return None
        values["labels"] = self._read.labels(values.get("labels"), pointer + "/labels")
        if "assert" in values:
            values["assertion"] = self._read.text(values.pop("assert"))
        return self._read.model(model.Sla, values, pointer)

    def _check(self, data: object, pointer: str) -> model.Check | None:
        values = self._read.map(
            data, ("condition", "message", "style", "behavior"), pointer, "Check"
        )
        if values is None:
            return None
        if isinstance(values.get("condition"), bool):
            values["condition"] = self._read.text(values["condition"])
        return self._read.model(model.Check, values, pointer)

    def _concurrency(self, data: object) -> model.Concurrency | None:
        if data is None:
            return None
        allowed = ("limit", "behavior", "group", "cancelInProgress", "queue")
        values = self._read.map(data, allowed, "/concurrency", "Concurrency")
        if values is None:
            return None
        if not values.keys() & {"limit", "group", "cancelInProgress"}:
            self._read.add("MISSING_PROPERTY", "'limit' must not be null", "/concurrency/limit")
        return self._read.model(model.Concurrency, values, "/concurrency")

    def _plugin_defaults(self, data: Mapping[str, object]) -> tuple[model.PluginDefault, ...]:
        listed = [
            self._read.each(data.get(name), f"/{name}", self._plugin_default)
            for name in ("pluginDefaults", "taskDefaults")
        ]
        return tuple(one for group in listed for one in group)

    def _plugin_default(self, data: object, pointer: str) -> model.PluginDefault | None:
        values = self._read.map(data, ("type", "values", "forced"), pointer, "PluginDefault")
        # What is missing is the affair of the check, which knows the language's words for it.
        if (
            values is None
            or not values.get("type")
            or not isinstance(values.get("values"), Mapping)
        ):
            return None
        return self._read.model(model.PluginDefault, values, pointer)
