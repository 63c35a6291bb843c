"""A task that needs the service, as a flow of the live one: what is purged must be stored."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.conformance.cases import Case
from tests.conformance.service import Service, service
from tests.conformance.single_job import Ran

from penstock_runner.flow.model import Level
from penstock_server.store import schema

API = "/api/v1/main"
SECONDS = 60.0
TERMINAL = frozenset({"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED"})
_NOTHING = {"id": "nothing", "type": "io.kestra.plugin.core.debug.Return", "format": ""}


def run_live(case: Case) -> Ran:
    """Set the case up in the service, and run its task there."""
    live = service()
    live.empty()
    setup = case.get("setup") or {}
    for one in setup.get("executions") or ():
        _execute(live, one["namespace"], one["flow"], _NOTHING)
    for number, one in enumerate(setup.get("logs") or (), 1):
        live.insert(schema.logs, [_line(one, number)])
    namespace = case["vars"]["flow"]["namespace"]
    execution = _execute(live, namespace, "runs-the-task", case["task"])
    [run] = execution["taskRunList"]
    failed = run["state"]["current"] != "SUCCESS"
    return Ran(outputs=run.get("outputs") or {}, error=_said(live, execution) if failed else None)


def _line(one: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {
        "execution_id": "of-the-case",
        "n": number,
        "at": datetime.now(UTC),
        "level": list(Level).index(Level(one["level"])),
        "message": one["message"],
        "namespace": one["namespace"],
        "flow_id": one["flowId"],
    }


def _execute(live: Service, namespace: str, flow_id: str, task: Mapping[str, Any]) -> Any:
    flow = {"id": flow_id, "namespace": namespace, "tasks": [task]}
    headers = {"Content-Type": "application/x-yaml"}
    live.client.post(f"{API}/flows", content=json.dumps(flow), headers=headers).raise_for_status()
    return executed(live, namespace, flow_id)


def executed(live: Service, namespace: str, flow_id: str) -> Any:
    """Start a flow of the service, and wait for the end of the execution."""
    begun = live.client.post(f"{API}/executions/{namespace}/{flow_id}")
    begun.raise_for_status()
    until = time.monotonic() + SECONDS
    while True:
        found = live.client.get(f"{API}/executions/{begun.json()['id']}").json()
        if found["state"]["current"] in TERMINAL:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"{flow_id} has not ended: {found['state']}")
        time.sleep(0.02)


def _said(live: Service, execution: Mapping[str, Any]) -> str:
    lines = live.client.get(f"{API}/logs/{execution['id']}").json()
    return " / ".join(str(line["message"]) for line in lines) or "no reason"
