"""Asks a service through its API and reads back what ran: a figure counts only what is there."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

from bench.flows import NAMESPACE

API = "/api/v1/main"
PAGE = 500
WAIT_SECONDS = 600.0

Json = dict[str, Any]


class Wrong(Exception):
    """What ran is not what should have run."""


class Api:
    """One keep-alive connection to a service."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=WAIT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: str | None = None, kind: str = "") -> Any:
        """The answer as JSON; anything but a 2xx raises `Wrong`."""
        headers = {"Content-Type": kind} if kind else {}
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        except http.client.RemoteDisconnected:
            # The service lets go of a connection that is silent for long; a read may be repeated.
            if method != "GET":
                raise
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        text = answer.read()
        if not 200 <= answer.status < 300:
            raise Wrong(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text) if text else None

    def add(self, source: str) -> None:
        """Store a flow."""
        self.call("POST", f"{API}/flows", source, "application/x-yaml")

    def start(self, flow_id: str, *, wait: bool = False) -> Json:
        """Start a flow; with `wait`, the answer is the execution as it ended."""
        suffix = "?wait=true" if wait else ""
        answer: Json = self.call("POST", start_path(flow_id) + suffix)
        return answer

    def execution(self, execution_id: str) -> Json:
        """One execution with its task runs."""
        answer: Json = self.call("GET", f"{API}/executions/{execution_id}")
        return answer

    def ended(self, flow_id: str, state: str = "SUCCESS") -> int:
        """How many executions of a flow are stored in a state, SUCCESS unless another is named."""
        query = f"namespace={NAMESPACE}&flowId={flow_id}&state={state}&size=1"
        total: int = self.call("GET", f"{API}/executions/search?{query}")["total"]
        return total

    def wait_for(self, flow_id: str, count: int) -> None:
        """Wait until so many executions of a flow are stored as SUCCESS."""
        until = time.perf_counter() + WAIT_SECONDS
        while (stored := self.ended(flow_id)) < count:
            if time.perf_counter() > until:
                raise Wrong(f"{stored} of {count} executions of {flow_id} ended well")
            time.sleep(0.005)

    def executions(self, flow_id: str, since: str = "") -> Iterator[Json]:
        """The executions of a flow, all or those that began at an instant or later."""
        yield from self._pages(f"executions/search?{_of(flow_id, since)}")

    def lines(self, flow_id: str, since: str = "") -> Iterator[Json]:
        """The log lines of a flow, all or those of an instant or later."""
        yield from self._pages(f"logs/search?{_of(flow_id, since)}")

    def _pages(self, path: str) -> Iterator[Json]:
        page, seen = 1, 0
        while True:
            answer = self.call("GET", f"{API}/{path}&size={PAGE}&page={page}")
            yield from answer["results"]
            seen += len(answer["results"])
            if not answer["results"] or seen >= answer["total"]:
                return
            page += 1


def _of(flow_id: str, since: str) -> str:
    """The query for what belongs to a flow."""
    query = f"namespace={NAMESPACE}&flowId={flow_id}"
    return f"{query}&startDate={quote(since)}" if since else query


def start_path(flow_id: str) -> str:
    """Where a flow is started."""
    return f"{API}/executions/{NAMESPACE}/{flow_id}"


def hook_path(flow_id: str, key: str) -> str:
    """Where a flow's webhook is called."""
    return f"{API}/executions/webhook/{NAMESPACE}/{flow_id}/{key}"


def check_runs(execution: Json, expected: Iterable[tuple[str, str | None]]) -> None:
    """Raises `Wrong` unless the execution succeeded with exactly these tasks and values."""
    state = execution["state"]["current"]
    runs = execution.get("taskRunList", [])
    bad = [run["taskId"] for run in runs if run["state"]["current"] != "SUCCESS"]
    found = sorted((run["taskId"], (run["outputs"] or {}).get("value") or "") for run in runs)
    wanted = sorted((task, value or "") for task, value in expected)
    if state != "SUCCESS" or bad or found != wanted:
        odd = next((f for f in found if f not in wanted), None)
        raise Wrong(
            f"execution {execution['id']} is {state} with {len(found)} task runs"
            f" ({len(wanted)} expected; bad: {bad[:3]}; unexpected: {odd})"
        )


def check_all(
    api: Api,
    flow_id: str,
    ids: Iterable[str],
    expected: Callable[[Json], Iterable[tuple[str, str | None]]],
    lines: Callable[[Json], Iterable[str]] | None = None,
    *,
    since: str = "",
) -> None:
    """Read back the executions of a flow, and their log lines; raises `Wrong`."""
    wanted = set(ids)
    found: set[str] = set()
    logged: dict[str, list[str]] = {}
    if lines is not None:
        for line in api.lines(flow_id, since):
            logged.setdefault(line["executionId"], []).append(line["message"])
    for execution in api.executions(flow_id, since):
        check_runs(execution, expected(execution))
        found.add(execution["id"])
        if lines is not None and logged.get(execution["id"], []) != list(lines(execution)):
            raise Wrong(f"execution {execution['id']} logged {logged.get(execution['id'])}")
    if not wanted <= found:
        raise Wrong(f"{len(wanted - found)} of {len(wanted)} executions of {flow_id} are missing")


def when(text: str) -> float:
    """An instant of the API in seconds."""
    return datetime.fromisoformat(text).timestamp()
