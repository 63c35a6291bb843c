"""A flow whose triggers matter, in the live service: memory has no scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.conformance.cases import Case, Context
from tests.conformance.live_task import API, executed
from tests.conformance.service import Service, service

ANSWERED = frozenset({"state", "task_runs", "trigger_state"})


def live_reason(case: Case, context: Context) -> str | None:
    """Why the case does not hold, or None."""
    expected = case["expect"]
    if unknown := expected.keys() - ANSWERED:
        return f"the live service is not asked for {', '.join(sorted(unknown))}"
    live = service()
    live.empty()
    for name in case["flows"]:
        source = context.flow_path(name).read_text(encoding="utf-8")
        headers = {"Content-Type": "application/x-yaml"}
        live.client.post(f"{API}/flows", content=source, headers=headers).raise_for_status()
    for one in (case.get("setup") or {}).get("triggers") or ():
        _switch(live, one)
    execution = executed(live, case["run"]["namespace"], case["run"]["flow"])
    found: dict[str, Any] = {
        "state": execution["state"]["current"],
        "task_runs": len(execution["taskRunList"]),
    }
    if "trigger_state" in expected:
        found["trigger_state"] = _trigger(live, case["run"], expected["trigger_state"])
    told = {name: found[name] for name in expected}
    return None if told == expected else f"came to {told}, expected {expected}"


def _switch(live: Service, one: Mapping[str, Any]) -> None:
    body = {
        "namespace": one["namespace"],
        "flowId": one["flow"],
        "triggerId": one["id"],
        "disabled": one["disabled"],
    }
    live.client.put(f"{API}/triggers", json=body).raise_for_status()


def _trigger(live: Service, run: Mapping[str, str], asked: Mapping[str, Any]) -> dict[str, Any]:
    path = f"{API}/triggers/{run['namespace']}/{run['flow']}"
    for one in live.client.get(path).json()["results"]:
        if one["triggerId"] == asked["id"]:
            return {"id": one["triggerId"], "disabled": one["disabled"]}
    return {}
