from __future__ import annotations

import pytest
from tests.api.building import NOON, Web

from penstock_runner.engine.state import Execution, State
from penstock_server.core.client import CoreRefused


def put(web: Web, name: str, *states: State, namespace: str = "team") -> None:
    history = tuple((state, NOON) for state in states)
    web.core.put(
        Execution(id=name, namespace=namespace, flow_id="f", flow_revision=1, history=history)
    )


def test_one_that_does_not_suit_refuses_all(web: Web) -> None:
    put(web, "x1", State.RUNNING)
    put(web, "x2", State.SUCCESS)
    answer = web.client.delete("/api/v1/executions/kill/by-ids", json=["x1", "x2", "x3"])
    assert answer.status_code == 400
    assert answer.json == {
        "message": "invalid bulk kill",
        "invalids": [
            {"message": "execution already finished", "path": "x2"},
            {"message": "execution not found", "path": "x3"},
        ],
    }
    assert web.core.calls == []


def test_all_that_suit_are_counted(web: Web) -> None:
    put(web, "x1", State.RUNNING)
    put(web, "x2", State.PAUSED)
    answer = web.client.delete("/api/v1/executions/kill/by-ids", json=["x1", "x2", "x1"])
    assert answer.json == {"count": 2}
    assert web.core.get("x2").state is State.KILLED


def test_a_query_acts_on_what_it_finds(web: Web) -> None:
    put(web, "x1", State.SUCCESS)
    put(web, "x2", State.FAILED, namespace="other")
    change = "/api/v1/executions/change-status/by-query?namespace=team&newStatus=WARNING"
    assert web.client.post(change).json == {"count": 1}
    assert web.core.get("x1").state is State.WARNING
    assert web.client.post(change.replace("=team", "=nobody")).json == {"count": 0}
    running = change.replace("WARNING", "RUNNING")
    refused = web.client.post(running)
    assert refused.status_code == 422
    assert "to a terminal state" in refused.json["message"]


def test_resuming_what_is_not_paused_is_400(web: Web) -> None:
    put(web, "x1", State.PAUSED)
    query = "/api/v1/executions/resume/by-query?namespace=team"
    assert web.client.post(query).json == {"count": 1}
    assert web.client.post(query).status_code == 400


def test_deleting_spares_what_goes_on_unless_told(web: Web) -> None:
    put(web, "x1", State.RUNNING)
    query = "/api/v1/executions/by-query?namespace=team"
    assert web.client.delete(query).status_code == 400
    assert web.client.delete(f"{query}&includeNonTerminated=true").json == {"count": 1}
    assert web.client.get("/api/v1/executions/x1").status_code == 404


def test_labels_are_put_on_many(web: Web) -> None:
    put(web, "x1", State.SUCCESS)
    labels = [{"key": "k", "value": "v"}]
    body = {"executionsId": ["x1"], "executionLabels": labels}
    assert web.client.post("/api/v1/executions/labels/by-ids", json=body).json == {"count": 1}
    query = "/api/v1/executions/labels/by-query?namespace=team"
    assert web.client.post(query, json=labels).json == {"count": 1}
    assert web.client.post(query, json=[{"key": None, "value": None}]).status_code == 422
    assert web.core.get("x1").labels == {"k": "v"}


def test_core_is_asked_once_for_all_of_them(web: Web) -> None:
    names = [f"x{n:02}" for n in range(40)]
    for name in names:
        put(web, name, State.PAUSED)
    answer = web.client.post("/api/v1/executions/resume/by-query?namespace=team")
    assert answer.json == {"count": 40}
    [(operation, asked)] = web.core.calls
    assert operation == "executions.act"
    assert (asked["action"], asked["ids"]) == ("resume", names)


def test_what_only_core_finds_unsuited_is_named_like_the_rest(web: Web) -> None:
    put(web, "x1", State.FAILED)
    invalids = [{"message": "No task found to restart execution from!", "path": "x1"}]
    web.core.refusal = CoreRefused("not all", 400, {"invalids": invalids})
    answer = web.client.post("/api/v1/executions/restart/by-ids", json=["x1"])
    assert answer.status_code == 400
    assert answer.json == {"message": "invalid bulk restart", "invalids": invalids}


@pytest.mark.parametrize("body", [{}, None, [1], "x1"])
def test_ids_are_a_list_of_texts(web: Web, body: object) -> None:
    answer = web.client.post("/api/v1/executions/restart/by-ids", json=body)
    assert answer.status_code == 422
