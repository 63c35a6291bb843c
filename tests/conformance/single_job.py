"""One task alone: the world that a case sets up for it, and the job that runs it there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.conformance.cases import Case
from tests.conformance.matchers import typed
from tests.taskrunners import real_docker

from penstock_runner.expressions.errors import KeyExpired
from penstock_runner.jobs.inprocess import InProcess
from penstock_runner.jobs.parts import default_parts
from penstock_runner.jobs.protocol import Job, JobId, Report
from penstock_runner.jobs.settings import RunnerSettings
from penstock_runner.tasks import places
from penstock_runner.tasks.api import KvEntry, TaskFailed
from penstock_runner.tasks.keyvalues import KeyExists, check_key, expired, make_entry
from penstock_runner.tasks.storage import LocalStorage

NAMESPACE = "io.kestra.test"
DIRECTORY = "io.kestra.plugin.core.flow.WorkingDirectory"


class NeedsServer(Exception):
    """The case asks for what a task alone does not have."""


class KeyValueStore:
    """The keys of all namespaces, in memory, by the rules of the store."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._entries: dict[tuple[str, str], KvEntry] = {}
        self.needed: str | None = None

    def get(self, namespace: str, key: str) -> KvEntry | None:
        """The entry; one that has ended is deleted and is an error."""
        entry = self._entries.get((namespace, check_key(key)))
        if entry is not None and expired(entry, self._now()):
            del self._entries[namespace, key]
            raise KeyExpired
        return entry

    def put(
        self,
        namespace: str,
        key: str,
        value: object,
        kind: str | None = None,
        ttl: timedelta | None = None,
        *,
        overwrite: bool = True,
    ) -> None:
        """Write a value."""
        previous = self._entries.get((namespace, key))
        alive = previous is not None and not expired(previous, self._now())
        if alive and not overwrite:
            raise KeyExists(key)
        entry = make_entry(key, value, kind, ttl, self._now(), previous)
        self._entries[namespace, key] = entry

    def delete(self, namespace: str, key: str) -> bool:
        """Whether there was something to delete."""
        return self._entries.pop((namespace, check_key(key)), None) is not None

    def entries(self, namespace: str) -> list[KvEntry]:
        """What has not ended, by key."""
        mine = (entry for (space, _), entry in self._entries.items() if space == namespace)
        return sorted((e for e in mine if not expired(e, self._now())), key=lambda e: e.key)

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """What a job asks of the store."""
        given = dict(arguments)
        namespace = given.pop("namespace")
        match operation:
            case "files.list":
                return []
            case "kv.get":
                return self.get(namespace, given["key"])
            case "kv.put":
                ttl = given.pop("ttl", None)
                given["ttl"] = None if ttl is None else timedelta(seconds=ttl)
                return self.put(namespace, **given)
            case "kv.delete":
                return self.delete(namespace, given["key"])
            case "kv.keys":
                keys = (entry.key for entry in self.entries(namespace))
                return [key for key in keys if key.startswith(given.get("prefix") or "")]
        self.needed = operation
        raise TaskFailed(f"{operation} is the server's")


def made_address(name: str) -> str:
    """Where a file of the setup lies: its name says so, or it is any place of its own."""
    return name if "://" in name else places.address(f"/made/{name}.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a task ended; `files` are those left in its working directory, where that matters."""

    outputs: Mapping[str, Any]
    error: str | None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """Files, keys and log lines around the jobs of one case."""

    folder: Path
    now: Callable[[], datetime]
    keys: KeyValueStore = field(init=False)
    storage: LocalStorage = field(init=False)
    said: list[tuple[str, str]] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self.keys = KeyValueStore(self.now)
        self.storage = LocalStorage(self.folder / "storage")

    def prepare(self, case: Case) -> None:
        """Put what the case's `setup` says into place."""
        setup = case.get("setup") or {}
        for namespace, values in (setup.get("kv") or {}).items():
            for key, value in values.items():
                self.keys.put(namespace, key, typed(value))
        for uri, text in (setup.get("storage") or {}).items():
            self.storage.put_bytes(uri, str(text).encode())
        for uri, items in (setup.get("ion") or {}).items():
            self.storage.put_bytes(uri, "".join(json.dumps(i) + "\n" for i in items).encode())
        for name, made in (setup.get("files") or {}).items():
            self.storage.put_bytes(made_address(name), made_lines(made).encode())
        for namespace, files in (setup.get("namespace_files") or {}).items():
            for path, text in files.items():
                uri = places.namespace_file(namespace, path)
                self.storage.put_bytes(uri, str(text).encode())
        names = self._names(case)
        for name, text in (setup.get("task_file") or {}).items():
            # The case counts the file and its folder, so it lies directly in the execution's.
            prefix = places.execution_prefix(names["namespace"], names["flow"], names["execution"])
            self.storage.put_bytes(f"{prefix}/{name}", text.encode())

    def run(self, task: Mapping[str, Any], case: Case, *, flow: str | None = None) -> Ran:
        """Run one task as a job of its own; in a WorkingDirectory when files matter."""
        files = (case.get("setup") or {}).get("workdir")
        wanted = "workdir" in (case.get("expect") or {})
        plain = _plain(task)
        if (files is None or "runner" in case) and not wanted:
            return _ran(self._report(plain, case, flow))
        around = {"inputFiles": files or {}, "outputFiles": ["**"]}
        directory = {**_plain({"id": "wd", "type": DIRECTORY, **around})}
        report = self._report({**directory, "branches": {"tasks": [plain]}}, case, flow)
        child = report.children[0]
        kept = (report.outputs or {}).get("outputFiles") or {}
        return Ran(outputs=child["outputs"] or {}, error=child["error"], files=kept)

    def _report(self, task: Mapping[str, Any], case: Case, flow: str | None) -> Report:
        self._count += 1
        names = self._names(case)
        variables = {**typed(case.get("vars") or {}), "inputs": typed(case.get("inputs") or {})}
        job = Job(
            execution_id=names["execution"],
            key=str(task["id"]),
            attempt=1,
            taskrun_id=f"{names['taskrun']}{self._count}",
            namespace=names["namespace"],
            flow_id=flow or names["flow"],
            flow_revision=1,
            task=task,
            variables={"taskrun": {}, **variables},
        )
        settings = RunnerSettings(
            home=self.folder,
            workspaces=self.folder / "jobs",
            storage=self.folder / "storage",
            docker=real_docker.access(),
        )
        runner = InProcess(default_parts(settings, self.now), self)
        try:
            report = runner.run(job)
        finally:
            runner.close()
        if self.keys.needed is not None:
            raise NeedsServer(f"the operation {self.keys.needed} is the server's")
        return report

    def lines(self, _job: JobId, lines: list[list[Any]], _task_id: str | None) -> None:
        """Remember log lines."""
        self.said.extend((str(level), str(text)) for _, _, level, text, *_ in lines)

    def report(self, report: Report) -> None:
        """Jobs are run one at a time and give their report back."""

    def call(self, _job: Job, operation: str, arguments: Mapping[str, Any]) -> Any:
        """What the job asks of core."""
        if operation == "encryption.encrypt":
            return "encrypted"
        return self.keys.call(operation, {"namespace": NAMESPACE, **arguments})

    def _names(self, case: Case) -> dict[str, str]:
        known = case.get("vars") or {}
        flow = known.get("flow") or {}
        return {
            "namespace": flow.get("namespace", NAMESPACE),
            "flow": flow.get("id", "f"),
            "execution": (known.get("execution") or {}).get("id", "x"),
            "taskrun": (known.get("taskrun") or {}).get("id", "r"),
        }


def _plain(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task as jobs carry it."""
    properties = {name: value for name, value in task.items() if name not in {"id", "type"}}
    kind = str(task["type"])
    return {"id": task.get("id", "t"), "type": kind, "kind": kind, "properties": properties}


def _ran(report: Report) -> Ran:
    return Ran(outputs=report.outputs or {}, error=report.error)


def made_lines(made: Mapping[str, Any]) -> str:
    """The text of a file that a case describes by its lines."""
    start = int(made.get("from", 0))
    numbers = range(start, start + int(made["lines"]))
    if made["line"] == "left_pad(i,20)":
        return "".join(f"{n:>20}\n" for n in numbers)
    return "".join(f"{made['line'].replace('i', str(n))}\n" for n in numbers)
