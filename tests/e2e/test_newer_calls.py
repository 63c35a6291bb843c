"""Calls that newer clients make: single triggers, lists as CSV, limits, revisions, namespaces."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cli.command import log_flow
from tests.live import Service, live_service, wait_for

pytestmark = pytest.mark.e2e
API = "/api/v1/main"
SCHEDULED = """id: {id}
namespace: team.newer
concurrency: {{limit: 1}}
triggers:
  - {{id: yearly, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 0 1 1 *"}}
tasks:
  - {{id: wait, type: io.kestra.plugin.core.flow.Pause}}
"""
NAME = {"namespace": "team.newer", "flowId": "dated", "triggerId": "yearly"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("live")) as running:
        running.put_flow(SCHEDULED.format(id="dated"))
        running.put_flow(SCHEDULED.format(id="other").replace("team.newer", "team.newer.below"))
        yield running


def states(service: Service, flow: str = "team.newer/dated") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get(f"{API}/triggers/{flow}").json()["results"]
    return found


def table(service: Service, path: str, **params: str) -> list[dict[str, str]]:
    answer = service.get(f"{API}/{path}/export/by-query/csv", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_one_trigger_is_switched_backfilled_and_forgotten(service: Service) -> None:
    path = f"{API}/triggers"
    off = service.request("PUT", f"{path}/set-disabled", json={**NAME, "disabled": True})
    assert (off.status_code, off.json()["disabled"]) == (200, True)
    assert service.request("PUT", f"{path}/set-disabled", json=NAME).status_code == 422
    on = service.request("PUT", f"{path}/set-disabled", json={**NAME, "disabled": False})
    assert on.json()["disabled"] is False
    unknown = {**NAME, "triggerId": "none", "disabled": True}
    assert service.request("PUT", f"{path}/set-disabled", json=unknown).status_code == 404

    begun = service.request(
        "PUT",
        f"{path}/backfill/create",
        json={**NAME, "backfill": {"start": "2024-06-01T00:00:00Z"}},
    )
    assert (begun.status_code, "backfill" in begun.json()) == (200, True), begun.text
    wait_for(
        lambda: service.get(f"{API}/executions/search", params={"namespace": "team.newer"}).json(),
        lambda found: found["total"] > 0,
    )
    assert service.request("DELETE", f"{path}/team.newer/dated/yearly").status_code == 204
    [fresh] = states(service)
    assert "backfill" not in fresh
    assert "nextExecutionDate" in fresh
    assert service.request("DELETE", f"{path}/team.newer/dated/none").status_code == 404


def test_triggers_are_forgotten_only_where_somebody_says_which(service: Service) -> None:
    path = f"{API}/triggers/delete"
    assert service.request("DELETE", f"{path}/by-query").status_code == 422
    odd = {"filters": [{"field": "labels", "operation": "EQUALS", "value": "a"}]}
    assert service.request("DELETE", f"{path}/by-query", json=odd).status_code == 422
    one = {"filters": [{"field": "namespace", "operation": "EQUALS", "value": "team.newer"}]}
    assert service.request("DELETE", f"{path}/by-query", json=one).json() == {"count": 1}
    both = service.request("DELETE", f"{path}/by-query", params={"namespace": "team.newer"})
    assert both.json() == {"count": 2}
    named = service.request("DELETE", f"{path}/by-triggers", json=[NAME])
    assert named.json() == {"count": 1}


def test_lists_are_tables_and_no_cell_is_a_formula(service: Service) -> None:
    flows = table(service, "flows", namespace="team.newer.below")
    assert [(one["id"], one["revision"]) for one in flows] == [("other", "1")]
    filters = {"filters[namespace][EQUALS]": "team.newer"}
    triggers = table(service, "triggers", **filters)
    assert [one["flowId"] for one in triggers] == ["dated", "other"]
    service.put_flow(log_flow("listed", namespace="team.csv"))
    started = service.start_flow("team.csv", "listed")
    service.ended(started)
    [row] = table(service, "executions", namespace="team.csv")
    assert (row["id"], row["state"], row["flowId"]) == (started, "SUCCESS", "listed")
    assert row["endDate"].endswith("Z")


def test_flows_with_a_limit_are_listed_with_what_runs(service: Service) -> None:
    service.put_flow(SCHEDULED.format(id="limited").replace("team.newer", "team.limits"))
    service.start_flow("team.limits", "limited")
    found = wait_for(
        lambda: service.get(f"{API}/concurrency-limit/search", params={"size": 100}).json(),
        lambda told: any(one["running"] for one in told["results"] if one["flowId"] == "limited"),
    )
    limited = next(one for one in found["results"] if one["flowId"] == "limited")
    told = {"tenantId": "main", "namespace": "team.limits", "flowId": "limited", "running": 1}
    assert limited == told


def test_old_revisions_go_but_not_the_latest_nor_one_that_was_run(service: Service) -> None:
    path = f"{API}/flows/team.old/old/revisions"
    for message in ("one", "two", "three"):
        service.put_flow(log_flow("old", message=message, namespace="team.old"))
        if message == "two":
            service.ended(service.start_flow("team.old", "old"))
    for revisions, status in (("3", 409), ("2", 409), ("x", 422), ("1", 204)):
        answer = service.request("DELETE", path, params={"revisions": revisions})
        assert answer.status_code == status, answer.text
    assert [one["revision"] for one in service.get(path).json()] == [2, 3]


def test_a_namespace_has_a_name_and_nothing_that_would_be_forgotten(service: Service) -> None:
    made = service.post(f"{API}/namespaces", json={"id": "team.made", "deleted": False})
    assert (made.status_code, made.json()) == (200, {"id": "team.made", "deleted": False})
    more = {"id": "team.made", "variables": {"a": 1}}
    refused = service.request("PUT", f"{API}/namespaces/team.made", json=more)
    assert (refused.status_code, "variables" in refused.json()["message"]) == (422, True)
    assert service.post(f"{API}/namespaces", json={"id": "../x"}).status_code == 422
