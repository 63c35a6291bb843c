"""HTTP steps against a live service that has the flows of the case."""

from __future__ import annotations

import io
import json
import re
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import isodate
from tests.conformance.cases import Case, Context, Outcome, outcome
from tests.conformance.matchers import ABSENT, Matcher
from tests.conformance.placeholders import Placeholders
from tests.conformance.service import Service, service

from penstock_runner.flow.model import Level
from penstock_server.store import schema

API = "/api/v1"
AWAIT_SECONDS = 20.0
POLL_SECONDS = 0.02
TERMINATED = frozenset({"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "RETRIED"})
TYPES = {"map": dict, "list": list, "string": str, "int": int, "decimal": float, "boolean": bool}
_STEP = re.compile(r'\[(\d+)\]|\[\*\]|\[(\w+)=([^\]]*)\]|\["([^"]+)"\]|([^.\[\]]+)')

Step = Mapping[str, Any]


class Mismatch(Exception):
    """A step did not do what the case asks for."""


def run(case: Case, context: Context) -> Outcome:
    """Do the steps in order; the first that differs is the reason."""
    with tempfile.TemporaryDirectory() as folder:
        steps = _Steps(case, context, service(), Path(folder))
        try:
            steps.prepare()
            for step in case["steps"]:
                steps.do(step)
        except Mismatch as mismatch:
            return outcome(str(mismatch))
    return outcome(None)


class _Steps:
    """One case under way, with the values that it saved."""

    def __init__(self, case: Case, context: Context, live: Service, folder: Path) -> None:
        self.case = case
        self.context = context
        self.live = live
        self.saved: dict[str, Any] = {}
        self.namespace = ""
        self.places = Placeholders(context=context, folder=folder, named=self._named)

    # -- before ----------------------------------------------------------------------------------

    def prepare(self) -> None:
        self.live.empty()
        for name in self.case.get("flows", ()):
            text = self.context.flow_path(name).read_text(encoding="utf-8")
            answer = self._send("POST", "/flows", content=text)
            if answer.status_code != 200:
                raise Mismatch(f"the flow {name} is refused: {answer.text[:300]}")
        setup = self.case.get("setup", {})
        for namespace, keys in setup.get("kv", {}).items():
            for key, value in keys.items():
                self._put_key(namespace, key, json.dumps(value))
        for namespace, keys in setup.get("kv_expired", {}).items():
            for key, value in keys.items():
                self._put_key(namespace, key, json.dumps(value), {"ttl": "PT0S"})
        for path, text in setup.get("storage_raw", {}).items():
            namespace, _, name = path.strip("/").partition("/_kv/")
            self._put_key(namespace.replace("/", "."), name.removesuffix(".ion"), text)
        for namespace, files in setup.get("namespace_files", {}).items():
            for path, text in files.items():
                self.live.client.post(
                    f"{API}/namespaces/{namespace}/files",
                    params={"path": path},
                    files={"fileContent": (Path(path).name, text.encode())},
                )
        self._put_rows(setup)

    def _put_rows(self, setup: Mapping[str, Any]) -> None:
        now = datetime.now(UTC)
        triggers = [
            {
                "namespace": one["namespace"],
                "flow_id": one["flow"],
                "trigger_id": one["id"],
                "type": "io.kestra.plugin.core.trigger.Schedule",
                "digest": "",
                "disabled": one.get("disabled", False),
                "execution_id": one.get("executionId"),
                "updated_at": now,
            }
            for one in setup.get("triggers", ())
        ]
        logs = [
            {
                "execution_id": one["executionId"],
                "n": n,
                "at": now,
                "level": list(Level).index(Level(one["level"])),
                "message": one["message"],
                "namespace": one["namespace"],
                "flow_id": one["flowId"],
            }
            for n, one in enumerate(setup.get("logs", ()), 1)
        ]
        for table, rows in ((schema.triggers, triggers), (schema.logs, logs)):
            if rows:
                self.live.insert(table, rows)

    def _put_key(
        self, namespace: str, key: str, text: str, headers: dict[str, str] | None = None
    ) -> None:
        self.live.client.put(
            f"{API}/namespaces/{namespace}/kv/{key}", content=text, headers=headers or {}
        )

    # -- steps -----------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        (kind,) = {
            "request",
            "run",
            "await",
            "sleep",
            "kv_check",
            "nsfile_check",
            "trigger_check",
        } & set(step)
        given = self.places.fill(step[kind])
        match kind:
            case "request":
                self._request(given, step)
            case "run":
                self._run(given)
            case "await":
                within = isodate.parse_duration(given["within"]).total_seconds()
                self._await(given["id"], given["state"], within)
            case "sleep":
                time.sleep(isodate.parse_duration(given).total_seconds())
            case "kv_check":
                self._kv_check(given)
            case "nsfile_check":
                self._nsfile_check(given)
            case _:
                self._trigger_check(given)

    def _request(self, given: Mapping[str, Any], step: Step) -> None:
        path = given["path"].removeprefix(API)
        found = re.match(r"/namespaces/([^/]+)", path)
        self.namespace = found[1] if found else self.namespace
        expected = self.places.fill(step.get("expect", {}))
        more = _content(given)
        if "sse" in expected:
            self._stream(path, expected)
            return
        params = [(k, v) for k, v in given.get("query", ())]
        answer = self._send(given["method"], path, params=params, **more)
        if "save" in step:
            body = answer.json()
            self.saved |= {name: read(body, where) for name, where in step["save"].items()}
        self._check(self.places.fill(step.get("expect", {})), answer)

    def _check(self, expected: Mapping[str, Any], answer: Any) -> None:
        told = f"{answer.request.method} {answer.request.url.path}: {answer.text[:300]}"
        self._same(expected.get("status", 200), answer.status_code, f"status of {told}")
        if "body" in expected:
            self._same(expected["body"], answer.text, told)
        for part in expected.get("body_contains", ()):
            if part not in answer.text:
                raise Mismatch(f"{part!r} is not in {told}")
        for path, wanted in expected.get("json_path", {}).items():
            self._same(wanted, read(answer.json(), path), f"{path} of {told}")
        if "zip_entries" in expected:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
                self._same(expected["zip_entries"], len(packed.namelist()), "entries")

    def _stream(self, path: str, expected: Mapping[str, Any]) -> None:
        with self.live.client.stream("GET", API + path) as answer:
            self._same(expected.get("status", 200), answer.status_code, "status")
            events = [
                json.loads(line.removeprefix("data:"))
                for line in answer.iter_lines()
                if line.startswith("data:")
            ]
        if len(events) < expected["sse"]["min_events"]:
            raise Mismatch(f"{len(events)} events")
        for where, wanted in expected["sse"]["last"].items():
            self._same(wanted, read(events[-1], where), where)

    def _run(self, given: Mapping[str, Any]) -> None:
        # The longer address also starts flows whose id is the name of an action, such as `pause`.
        place = f"/executions/trigger/{given['namespace']}/{given['flow']}"
        answer = self._send("POST", place, **_multipart(given.get("inputs") or {}))
        if answer.status_code != 200:
            raise Mismatch(f"the start is refused: {answer.text[:300]}")
        wanted = given.get("until", "terminated")
        self.saved[given["save"]] = self._await(answer.json()["id"], wanted, AWAIT_SECONDS)

    def _await(self, execution_id: str, state: str, within: float) -> Any:
        until = time.monotonic() + within
        while True:
            execution = self._send("GET", f"/executions/{execution_id}").json()
            current = execution.get("state", {}).get("current")
            if current == state or (state == "terminated" and current in TERMINATED):
                return execution
            if time.monotonic() > until:
                raise Mismatch(f"the execution is {current} after {within:g} s, not {state}")
            time.sleep(POLL_SECONDS)

    def _kv_check(self, given: Mapping[str, Any]) -> None:
        place = f"/namespaces/{given['namespace']}/kv"
        answer = self._send("GET", f"{place}/{given['key']}")
        if given.get("exists") is False:
            self._same(404, answer.status_code, "status of the key")
            return
        value = answer.json()["value"]
        if type(value) is not TYPES[given["type"]]:
            raise Mismatch(f"the value is {value!r}, no {given['type']}")
        [entry] = [e for e in self._send("GET", place).json() if e["key"] == given["key"]]
        left = datetime.fromisoformat(entry["expirationDate"]) - datetime.now(UTC)
        low, high = map(isodate.parse_duration, given["expires_in"])
        if not low <= left <= high:
            raise Mismatch(f"the key expires in {left}")

    def _nsfile_check(self, given: Mapping[str, bool]) -> None:
        for path, there in given.items():
            answer = self._send(
                "GET", f"/namespaces/{self.namespace}/files/stats", params={"path": path}
            )
            self._same(200 if there else 404, answer.status_code, f"status of {path}")

    def _trigger_check(self, given: Mapping[str, Any]) -> None:
        found = self._send("GET", "/triggers/search", params={"q": given["id"]}).json()
        [one] = [r["triggerContext"] for r in found["results"]]
        self._same(given["disabled"], one["disabled"], "disabled")

    # -- parts -----------------------------------------------------------------------------------

    def _send(self, method: str, path: str, **more: Any) -> Any:
        return self.live.client.request(method, API + path, **more)

    def _same(self, expected: Any, actual: Any, path: str) -> None:
        reason = Matcher(now=self.context.now).mismatch(expected, actual, path)
        if reason and not _same_instant(expected, actual):
            raise Mismatch(reason)

    def _named(self, name: str) -> object | None:
        path, other, _ = name.partition(" with another execution id")
        first, _, rest = path.partition(".")
        if first not in self.saved:
            return None
        value = self.saved[first]
        task = re.match(r"task\(([^)]+)\)\.?(.*)", rest)
        if task:
            runs = value.get("taskRunList", ())
            value = next(run for run in runs if run["taskId"] == task[1])
            rest = task[2]
        found = read(value, rest) if rest else value
        if other:
            return str(found).replace(self.saved[first]["id"], "0" * 22)
        return None if found is ABSENT else found


def _same_instant(expected: object, actual: object) -> bool:
    """Whether both are texts of one instant: `Z` and `+00:00` say the same."""
    if not isinstance(expected, str) or not isinstance(actual, str):
        return False
    try:
        return datetime.fromisoformat(expected) == datetime.fromisoformat(actual)
    except (ValueError, TypeError):
        return False


def read(value: Any, path: str) -> Any:
    """What is at a path of JSON; `ABSENT` when nothing is."""
    if path == "$":
        return value
    found = list(_walk(value, list(_STEP.finditer(path))))
    many = "[*]" in path or "=" in path
    return found if many else (found[0] if found else ABSENT)


def _walk(value: Any, steps: list[re.Match[str]]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    step, rest = steps[0], steps[1:]
    if step[0] == "[*]":
        for item in value:
            yield from _walk(item, rest)
    elif step[2]:
        for item in value:
            if str(item.get(step[2])) == step[3]:
                yield from _walk(item, rest)
    elif step[1]:
        if isinstance(value, list) and int(step[1]) < len(value):
            yield from _walk(value[int(step[1])], rest)
    else:
        key = step[4] or step[5]
        if isinstance(value, dict) and key in value:
            yield from _walk(value[key], rest)


def _content(given: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request for the client."""
    headers = dict(given.get("headers", {}))
    if "json" in given:
        return {"json": given["json"], "headers": headers}
    if "yaml" in given:
        headers.setdefault("Content-Type", "application/x-yaml")
        return {"content": given["yaml"], "headers": headers}
    if "text" in given:
        headers.setdefault("Content-Type", "text/plain")
        return {"content": given["text"], "headers": headers}
    if "multipart" in given:
        return {**_multipart(given["multipart"]), "headers": headers}
    return {"headers": headers}


def _multipart(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Text parts and file parts; a value that names a local file is a file part too."""
    found: list[tuple[str, Any]] = []
    for name, value in parts.items():
        if name == "files" and isinstance(value, dict):
            found += [("files", (n, Path(path).read_bytes())) for n, path in value.items()]
        elif isinstance(value, dict) and "text" in value:
            found.append((name, (value["name"], value["text"].encode())))
        elif isinstance(value, str) and value.startswith("/") and Path(value).is_file():
            found.append(("files", (name, Path(value).read_bytes())))
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            found.append((name, (None, text)))
    return {"files": found} if found else {}
