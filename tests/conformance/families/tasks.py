"""One task alone, one list of commands of a task runner, or one service function."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from tests.conformance.cases import Case, Context, Outcome, failed, outcome
from tests.conformance.echo_site import serving
from tests.conformance.live_task import run_live
from tests.conformance.matchers import ABSENT, Matcher
from tests.conformance.placeholders import Placeholders
from tests.conformance.single_job import NAMESPACE, NeedsServer, Ran, World, made_address
from tests.conformance.stored_flows import import_reason, last_revisions
from tests.taskrunners import real_docker

from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import Execution, RunKey, State, TaskRun
from penstock_runner.executor.context import Context as Built
from penstock_runner.executor.flows import load
from penstock_runner.executor.store import StoredFlow
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.variables import trigger_map
from penstock_runner.flow.defaults import Default, apply_defaults
from penstock_runner.jobs import files
from penstock_runner.jobs.masking import Masker
from penstock_runner.jobs.rendering import JobRender
from penstock_runner.jobs.services import JobServices
from penstock_runner.jobs.workspace import Workspace
from penstock_runner.taskrunners.docker_access import find_daemon
from penstock_runner.taskrunners.names import job_name, labels, normalised
from penstock_runner.tasks import places
from penstock_runner.tasks.core_state import merged
from penstock_runner.tasks.keyvalues import typed_value
from penstock_runner.tasks.scripts import shell_command
from penstock_runner.tasks.storage import LocalStorage

_STEP = re.compile(r"""\.?([^.\[\]]+)|\[(\d+)\]|\["([^"]+)"\]""")

OFFERS = ("docker",) if find_daemon(real_docker.access()) else ()
"""Containers, where a daemon answers."""


def run(case: Case, context: Context) -> Outcome:
    """Run the case by what it asks for."""
    if "fn" in case:
        function = _FUNCTIONS.get(case["fn"])
        if function is None:
            return failed(f"the function {case['fn']} is not part of this family yet")
        return outcome(_function(function, case, context))
    if "flow_map" in case:
        return outcome(_defaults(case, context))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        site = stack.enter_context(serving(case["server"])) if "server" in case else None
        made = (case.get("setup") or {}).get("files") or {}
        named = {name: made_address(name) for name in made}
        if site:
            named["server"] = site
        fill = Placeholders(context=context, folder=Path(folder), named=named.get).fill
        alone = _Alone(fill(case), World(Path(folder), _now), context, fill)
        try:
            return outcome(alone.reason())
        except NeedsServer:
            return outcome(alone.live_reason())


def _now() -> datetime:
    return datetime.now(UTC)


class _Alone:
    """One case that runs tasks."""

    def __init__(
        self, case: Case, world: World, context: Context, fill: Callable[[Any], Any]
    ) -> None:
        self.case = case
        self.world = world
        self.matcher = Matcher(now=context.now, read=world.storage.read_bytes, fill=fill)

    def reason(self) -> str | None:
        """Why the case does not hold, or None."""
        self.world.prepare(self.case)
        if any("import" in step for step in self.case.get("steps", ())):
            return import_reason(self.case["steps"])
        if "steps" in self.case:
            return next(filter(None, map(self._step, self.case["steps"])), None)
        if "runner" in self.case:
            return self._commands()
        return self._task()

    def live_reason(self) -> str | None:
        """Why the case does not hold for a task of a flow in the live service, or None."""
        return self._compare(run_live(self.case), self.case["expect"])

    def _step(self, step: Mapping[str, Any]) -> str | None:
        report = self.world.run(step["task"], self.case, flow=step.get("flow"))
        return self._compare(report, step.get("expect") or {})

    def _task(self) -> str | None:
        runs = self.case.get("runs", 1)
        changes = [{}] * runs if isinstance(runs, int) else runs
        reports = [self.world.run({**self.case["task"], **c}, self.case) for c in changes]
        expected = dict(self.case["expect"])
        second = expected.pop("second_run", None)
        if second is not None and (reason := self._compare(reports[1], second)):
            return f"second run: {reason}"
        first = reports[0] if second is not None else reports[-1]
        return self._compare(first, expected)

    def _commands(self) -> str | None:
        """Run commands as a shell task of that task runner."""
        case = self.case
        properties: dict[str, Any] = {
            "taskRunner": case["runner"],
            "interpreter": case["interpreter"],
            "commands": case["commands"],
            "outputFiles": case.get("output_files", []),
            "outputDirectory": case.get("output_directory", True),
            "inputFiles": (case.get("setup") or {}).get("workdir", {}),
        }
        if case["runner"]["type"].endswith(".Docker"):
            real_docker.prepared()
            properties["taskRunner"] = {**case["runner"], "pullPolicy": "NEVER"}
            properties["containerImage"] = real_docker.IMAGE
        task = {"id": "t", "type": "io.kestra.plugin.scripts.shell.Commands", **properties}
        given = {**case, "vars": case.get("context") or {}}
        report = self.world.run(task, given)
        expected = dict(case["expect"])
        outputs = report.outputs
        wanted: dict[str, Any] = {"outputs": {}}
        if "exit_code" in expected:
            wanted["outputs"]["exitCode"] = expected["exit_code"]
        if "vars" in expected:
            wanted["outputs"]["vars"] = expected["vars"]
        if "error" in expected:
            wanted["error"] = expected["error"]
        for name, text in (expected.get("output_files") or {}).items():
            uri = (outputs.get("outputFiles") or {}).get(name)
            if uri is None or self.world.storage.read_bytes(uri).decode() != text:
                return f"the output file {name} is not {text!r}"
        said = "\n".join(text for _, text in self.world.said)
        missing = [text for text in expected.get("stdout_contains", []) if text not in said]
        if missing:
            return f"the log does not hold {missing[0]!r}"
        return self._compare(report, wanted)

    def _compare(self, report: Ran, expected: Mapping[str, Any]) -> str | None:
        wanted_error = expected.get("error")
        if wanted_error is not None:
            if report.error is None:
                return f"succeeded, expected the error {wanted_error!r}"
            if wanted_error is not True and str(wanted_error) not in report.error:
                return f"failed with {report.error!r}, expected {wanted_error!r}"
        elif report.error is not None:
            return f"failed with {report.error!r}"
        for path, wanted in (expected.get("outputs") or {}).items():
            if reason := self.matcher.mismatch(wanted, at(report.outputs, path), path):
                return reason
        checks = {
            "kv": self._kv,
            "namespace_files": self._namespace_files,
            "workdir": lambda wanted: self._workdir(report, wanted),
            "all_files_joined": lambda wanted: self._joined(report, wanted),
        }
        found = (check(expected[key]) for key, check in checks.items() if key in expected)
        return next(filter(None, found), None)

    def _kv(self, wanted: Mapping[str, Any]) -> str | None:
        entry = self.world.keys.get(wanted["namespace"], wanted["key"])
        if entry is None:
            return f"there is no key {wanted['key']}"
        if "value" in wanted:
            value = typed_value(entry)
            if reason := self.matcher.mismatch(wanted["value"], value, "kv"):
                return reason
        if "expiration" in wanted and entry.expires is not None:
            return f"the key expires at {entry.expires}"
        if "expires_in" in wanted and entry.expires is None:
            return "the key does not expire"
        return None

    def _namespace_files(self, wanted: Mapping[str, Any]) -> str | None:
        top = places.namespace_files(wanted.get("namespace", NAMESPACE))
        found = list(self.world.storage.walk(top + str(wanted.get("under", ""))))
        if "count" in wanted and len(found) != wanted["count"]:
            return f"{len(found)} namespace files, expected {wanted['count']}"
        if "content_is" in wanted:
            texts = {self.world.storage.read_bytes(facts.uri).decode() for facts in found}
            if texts != {wanted["content_is"]}:
                return f"the namespace files hold {texts}"
        return None

    def _workdir(self, report: Ran, wanted: Mapping[str, Any]) -> str | None:
        if "count" in wanted and len(report.files) != wanted["count"]:
            return f"the working directory holds {sorted(report.files)}"
        for name, text in wanted.items():
            if name == "count":
                continue
            found = report.files.get(name)
            if found is None or self.world.storage.read_bytes(found).decode() != text:
                return f"the working directory holds no {name} with {text!r}"
        return None

    def _joined(self, report: Ran, wanted: Mapping[str, Any]) -> str | None:
        uris = report.outputs.get("uris") or []
        joined = b"".join(self.world.storage.read_bytes(uri) for uri in uris)
        if wanted.get("same_as_input"):
            source = self.world.storage.read_bytes(self.case["task"]["from"])
            if joined != source:
                return "the files joined are not the input"
        if "line_count" in wanted and len(joined.splitlines()) != wanted["line_count"]:
            return f"the files have {len(joined.splitlines())} lines"
        return None


def at(value: Any, path: str) -> Any:
    """The value at a path such as `a.b[0]["c"]`, or ABSENT."""
    for name, index, key in _STEP.findall(path):
        if index:
            value = value[int(index)] if isinstance(value, list) else ABSENT
        elif isinstance(value, Mapping):
            value = value.get(name or key, ABSENT)
        else:
            return ABSENT
        if value is ABSENT:
            # A null output is as good as none.
            return None
    return value


def _defaults(case: Case, context: Context) -> str | None:
    own = _read(case.get("defaults"))
    everywhere = _read(case.get("global_defaults"))
    found = apply_defaults(case["flow_map"], [*own, *everywhere])
    matcher = Matcher(now=context.now)
    for name, wanted in case["expect"].items():
        if name == "flow_map":
            if reason := matcher.mismatch(wanted, found, name):
                return reason
            continue
        [first, *_] = found[f"{name}s"]  # type: ignore[misc]
        for path, value in wanted.items():
            if reason := matcher.mismatch(value, at(first, path), path):
                return reason
    return None


def _read(written: list[Mapping[str, Any]] | None) -> list[Default]:
    return [
        Default(type=d["type"], values=d["values"], forced=d.get("forced", False))
        for d in written or []
    ]


def _function(function: Callable[..., Any], case: Case, context: Context) -> str | None:
    value = function(**(case.get("args") or {}))
    expected = case["expect"]
    if case["fn"] == "context":
        return Matcher(now=context.now).mismatch(expected, value)
    if "value" in expected:
        return Matcher(now=context.now).mismatch(expected["value"], value, "value")
    if "starts_with" in expected and not value.startswith(expected["starts_with"]):
        return f"is {value!r}, expected it to start with {expected['starts_with']!r}"
    if "length" in expected and len(value) != expected["length"]:
        return f"{value!r} has {len(value)} characters, expected {expected['length']}"
    return None


def _script_commands(interpreter: list[str], before: list[str], commands: list[str]) -> list[str]:
    return shell_command(interpreter, [*before, *commands], fail_fast=False)


def _runner_labels(**given: Any) -> dict[str, str]:
    names = {
        "namespace": given["namespace"],
        "flow-id": given["flow"],
        "task-id": given["task"],
        "execution-id": given["execution"],
        "taskrun-id": given["taskrun"],
        "taskrun-attempt": str(given["attempt"]),
    }
    return labels(
        names,
        prefix=given.get("prefix") or "",
        normalise=given["normalise"],
        lower=given.get("lower", False),
    )


def _job_name(**given: Any) -> str:
    return job_name(given["namespace"], given["flow"], given["task"], given["taskrun"])


def _map_merge(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return merged(a, b)


def _log_mask(secrets: list[str | None], message: str) -> str:
    return Masker(secret for secret in secrets if secret is not None).mask(message)


def _replace_internal_storage(command: str | None, **given: Any) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace = Workspace(folder / "job")
        render = JobRender(Expressions(), given.get("vars") or {}, cast("JobServices", None))
        text = render.text(command or "") or ""
        return files.localise(text, workspace=workspace, storage=LocalStorage(folder))


def _context(**given: Any) -> Mapping[str, Any]:
    """The variables of a task run of an execution that was just made, or of a trigger."""
    if "trigger" in given:
        trigger = given["trigger"]
        return {"trigger": trigger_map(trigger["id"], trigger["type"])}
    flow = {"id": "f", "namespace": "n", "revision": 1, **(given.get("flow") or {})}
    task = {"id": "t", "type": "io.kestra.plugin.core.log.Log", **(given.get("task") or {})}
    stored = StoredFlow(
        namespace=flow["namespace"],
        id=flow["id"],
        revision=flow["revision"],
        source=json.dumps({**flow, "tasks": [task]}),
    )
    loaded = load(stored)
    run = TaskRun(key=RunKey(task["id"]), task_id=task["id"], order=0, history=_CREATED)
    execution = Execution(
        id="x",
        namespace=flow["namespace"],
        flow_id=flow["id"],
        flow_revision=flow["revision"],
        history=_CREATED,
        runs={run.key: run},
    )
    built = Built(loaded, Fold(loaded.plan, execution), {})
    return built.of_run(execution, run, loaded.flow.tasks[0])


_CREATED = ((State.CREATED, datetime(2026, 1, 1, tzinfo=UTC)),)

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "script_commands": _script_commands,
    "runner_labels": _runner_labels,
    "job_name": _job_name,
    "normalize": normalised,
    "map_merge": _map_merge,
    "keep_last_version": last_revisions,
    "replace_internal_storage": _replace_internal_storage,
    "log_mask": _log_mask,
    "context": _context,
}
