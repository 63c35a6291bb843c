"""A short list of operations on the storage, the keys, files and globs; then the last result."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import isodate
from tests.conformance.cases import Case, Context, Outcome, outcome
from tests.conformance.matchers import Matcher, typed
from tests.conformance.placeholders import Placeholders
from tests.conformance.single_job import KeyValueStore

from penstock_runner.expressions import ion
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed, KeyExpired
from penstock_runner.jobs import files
from penstock_runner.jobs.rendering import JobRender
from penstock_runner.jobs.services import JobServices
from penstock_runner.jobs.workspace import Workspace
from penstock_runner.tasks import globs, places
from penstock_runner.tasks.api import KvEntry, TaskFailed
from penstock_runner.tasks.hashing import murmur3_128
from penstock_runner.tasks.keyvalues import check_key, check_namespace, typed_value
from penstock_runner.tasks.states import States
from penstock_runner.tasks.storage import BadAddress, FileMissing, LocalStorage

NAMESPACE = "io.kestra.unittest.storage"
FLOW = "flow"
REFUSED = (TaskFailed, BadAddress, FileMissing, ExpressionFailed)
Answer = dict[str, Any]


def run(case: Case, context: Context) -> Outcome:
    """Do the operations in order and compare the last answer."""
    with tempfile.TemporaryDirectory() as name:
        return outcome(_Operations(case, context, Path(name)).reason())


class _Operations:
    """The storage of one case, and what was done to it."""

    def __init__(self, case: Case, context: Context, folder: Path) -> None:
        self.case = case
        self.moment = context.now
        self.storage = LocalStorage(folder / "storage")
        self.keys = KeyValueStore(self.now)
        self.workspace = Workspace(folder / "job")
        self.written: dict[tuple[Any, ...], object] = {}
        self.states = States(_Values(self.keys), FLOW)
        fill = Placeholders(context=context, folder=folder, named=self._named).fill
        self.matcher = Matcher(now=context.now, read=self.storage.read_bytes, fill=fill)

    def now(self) -> datetime:
        """The time of the case; only `sleep` moves it."""
        return self.moment

    def reason(self) -> str | None:
        """Why the case does not hold, or None."""
        answer: Answer = {}
        for written in self.case["ops"]:
            (name, given), *beside = written.items()
            try:
                answer = getattr(self, name)(given)
            except REFUSED as error:
                answer = {"error": "expired" if isinstance(error, KeyExpired) else str(error)}
                break
            for key, wanted in beside:
                if reason := self.matcher.mismatch(wanted, answer[key], key):
                    return reason
        return self._compare(answer, dict(self.case["expect"]))

    def _compare(self, answer: Answer, expected: dict[str, Any]) -> str | None:
        error = answer.get("error")
        if expected.pop("ok", False):
            return None if error is None else f"refused: {error}"
        if (part := expected.pop("error_contains", None)) is not None:
            return None if error and part in error else f"is {error!r}, expected {part!r}"
        if (wanted := expected.pop("error", None)) is not None:
            if error is None:
                return f"answered {answer}, expected the error {wanted!r}"
            return None if wanted is True else self.matcher.mismatch(wanted, error, "error")
        if error is not None:
            return f"refused: {error}"
        if (path := expected.pop("file", None)) is not None:
            key = self._key_of(path)
            answer = {**answer, "text": ion.write(typed_value(self._entry(key)))}
            expected["entries"] = {key: expected.pop("metadata")["expirationDate"]}
        for key, value in expected.pop("entries", {}).items():
            first, last = map(isodate.parse_duration, value["expires_in"])
            left = self._entry(key).expires - self.moment  # type: ignore[operator]
            if not first <= left <= last:
                return f"{key} expires in {left}"
        found = (self.matcher.mismatch(w, answer.get(k), k) for k, w in expected.items())
        return next(filter(None, found), None)

    def _key_of(self, path: str) -> str:
        """The key that a file of the case is about: here it is a row, with a value and an end."""
        folder, _, name = path.rpartition("/")
        assert folder == "/${namespace_path}/_kv"
        return name.removesuffix(".ion")

    def _entry(self, key: str) -> KvEntry:
        entry = self.keys.get(NAMESPACE, key)
        assert entry is not None
        return entry

    def _named(self, name: str) -> object | None:
        kind, _, argument = name.partition(":")
        known = {
            "flow.id": FLOW,
            "namespace_path": NAMESPACE.replace(".", "/"),
            "workingdir": str(self.workspace.path),
        }
        return murmur3_128(argument) if kind == "hash" else known.get(name)

    # -- keys ---------------------------------------------------------------------------------

    def kv_put(self, given: Mapping[str, Any]) -> Answer:
        ttl = isodate.parse_duration(given["ttl"]) if given.get("ttl") else None
        if ttl == timedelta(0):
            ttl = timedelta(microseconds=1)  # one nanosecond is below what dates can tell
        value = typed(given["value"])
        self.keys.put(given.get("namespace", NAMESPACE), given["key"], value, ttl=ttl)
        if ttl is not None and ttl < timedelta(milliseconds=1):
            self.moment += ttl
        return {}

    def kv_get(self, key: str) -> Answer:
        entry = self.keys.get(NAMESPACE, key)
        return {"found": entry is not None, "value": entry and typed_value(entry)}

    def kv_delete(self, key: str) -> Answer:
        return {"value": self.keys.delete(NAMESPACE, key)}

    def kv_list(self, _given: object) -> Answer:
        found = [entry.key for entry in self.keys.entries(NAMESPACE)]
        return {"size": len(found), "keys": found}

    def kv_validate_key(self, key: str) -> Answer:
        return {"value": check_key(key)}

    def kv_open(self, given: Mapping[str, Any]) -> Answer:
        existing = (self.case.get("config") or {}).get("existing_namespaces", [])
        return {"value": check_namespace(given["namespace"], given["from"], existing)}

    def sleep(self, period: str) -> Answer:
        self.moment += isodate.parse_duration(period)
        return {}

    # -- namespace files and addresses --------------------------------------------------------

    def nsfile_put(self, given: Mapping[str, Any]) -> Answer:
        path = places.path_in_namespace(NAMESPACE, given["path"])
        uri = places.namespace_file(NAMESPACE, path)
        if given.get("conflict") == "ERROR" and self.storage.exists(uri):
            raise TaskFailed(f"File '{path}' already exists")
        if given.get("conflict") != "SKIP" or not self.storage.exists(uri):
            self.storage.put_bytes(uri, str(given["content"]).encode())
        return {}

    def nsfile_get(self, path: str) -> Answer:
        content = self.storage.read_bytes(places.namespace_file(NAMESPACE, path))
        return {"content": content.decode()}

    def nsfile_all(self, _given: object) -> Answer:
        return self.nsfile_match({})

    def nsfile_match(self, given: Mapping[str, Any]) -> Answer:
        chosen = globs.selection(given.get("include"), given.get("exclude"))
        top = places.namespace_files(NAMESPACE)
        paths = (facts.uri.removeprefix(top) for facts in self.storage.walk(top))
        return {"paths": [path.lstrip("/") for path in paths if chosen(path)]}

    def nsfile_of(self, given: Mapping[str, Any]) -> Answer:
        namespace = given["namespace"]
        written = given.get("uri") or given.get("path") or ""
        path = places.path_in_namespace(namespace, written)
        uri = places.namespace_file(namespace, path)
        return {
            "path": path.rstrip("/"),
            "uri": uri,
            "storage_path": places.path_of(uri),
            "root": not path.strip("/"),
            "directory": uri.endswith("/"),
        }

    def context(self, given: Mapping[str, Any]) -> Answer:
        names = (given["namespace"], given["flow"])
        here = execution = places.execution_prefix(*names, given.get("execution", ""))
        if "task" in given:
            here = places.task_prefix(
                *names, given["execution"], given["task"], given.get("taskrun", "")
            )
        elif "trigger" in given:
            here = places.trigger_prefix(*names, given["execution"], given["trigger"])
        shown: Callable[[str], str] = lambda uri: (  # noqa: E731
            uri if given.get("scheme") else uri.removeprefix("kestra:")
        )
        return {
            "flow_uri": shown(places.flow_prefix(*names)),
            "execution_uri": shown(execution),
            "context_uri": shown(here),
        }

    def cache_uri(self, given: Mapping[str, Any]) -> Answer:
        uri = places.cache_file(given["namespace"], given["flow"], given["task"], given["value"])
        return {"value": places.path_of(uri)}

    # -- states -------------------------------------------------------------------------------

    def state_put(self, given: Mapping[str, Any]) -> Answer:
        parts = _parts(given)
        key = self.states.put(*parts, given["value"])
        self.written[parts] = given["value"]
        readable = all(self.states.get(*p) == value for p, value in self.written.items())
        return {"kv_key": key, "all_readable": readable}

    def state_get(self, given: Mapping[str, Any]) -> Answer:
        parts = _parts(given)
        return {"value": self.states.get(*parts), "kv_key": self.states.key(*parts)}

    def state_delete(self, given: Mapping[str, Any]) -> Answer:
        return {"value": self.states.delete(*_parts(given))}

    # -- globs and the working directory ------------------------------------------------------

    def glob_normalise(self, given: Mapping[str, Any]) -> Answer:
        patterns = given["patterns"]
        return {"patterns": [globs.normalised(one, given.get("base")) for one in patterns]}

    def glob_filter(self, given: Mapping[str, Any]) -> Answer:
        include = given.get("patterns", given.get("include"))
        chosen = globs.selection(include, given.get("exclude"), given.get("base"))
        return {"paths": [path for path in given["paths"] if chosen(path)]}

    def slugify(self, text: str) -> Answer:
        return {"value": places.slug(text)}

    def workdir_resolve(self, name: str | None) -> Answer:
        path = self.workspace.path if name is None else self.workspace.resolve(name)
        return {"value": str(path)}

    def workdir_files(self, names: list[str]) -> Answer:
        self.workspace.make()
        for number, name in enumerate(names):
            self.workspace.write(name.replace("<a temp file>", f"made{number}"), "")
        return {}

    def workdir_match(self, patterns: list[str]) -> Answer:
        found = files.find(patterns, workspace=self.workspace, refused=lambda _: None)
        return {"size": len(found)}

    def workdir_read(self, name: str) -> Answer:
        return {"content": self.workspace.resolve(name).read_text()}

    def input_files(self, given: object) -> Answer:
        self.workspace.make()
        services: Any = JobServices
        render = JobRender(Expressions(), self.case.get("vars") or {}, services)
        files.place_input_files(
            given,
            workspace=self.workspace,
            storage=self.storage,
            namespace=NAMESPACE,
            render=render.typed,
        )
        return {}

    def output_files(self, patterns: list[str]) -> Answer:
        kept = files.collect(
            patterns,
            workspace=self.workspace,
            storage=self.storage,
            address=lambda name: places.task_file(NAMESPACE, FLOW, "x", "t", "r", name),
            refused=lambda _: None,
        )
        return {"size": len(kept)}


class _Values:
    """The keys of the case's namespace, as `States` asks for them."""

    def __init__(self, keys: KeyValueStore) -> None:
        self._keys = keys

    def get(self, key: str) -> KvEntry | None:
        return self._keys.get(NAMESPACE, key)

    def put(
        self,
        key: str,
        value: object,
        *,
        kind: str | None = None,
        ttl: timedelta | None = None,
        overwrite: bool = True,
    ) -> None:
        self._keys.put(NAMESPACE, key, value, kind, ttl, overwrite=overwrite)

    def delete(self, key: str) -> bool:
        return self._keys.delete(NAMESPACE, key)

    def keys(self, prefix: str = "") -> list[str]:
        return [e.key for e in self._keys.entries(NAMESPACE) if e.key.startswith(prefix)]


def _parts(given: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    return given["state"], given.get("name"), given.get("taskrun")
