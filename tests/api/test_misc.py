from __future__ import annotations

from datetime import timedelta

from tests.api.building import NOON, Web, run

from penstock_runner.engine.state import Execution, State
from penstock_runner.executor.store import Batch, MetricRow


def put(web: Web, name: str, state: State, flow_id: str = "greet", seconds: int = 2) -> None:
    history = ((State.CREATED, NOON), (state, NOON + timedelta(seconds=seconds)))
    web.core.put(
        Execution(id=name, namespace="team", flow_id=flow_id, flow_revision=1, history=history)
    )


def test_clients_learn_what_they_adapt_to(web: Web) -> None:
    told = web.client.get("/api/v1/configs").json
    assert told["version"] == "1.2.3"
    assert told["isBasicAuthEnabled"] is False
    assert "environment" not in told


def test_executions_are_counted_day_by_day(web: Web) -> None:
    put(web, "x1", State.SUCCESS)
    put(web, "x2", State.FAILED, seconds=4)
    web.clock.at = NOON + timedelta(days=1)
    body = {"startDate": "2026-01-30T00:00:00Z", "namespace": "team"}
    days = web.client.post("/api/v1/stats/executions/daily", json=body).json
    assert [day["startDate"] for day in days] == [
        "2026-01-30T00:00:00Z",
        "2026-01-31T00:00:00Z",
        "2026-02-01T00:00:00Z",
    ]
    assert days[0]["executionCounts"]["SUCCESS"] == 0
    assert days[1]["executionCounts"]["FAILED"] == 1
    assert days[1]["duration"] == {"min": 2.0, "avg": 3.0, "max": 4.0, "sum": 6.0, "count": 2}
    by_flow = web.client.post("/api/v1/stats/executions/daily/group-by-flow", json=body).json
    assert by_flow["team"]["greet"][1]["duration"]["count"] == 2
    by_namespace = web.client.post(
        "/api/v1/stats/executions/daily/group-by-namespace", json=body
    ).json
    assert by_namespace == {"team": {"counts": {"FAILED": 1, "SUCCESS": 1}}}
    for bad in ({"startDate": "x"}, {"startDate": "1990-01-01T00:00:00Z"}, {"state": ["X"]}, [1]):
        answer = web.client.post("/api/v1/stats/executions/daily", json=bad)
        assert answer.status_code == 422, bad


def test_the_latest_execution_of_each_flow_is_given(web: Web) -> None:
    put(web, "x1", State.SUCCESS)
    put(web, "x2", State.FAILED)
    body = {"flows": [{"namespace": "team", "id": "greet"}, {"namespace": "team", "id": "no"}]}
    latest = web.client.post("/api/v1/stats/executions/latest/group-by-flow", json=body).json
    assert [one["id"] for one in latest] == ["x2"]


def test_log_lines_are_counted_day_by_day(web: Web) -> None:
    web.log("a", ("INFO", "x"), ("ERROR", "y"))
    days = web.client.post("/api/v1/stats/logs/daily", json={"flowId": "greet"}).json
    web.clock.at += timedelta(seconds=1)
    days = web.client.post("/api/v1/stats/logs/daily", json={"flowId": "greet"}).json
    assert days[-1]["counts"] == {"INFO": 1, "ERROR": 1}


def test_measurements_are_listed_and_put_together(web: Web) -> None:
    batch = Batch()
    for n in range(3):
        batch.metrics.append(
            MetricRow(
                execution_id="x1",
                taskrun_id="r1",
                task_id="t",
                namespace="team",
                flow_id="greet",
                at=NOON + timedelta(hours=n),
                name="rows",
                kind="counter",
                value=n + 1,
                tags={"a": "b"},
            )
        )
    web.core.store.write(batch)
    listed = web.client.get("/api/v1/metrics/x1?size=2").json
    assert listed["total"] == 3
    assert listed["results"][0]["tags"] == {"a": "b"}
    assert web.client.get("/api/v1/metrics/names/team/greet").json == ["rows"]
    assert web.client.get("/api/v1/metrics/names/team/greet/other").json == []
    assert web.client.get("/api/v1/metrics/tasks/team/greet").json == ["t"]
    web.clock.at = NOON + timedelta(days=2)
    path = "/api/v1/metrics/aggregates/team/greet/rows"
    daily = web.client.get(f"{path}?aggregation=avg").json
    assert daily == {
        "groupBy": "day",
        "aggregations": [{"date": "2026-01-31T00:00:00Z", "name": "rows", "value": 2.0}],
    }
    hourly = "startDate=2026-01-31T12:00:00Z&endDate=2026-01-31T14:00:00Z"
    assert len(web.client.get(f"{path}?{hourly}").json["aggregations"]) == 3
    assert web.client.get(f"{path}?aggregation=median").status_code == 422


def test_namespaces_are_searched_with_those_above(web: Web) -> None:
    web.client.put("/api/v1/namespaces/a.b/kv/k", data="1")
    found = web.client.get("/api/v1/namespaces/search").json
    assert [one["id"] for one in found["results"]] == ["a", "a.b"]
    existing = web.client.get("/api/v1/namespaces/search?existing=true").json
    assert existing["total"] == 1
    assert web.client.get("/api/v1/namespaces/a.b").json["id"] == "a.b"


def test_numbers_that_json_libraries_dislike_do_not_break_an_answer(web: Web) -> None:
    history = ((State.SUCCESS, NOON),)
    web.core.put(
        Execution(
            id="big",
            namespace="team",
            flow_id="greet",
            flow_revision=1,
            history=history,
            outputs={"n": 2**80, "s": "\ud800"},
        )
    )
    answer = web.client.get("/api/v1/executions/big")
    assert answer.json["outputs"]["n"] == 2**80


def test_types_are_listed_with_their_schemas(web: Web) -> None:
    groups = {one["name"]: one for one in web.client.get("/api/v1/plugins").json}
    name = "io.kestra.plugin.core.log.Log"
    assert name in groups["io.kestra.plugin.core.log"]["tasks"]
    schema = web.client.get(f"/api/v1/plugins/{name}").json["schema"]["properties"]
    assert "message" in schema["properties"]
    assert web.client.get("/api/v1/plugins/io.nobody.Nothing").status_code == 404
    flow = web.client.get("/api/v1/plugins/schemas/flow").json
    assert "tasks" in flow["properties"]
    assert web.client.get("/api/v1/plugins/schemas/task").status_code == 200
    assert web.client.get("/api/v1/plugins/schemas/nothing").status_code == 404
    assert "STRING" in [one["type"] for one in web.client.get("/api/v1/plugins/inputs").json]


def test_an_expression_is_evaluated_as_a_task_run_sees_it(web: Web) -> None:
    web.save(
        "id: greet\nnamespace: team\ntasks:\n"
        "  - {id: t, type: io.kestra.plugin.core.debug.Return, format: x}\n"
    )
    one = run("t", State.CREATED, State.SUCCESS, outputs={"value": "v"})
    history = ((State.CREATED, NOON), (State.SUCCESS, NOON))
    web.core.put(
        Execution(
            id="x1",
            namespace="team",
            flow_id="greet",
            flow_revision=1,
            history=history,
            runs={one.key: one},
        )
    )
    shown = web.client.get("/api/v1/executions/x1").json["taskRunList"][0]["id"]
    path = f"/api/v1/executions/x1/eval/{shown}"

    def told(text: str) -> dict[str, str]:
        return dict(web.client.post(path, data=text, content_type="text/plain").json)

    assert told("plain text") == {"result": "plain text"}
    assert told("{{ taskrun.id }}") == {"result": shown}
    assert told("{{ outputs.t.value }}") == {"result": "v"}
    assert told("{{ secret('X') }}") == {"result": "******"}
    assert "Unable to find `missing`" in told("{{ missing }}")["error"]
    assert web.client.post("/api/v1/executions/x1/eval/none", data="x").status_code == 422
    newer = "/api/v1/main/executions/x1/actions/eval"
    assert web.client.post(f"{newer}/{shown}", data="{{ taskrun.id }}").json == {"result": shown}
    assert web.client.post(newer, data="{{ outputs.t.value }}").json == {"result": "v"}
    assert "`taskrun`" in web.client.post(newer, data="{{ taskrun.id }}").json["error"]


def test_names_of_namespaces_are_completed(web: Web) -> None:
    for namespace in ("sales.north", "stock"):
        web.client.put(f"/api/v1/namespaces/{namespace}/kv/k", data="1")

    def told(**asked: object) -> list[str]:
        return list(web.client.post("/api/v1/main/namespaces/autocomplete", json=asked).json)

    assert told(q="S") == ["sales", "sales.north", "stock"]
    assert told(q="sales", existingOnly=True) == ["sales.north"]
    assert told(q="stock", ids=["kept"]) == ["kept", "stock"]
