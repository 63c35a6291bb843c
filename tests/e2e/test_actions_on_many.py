"""Every action on executions over the API, one by one, by ids and by query, on a live service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live import Service, live_service, wait_for

pytestmark = pytest.mark.e2e

API = "/api/v1/main/executions"
PROCESS = "taskRunner: {type: io.kestra.plugin.core.runner.Process}"
FLOWS = {
    "good": """
id: good
namespace: team
inputs: [{id: who, type: STRING, defaults: you}]
tasks:
  - {id: make, type: io.kestra.plugin.core.debug.Return, format: "for {{ inputs.who }}"}
  - {id: after, type: io.kestra.plugin.core.log.Log, message: after}
""",
    "bad": """
id: bad
namespace: team
tasks:
  - {id: before, type: io.kestra.plugin.core.log.Log, message: before}
  - {id: fail, type: io.kestra.plugin.core.execution.Fail}
""",
    "waits": """
id: waits
namespace: team
tasks:
  - {id: pause, type: io.kestra.plugin.core.flow.Pause}
  - {id: after, type: io.kestra.plugin.core.log.Log, message: after}
""",
    "runs": """
id: runs
namespace: team
tasks:
  - {id: sleep, type: io.kestra.plugin.core.flow.Sleep, duration: PT10M}
""",
    "one": """
id: one
namespace: team
concurrency: {limit: 1, behavior: QUEUE}
tasks:
  - {id: sleep, type: io.kestra.plugin.core.flow.Sleep, duration: PT10M}
""",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("actions")
    with live_service(folder) as running:
        for source in FLOWS.values():
            running.put_flow(source)
        yield running


@pytest.fixture(params=["ids", "query"])
def act(service: Service, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Do something to some executions, named by their ids or found by a label of theirs."""

    def by_ids(method: str, action: str, ids: list[str], **query: str) -> Any:
        body: object = ids
        if action == "labels":
            body = {"executionsId": ids, "executionLabels": [{"key": "team", "value": "b"}]}
        return service.request(method, f"{API}{_path(action)}/by-ids", json=body, params=query)

    def by_query(method: str, action: str, ids: list[str], **query: str) -> Any:
        [label] = {service.execution(one)["labels"][0]["value"] for one in ids}
        found = {**query, "labels": f"group:{label}"}
        body = [{"key": "team", "value": "b"}] if action == "labels" else None
        path = f"{API}{_path(action)}/by-query"
        return service.request(method, path, params=found, json=body)

    return by_ids if request.param == "ids" else by_query


REPLAYED = {"key": "system.replay", "value": "true"}


def _path(action: str) -> str:
    return f"/{action}" if action else ""


def started(service: Service, flow: str, state: str, request: pytest.FixtureRequest) -> list[str]:
    """Two executions of a flow, with a label of this test, in a state."""
    group = f"{request.node.name}".replace("[", "-").rstrip("]")
    path = f"{API}/team/{flow}?labels=group:{group}"
    ids = [service.post(path).json()["id"] for _ in range(2)]
    for one in ids:
        await_state(service, one, state)
    return ids


def await_state(service: Service, execution_id: str, state: str) -> None:
    wait_for(lambda: state_of(service, execution_id), lambda found: found == state)


def state_of(service: Service, execution_id: str) -> str:
    return str(service.execution(execution_id)["state"]["current"])


def states_after(service: Service, ids: list[str], state: str) -> None:
    for one in ids:
        await_state(service, one, state)


@pytest.mark.parametrize(
    ("method", "action", "flow", "before", "after"),
    [
        ("DELETE", "kill", "runs", "RUNNING", "KILLED"),
        ("DELETE", "kill", "waits", "PAUSED", "KILLED"),
        ("POST", "pause", "runs", "RUNNING", "PAUSED"),
        ("POST", "resume", "waits", "PAUSED", "SUCCESS"),
        ("POST", "force-run", "waits", "PAUSED", "SUCCESS"),
    ],
)
def test_what_goes_on_is_moved(
    service: Service,
    act: Callable[..., Any],
    request: pytest.FixtureRequest,
    method: str,
    action: str,
    flow: str,
    before: str,
    after: str,
) -> None:
    ids = started(service, flow, before, request)
    answer = act(method, action, ids)
    assert (answer.status_code, answer.json()) == (200, {"count": 2}), answer.text
    states_after(service, ids, after)


def test_what_failed_is_restarted(
    service: Service, act: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    ids = started(service, "bad", "FAILED", request)
    assert act("POST", "restart", ids).json() == {"count": 2}
    for one in ids:
        found = wait_for(
            lambda one=one: service.execution(one),
            lambda e: (
                len(e["taskRunList"][1]["attempts"]) == 2 and e["state"]["current"] == "FAILED"
            ),
        )
        assert found["metadata"]["attemptNumber"] == 2
        assert {"key": "system.restarted", "value": "true"} in found["labels"]
        assert len(found["taskRunList"][0]["attempts"]) == 1


def test_replays_are_new_executions(
    service: Service, act: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    ids = started(service, "good", "SUCCESS", request)
    assert act("POST", "replay", ids).json() == {"count": 2}
    found = service.get(f"{API}/search?namespace=team&flowId=good&size=100&page=1").json()
    replays = [one for one in found["results"] if one.get("originalId") in ids]
    assert {one["originalId"] for one in replays if one["id"] not in ids} == set(ids)
    marked = {one["id"] for one in replays if REPLAYED in one["labels"]}
    assert marked == {one["id"] for one in replays if one["id"] not in ids}


def test_ends_are_changed_labels_set_and_executions_deleted(
    service: Service, act: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    ids = started(service, "bad", "FAILED", request)
    assert act("POST", "change-status", ids, newStatus="WARNING").json() == {"count": 2}
    states_after(service, ids, "WARNING")
    assert act("POST", "labels", ids).json() == {"count": 2}
    for one in ids:
        assert {"key": "team", "value": "b"} in service.execution(one)["labels"]
    assert act("DELETE", "", ids).json() == {"count": 2}
    assert [service.get(f"{API}/{one}").status_code for one in ids] == [404, 404]


@pytest.mark.parametrize("action", ["unqueue", "force-run"])
def test_what_is_queued_is_let_through(
    service: Service, act: Callable[..., Any], request: pytest.FixtureRequest, action: str
) -> None:
    holder = service.post(f"{API}/team/one").json()["id"]
    await_state(service, holder, "RUNNING")
    ids = started(service, "one", "QUEUED", request)
    assert act("POST", action, ids).json() == {"count": 2}
    states_after(service, ids, "RUNNING")
    for one in (holder, *ids):
        assert service.request("DELETE", f"{API}/{one}/kill").status_code == 202
        service.ended(one)


def test_one_that_does_not_suit_refuses_all(
    service: Service, request: pytest.FixtureRequest
) -> None:
    ids = [
        *started(service, "waits", "PAUSED", request),
        *started(service, "good", "SUCCESS", request),
    ]
    answer = service.request("DELETE", f"{API}/kill/by-ids", json=ids)
    assert answer.status_code == 400
    assert {one["path"] for one in answer.json()["invalids"]} == set(ids[2:])
    assert [state_of(service, one) for one in ids[:2]] == ["PAUSED", "PAUSED"]


def test_one_execution_is_paused_resumed_replayed_and_marked(service: Service) -> None:
    one = service.start_flow("team", "good", who="ada")
    ended = service.ended(one)
    [make, after] = ended["taskRunList"]
    replayed = service.post(f"{API}/{one}/replay?taskRunId={after['id']}").json()
    found = service.ended(replayed["id"])
    assert (found["parentId"], found["originalId"]) == (one, one)
    assert found["taskRunList"][0]["outputs"] == make["outputs"]
    body = {"taskRunId": after["id"], "state": "FAILED"}
    assert service.post(f"{API}/{one}/state", json=body).status_code == 200
    await_state(service, one, "FAILED")
    assert service.post(f"{API}/{one}/change-status?status=SUCCESS").status_code == 200
    assert state_of(service, one) == "SUCCESS"
    refused = service.post(f"{API}/{one}/resume")
    assert refused.status_code == 409
    assert f"'{one}' is not paused" in refused.json()["message"]
    refused = service.post(f"{API}/{one}/state", json={**body, "state": "QUEUED"})
    assert refused.status_code == 422
    assert "'after' cannot be given the state 'QUEUED', only CANCELLED" in refused.json()["message"]


AFTERWARDS = """
id: afterwards
namespace: team
tasks:
  - {id: fail, type: io.kestra.plugin.core.execution.Fail}
afterExecution:
  - {id: sleep, type: io.kestra.plugin.core.flow.Sleep, duration: PT10M}
"""


def test_what_still_runs_after_its_end_is_not_restarted(service: Service) -> None:
    service.put_flow(AFTERWARDS)
    one = service.start_flow("team", "afterwards")
    await_state(service, one, "FAILED")
    refused = service.post(f"{API}/{one}/restart")
    assert refused.status_code == 409
    assert "restart it after them" in refused.json()["message"]


def test_an_expression_is_evaluated_as_a_task_of_a_past_execution_saw_it(service: Service) -> None:
    one = service.start_flow("team", "good", who="ada")
    after = service.ended(one)["taskRunList"][1]["id"]

    def evaluated(expression: str) -> dict[str, Any]:
        headers = {"Content-Type": "text/plain"}
        answer = service.post(f"{API}/{one}/eval/{after}", content=expression, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    assert evaluated("{{ outputs.make.value }} of {{ task.id }}")["result"] == "for ada of after"
    assert "nothing" in evaluated("{{ nothing.there }}")["error"]


FULL = """
id: full
namespace: team
concurrency: {limit: 1, behavior: FAIL}
tasks:
  - {id: sleep, type: io.kestra.plugin.core.flow.Sleep, duration: PT10M}
"""


def test_what_only_core_can_refuse_keeps_the_action_from_all(
    service: Service, request: pytest.FixtureRequest
) -> None:
    """An execution that failed for want of a slot has no task run that a restart could begin at."""
    service.put_flow(FULL)
    holder = service.post(f"{API}/team/full").json()["id"]
    await_state(service, holder, "RUNNING")
    [hopeless, _] = started(service, "full", "FAILED", request)
    failed = started(service, "bad", "FAILED", request)
    answer = service.post(f"{API}/restart/by-ids", json=[*failed, hopeless])
    assert answer.status_code == 400, answer.text
    [invalid] = answer.json()["invalids"]
    assert invalid["path"] == hopeless
    assert "No task found" in invalid["message"]
    assert [service.execution(one)["metadata"]["attemptNumber"] for one in failed] == [1, 1]
    service.request("DELETE", f"{API}/{holder}/kill")


def test_more_than_one_transaction_takes_is_checked_first_then_done(
    service: Service, request: pytest.FixtureRequest
) -> None:
    label = {"labels": f"group:{request.node.name}"}
    ids = [service.post(f"{API}/team/waits", params=label).json()["id"] for _ in range(230)]
    for one in ids:
        await_state(service, one, "PAUSED")
    extra = started(service, "bad", "FAILED", request)[0]
    refused = service.post(f"{API}/force-run/by-ids", json=[*ids, extra])
    assert refused.status_code == 400
    assert {state_of(service, one) for one in ids} == {"PAUSED"}
    answer = service.post(f"{API}/force-run/by-ids", json=ids)
    assert answer.json() == {"count": 230}
    states_after(service, ids, "SUCCESS")
    assert service.request("DELETE", f"{API}/by-ids", json=ids).json() == {"count": 230}
    assert service.get(f"{API}/{ids[0]}").status_code == 404
