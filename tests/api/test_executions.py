from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest
from tests.api.building import NOON, Web, run

from penstock_runner.engine.state import Execution, State
from penstock_server.core.client import CoreBusy, CoreRefused

GREET = """id: greet
namespace: team
labels: {owner: ada}
inputs:
  - {id: who, type: STRING, defaults: world}
  - {id: count, type: INT, required: false}
  - {id: data, type: FILE, required: false}
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: hi}
"""


def execution(name: str, *states: State, **more: object) -> Execution:
    history = tuple((state, NOON + timedelta(seconds=n)) for n, state in enumerate(states))
    values = {"namespace": "team", "flow_id": "greet", "flow_revision": 1, **more}
    return Execution(id=name, history=history, **values)  # type: ignore[arg-type]


def test_a_start_answers_with_the_created_execution(web: Web) -> None:
    web.save(GREET)
    answer = web.client.post(
        "/api/v1/executions/team/greet?labels=a:1&labels=url:https://x.org",
        data={"who": "Ada", "count": "3"},
    )
    assert answer.status_code == 200
    body = answer.json
    assert body["state"]["current"] == "CREATED"
    assert body["inputs"] == {"who": "Ada", "count": 3, "data": None}
    assert body["labels"][:3] == [
        {"key": "owner", "value": "ada"},
        {"key": "a", "value": "1"},
        {"key": "url", "value": "https://x.org"},
    ]
    assert body["originalId"] == body["id"]
    assert "taskRunList" not in body
    assert body["url"].endswith(f"/executions/team/greet/{body['id']}")


def test_a_start_needs_no_body(web: Web) -> None:
    web.save(GREET)
    answer = web.client.post("/api/v1/main/executions/team/greet")
    assert answer.status_code == 200
    assert answer.json["inputs"]["who"] == "world"


def test_waiting_answers_with_the_end(web: Web) -> None:
    web.save(GREET)
    answer = web.client.post("/api/v1/executions/team/greet?wait=true")
    assert answer.json["state"]["current"] == "SUCCESS"
    assert answer.json["state"]["duration"] == 1.0
    assert answer.json["state"]["endDate"] == "2026-01-31T12:00:01Z"


def test_an_uploaded_file_is_stored_where_its_execution_keeps_inputs(web: Web) -> None:
    web.save(GREET)
    started = web.start("team", "greet", data=(BytesIO(b"a,b"), "my table.csv"))
    uri = started["inputs"]["data"]
    assert uri == (f"kestra:///team/greet/executions/{started['id']}/inputs/data/my_table.csv")
    assert web.storage.read_bytes(uri) == b"a,b"
    named = web.start("team", "greet", files=(BytesIO(b"x"), "data"))
    assert named["inputs"]["data"].endswith("/inputs/data/data.upl")


def test_nothing_is_stored_for_a_start_that_is_refused(web: Web) -> None:
    web.save(GREET)
    answer = web.client.post(
        "/api/v1/executions/team/greet", data={"count": "x", "data": (BytesIO(b"a"), "a.csv")}
    )
    assert answer.status_code == 422
    assert answer.json["message"].startswith("Invalid entity: Invalid input for `count`")
    assert answer.json["_embedded"]["errors"][0]["path"] == "count"
    assert list(web.storage.walk("kestra:///")) == []
    assert [name for name, _ in web.core.calls] == ["flow.save"]


def test_a_start_of_what_cannot_be_started_says_why(web: Web) -> None:
    missing = web.client.post("/api/v1/executions/team/nothing")
    assert missing.status_code == 404
    assert missing.json["message"] == "Not Found: Requested Flow is not found."
    web.save(GREET + "disabled: true\n")
    disabled = web.client.post("/api/v1/executions/team/greet")
    assert disabled.status_code == 409
    assert disabled.json["message"] == "Illegal state: Requested Flow is disabled."


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("labels=key:", "a label is written key:value"),
        ("labels=nothing", "a label is written key:value"),
        (
            "labels=system.x:1",
            "System labels can only be set by Kestra itself, offending label: system.x=1",
        ),
        ("wait=perhaps", "wait must be true or false"),
        ("revision=one", "revision must be a whole number"),
        ("scheduleDate=tomorrow", "scheduleDate must be a date-time with offset"),
    ],
)
def test_a_bad_query_value_of_a_start_is_422(web: Web, query: str, message: str) -> None:
    web.save(GREET)
    answer = web.client.post(f"/api/v1/executions/team/greet?{query}")
    assert answer.status_code == 422
    assert message in answer.json["message"]


def test_the_correlation_id_may_be_given(web: Web) -> None:
    web.save(GREET)
    answer = web.client.post("/api/v1/executions/team/greet?labels=system.correlationId:abc")
    assert {"key": "system.correlationId", "value": "abc"} in answer.json["labels"]


def test_a_schedule_date_travels_as_utc(web: Web) -> None:
    web.save(GREET)
    answer = web.client.post(
        "/api/v1/executions/team/greet?scheduleDate=2026-02-01T01:00:00%2B01:00"
    )
    assert answer.json["scheduleDate"] == "2026-02-01T00:00:00Z"


def test_the_idempotency_key_reaches_core(web: Web) -> None:
    web.save(GREET)
    web.client.post("/api/v1/executions/team/greet", headers={"Idempotency-Key": "once"})
    assert web.core.calls[-1][1]["idempotency_key"] == "once"
    refused = web.client.post(
        "/api/v1/executions/team/greet", headers={"Idempotency-Key": "x" * 300}
    )
    assert refused.status_code == 422


def test_each_request_with_a_key_is_marked_by_what_it_asks(web: Web) -> None:
    web.save(GREET)

    def asked(query: str = "", **inputs: object) -> str:
        headers = {"Idempotency-Key": "k"}
        path = f"/api/v1/executions/team/greet{query}"
        web.client.post(path, data=inputs, headers=headers)
        return str(web.core.calls[-1][1]["asked"])

    first = asked(count="3")
    assert first == asked(count="3")
    others = {asked(count="4"), asked("?labels=a:b", count="3"), asked()}
    files = {asked(paper=(BytesIO(text), "a.txt")) for text in (b"one", b"two", b"one")}
    assert len(others - {first}) == 3
    assert len(files) == 2


def test_inputs_are_validated_without_storing_anything(web: Web) -> None:
    web.save(GREET)
    answer = web.client.post("/api/v1/executions/team/greet/validate", data={"count": "x"})
    assert answer.status_code == 200
    assert answer.json["id"] == "greet"
    by_id = {one["input"]["id"]: one for one in answer.json["inputs"]}
    assert by_id["who"]["value"] == "world"
    assert by_id["count"]["errors"][0]["message"].startswith("Invalid input for `count`")
    assert all(one["enabled"] for one in answer.json["inputs"])


def test_an_execution_is_shown_with_its_task_runs_in_order(web: Web) -> None:
    runs = [
        run("b", State.CREATED, State.RUNNING, order=1, value="x"),
        run("a", State.CREATED, State.RUNNING, State.SUCCESS, order=0, outputs={"v": None}),
    ]
    web.core.put(execution("x1", State.CREATED, State.RUNNING, runs={one.key: one for one in runs}))
    shown = web.client.get("/api/v1/executions/x1").json
    assert [one["taskId"] for one in shown["taskRunList"]] == ["a", "b"]
    assert shown["taskRunList"][0]["outputs"] == {"v": None}
    assert shown["taskRunList"][0]["state"]["duration"] == 2.0
    assert shown["taskRunList"][1]["outputs"] is None
    assert shown["taskRunList"][1]["value"] == "x"
    assert web.client.get("/api/v1/executions/unknown").status_code == 404


def test_searches_filter(web: Web) -> None:
    web.core.put(execution("x1", State.CREATED, labels={"a": "1", "b": "2,3"}))
    web.core.put(execution("x2", State.FAILED, namespace="team.sub"))
    web.core.put(execution("x3", State.SUCCESS, namespace="teams", flow_id="other"))

    def found(query: str) -> list[str]:
        answer = web.client.get(f"/api/v1/executions/search?{query}")
        assert answer.status_code == 200, answer.text
        assert answer.json["total"] >= len(answer.json["results"])
        return [one["id"] for one in answer.json["results"]]

    assert found("") == ["x3", "x2", "x1"]
    assert found("namespace=team") == ["x2", "x1"]
    assert found("state=FAILED&state=SUCCESS") == ["x3", "x2"]
    assert found("labels=a: 1&labels=b:2,3") == ["x1"]
    assert found("labels=a:1*&labels=b:2*") == ["x1"]
    assert found("labels=b:*") == ["x1"]
    assert found("labels=b:3*") == []
    assert found("flowId=other") == ["x3"]
    assert found("sort=state.startDate:asc&sort=id:asc&size=2") == ["x1", "x2"]
    assert found("page=2&size=2") == ["x1"]
    assert found("timeRange=PT12H") == ["x3", "x2", "x1"]
    assert found("startDate=2026-02-01T00:00:00Z") == []
    assert found("q=OTH") == ["x3"]
    assert found("q=100%25") == []
    assert found("filters[namespace][PREFIX]=team&filters[state][IN]=FAILED") == ["x2"]
    assert found("page=999999999999999&size=10000") == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=0", "page must be greater than or equal to 1"),
        ("page=-1", "page must be greater than or equal to 1"),
        ("page=99999999999999999999", "page must be a whole number"),
        ("size=0", "size must be greater than or equal to 1"),
        ("size=1000000", "size must be less than or equal to"),
        ("sort=id", "Invalid sort parameter"),
        ("sort=password:asc", "cannot sort by 'password'"),
        ("sort=:asc", "Invalid sort parameter"),
        ("startDate=2024-01-01T00:00:00Z&timeRange=PT12H", "are mutually exclusive"),
        (
            "startDate=2024-06-03T00:00:00.000%2B02:00&endDate=2023-06-05T00:00:00.000%2B02:00",
            "Illegal argument: Start date must be before End Date",
        ),
        ("startDate=yesterday", "startDate must be a date-time with offset"),
        ("startDate=0001-01-01T00:00:00%2B14:00", "startDate must be a date-time"),
        ("timeRange=P1Y", "timeRange must be a duration of days or less"),
        ("timeRange=P9999999D", "timeRange 'P9999999D' is too long"),
        ("state=NOTHING", "is not a state"),
        ("childFilter=AUNT", "childFilter is one of CHILD, MAIN"),
        ("filters[nothing][LIKE]=1", "is not known"),
    ],
)
def test_a_bad_search_is_422(web: Web, query: str, message: str) -> None:
    answer = web.client.get(f"/api/v1/executions/search?{query}")
    assert answer.status_code == 422
    assert message in answer.json["message"]


def test_executions_of_a_flow_need_its_name(web: Web) -> None:
    web.core.put(execution("x1", State.CREATED))
    found = web.client.get("/api/v1/executions?namespace=team&flowId=greet").json
    assert found["total"] == 1
    missing = web.client.get("/api/v1/executions?namespace=team")
    assert missing.status_code == 400
    assert "Required QueryValue [flowId] not specified" in missing.json["message"]


def test_a_kill_is_accepted(web: Web) -> None:
    web.core.put(execution("x1", State.CREATED, State.RUNNING))
    assert web.client.delete("/api/v1/executions/x1/kill").status_code == 202
    assert web.core.get("x1").state is State.KILLED
    assert web.client.delete("/api/v1/executions/x1/kill").status_code == 202
    refused = web.client.delete("/api/v1/executions/x1/kill?isOnKillCascade=false")
    assert refused.status_code == 409
    assert refused.json["message"] == (
        "Illegal state: Execution is already finished, can't kill it"
    )
    assert web.client.delete("/api/v1/executions/unknown/kill").status_code == 404


@pytest.mark.parametrize(
    "action", ["pause", "resume", "restart", "replay", "state", "change-status", "labels",
               "force-run", "unqueue"],
)  # fmt: skip
def test_an_action_is_found_where_newer_clients_look_for_it(web: Web, action: str) -> None:
    addresses = web.client.application.url_map.bind("localhost")
    older, newer = (
        addresses.match(f"/api/v1/main/executions/x1/{below}", method="POST")
        for below in (action, f"actions/{action}")
    )
    assert newer == older


def test_newer_clients_are_told_what_became_of_an_execution_that_they_kill(web: Web) -> None:
    web.core.put(execution("x1", State.CREATED, State.RUNNING))
    killed = web.client.delete("/api/v1/main/executions/x1/actions/kill")
    assert (killed.status_code, killed.json["state"]["current"]) == (200, "KILLED")


def test_the_latest_execution_of_flows_is_told_in_few_words(web: Web) -> None:
    web.core.put(execution("x1", State.SUCCESS))
    web.core.put(execution("x2", State.FAILED))
    asked = [{"namespace": "team", "id": "greet"}, {"namespace": "team", "id": "other"}]
    (told,) = web.client.post("/api/v1/main/executions/latest", json=asked).json
    assert (told["id"], told["flowId"], told["status"]) == ("x2", "greet", "FAILED")


def test_outputs_can_be_read_apart_from_the_execution(web: Web) -> None:
    said = run("t", State.CREATED, State.SUCCESS, outputs={"value": "v"})
    mute = run("u", State.CREATED, State.SUCCESS)
    runs = {one.key: one for one in (said, mute)}
    web.core.put(execution("x1", State.SUCCESS, runs=runs, outputs={"all": "v"}))
    below = "/api/v1/main/outputs"
    assert web.client.get(f"{below}/executions/x1").json == {"all": "v"}
    (told,) = web.client.get(f"{below}/tasks/x1").json
    assert (told["taskId"], told["inline"]) == ("t", True)
    assert web.client.get(f"{below}/tasks/x1/{told['taskRunId']}").json == {"value": "v"}
    assert web.client.get(f"{below}/tasks/x1/nothing").status_code == 404
    assert web.client.get(f"{below}/executions/unknown").status_code == 404


def test_a_deleted_execution_is_gone(web: Web) -> None:
    web.core.put(execution("x1", State.SUCCESS))
    assert web.client.delete("/api/v1/executions/x1").status_code == 204
    assert web.client.delete("/api/v1/executions/x1").status_code == 404


def test_labels_are_put_on_an_execution(web: Web) -> None:
    web.core.put(execution("x1", State.SUCCESS, labels={"a": "1"}))
    body = [{"key": "b", "value": "2"}, {"key": "", "value": ""}]
    answer = web.client.post("/api/v1/executions/x1/labels", json=body)
    assert answer.json["labels"] == [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    for bad in ([{"key": None, "value": None}], [{"key": "system.x", "value": "1"}], {}, [1]):
        assert web.client.post("/api/v1/executions/x1/labels", json=bad).status_code == 422
    assert web.client.post("/api/v1/executions/unknown/labels", json=body).status_code == 404


def test_only_a_paused_execution_is_resumed(web: Web) -> None:
    web.core.put(execution("x1", State.CREATED, State.RUNNING))
    answer = web.client.post("/api/v1/executions/x1/resume")
    assert answer.status_code == 409
    assert answer.json["message"] == (
        "Illegal state: Execution 'x1' is not paused, can't resume it"
    )


def test_a_resume_resolves_what_the_pause_asks_for(web: Web) -> None:
    web.save(
        """id: greet
namespace: team
tasks:
  - id: hold
    type: io.kestra.plugin.core.flow.Pause
    onResume:
      - {id: asked, type: INT}
"""
    )
    paused = run("hold", State.CREATED, State.PAUSED)
    web.core.put(execution("x1", State.CREATED, State.PAUSED, runs={paused.key: paused}))
    missing = web.client.post("/api/v1/executions/x1/resume")
    assert missing.status_code == 422
    assert "missing required input" in missing.json["message"]
    assert web.client.post("/api/v1/executions/x1/resume", data={"asked": "7"}).status_code == 204
    assert web.core.calls[-1] == ("execution.resume", {"id": "x1", "inputs": {"asked": 7}})


def test_what_core_refuses_is_told_with_its_reason(web: Web) -> None:
    web.core.put(execution("x1", State.SUCCESS))
    web.core.refusal = CoreRefused("No task found to restart execution from!", 422)
    answer = web.client.post("/api/v1/executions/x1/restart", json={})
    assert answer.status_code == 422
    assert answer.json["message"] == ("Illegal argument: No task found to restart execution from!")


def test_a_busy_core_asks_to_come_back(web: Web) -> None:
    web.save(GREET)
    web.core.refusal = CoreBusy("")
    answer = web.client.post("/api/v1/executions/team/greet")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"


def test_one_who_may_execute_sees_no_properties_of_tasks(web: Web) -> None:
    web.save(GREET)
    seen = web.client.get("/api/v1/executions/flows/team/greet").json
    assert seen["tasks"] == [{"id": "hello", "type": "io.kestra.plugin.core.log.Log"}]
    assert [one["id"] for one in seen["inputs"]] == ["who", "count", "data"]
