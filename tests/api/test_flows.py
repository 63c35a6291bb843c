from __future__ import annotations

import pytest
from tests.api.building import Web

GREET = """id: greet
namespace: team
labels:
  owner: ada
# a comment that stays
inputs:
  - id: who
    type: STRING
    defaults: world
tasks:
  - id: hello
    type: io.kestra.plugin.core.log.Log
    message: "Hello {{ inputs.who }}"
"""


def test_a_created_flow_is_answered_with_its_source_and_revision(web: Web) -> None:
    saved = web.save(GREET)
    assert saved["revision"] == 1
    assert saved["source"] == GREET
    assert saved["labels"] == [{"key": "owner", "value": "ada"}]


def test_a_flow_is_read_without_its_source_unless_asked(web: Web) -> None:
    web.save(GREET)
    plain = web.client.get("/api/v1/flows/team/greet").json
    assert "source" not in plain
    assert plain["tasks"][0]["id"] == "hello"
    told = web.client.get("/api/v1/main/flows/team/greet?source=true").json
    assert "# a comment that stays" in told["source"]


def test_a_flow_is_not_created_twice(web: Web) -> None:
    web.save(GREET)
    answer = web.client.post("/api/v1/flows", data=GREET, content_type="application/x-yaml")
    assert answer.status_code == 422
    assert answer.json["message"] == "Invalid entity: flow.id: Flow id already exists"
    assert answer.json["_links"]["self"]["href"] == "/api/v1/flows"


def test_an_unknown_flow_is_404_with_the_standard_body(web: Web) -> None:
    answer = web.client.get("/api/v1/flows/team/nothing")
    assert answer.status_code == 404
    assert answer.json["message"] == "Not Found"


def test_an_invalid_flow_is_refused_with_every_fault(web: Web) -> None:
    source = GREET.replace("    message:", "    badProperty: true\n    message:")
    answer = web.client.post("/api/v1/flows", data=source, content_type="application/x-yaml")
    assert answer.status_code == 422
    assert answer.json["message"].startswith("Invalid entity: ")
    assert 'Unrecognized field "badProperty"' in answer.json["message"]


def test_json_is_stored_as_yaml_that_reads_back_the_same(web: Web) -> None:
    flow = {
        "id": "odd",
        "namespace": "team",
        "labels": {"a": "b"},
        "description": "yes: \n  - 012\n",
        "tasks": [
            {
                "id": "t",
                "type": "io.kestra.plugin.core.log.Log",
                "message": "0o14 # not a comment\ttab",
            }
        ],
    }
    answer = web.client.post("/api/v1/flows", json=flow)
    assert answer.status_code == 200, answer.text
    stored = web.client.get("/api/v1/flows/team/odd").json
    assert stored["description"] == flow["description"]
    assert stored["tasks"] == flow["tasks"]
    assert stored["labels"] == [{"key": "a", "value": "b"}]


def test_an_update_makes_a_revision_and_keeps_the_name(web: Web) -> None:
    web.save(GREET)
    changed = GREET.replace("Hello", "Bonjour")
    answer = web.client.put(
        "/api/v1/flows/team/greet", data=changed, content_type="application/x-yaml"
    )
    assert answer.json["revision"] == 2
    other = GREET.replace("id: greet", "id: other").replace("namespace: team", "namespace: else")
    refused = web.client.put(
        "/api/v1/flows/team/greet", data=other, content_type="application/x-yaml"
    )
    assert refused.status_code == 422
    assert "flow.id: Illegal flow id update" in refused.json["message"]
    assert "flow.namespace: Illegal namespace update" in refused.json["message"]
    missing = web.client.put("/api/v1/flows/team/no", data=GREET, content_type="text/yaml")
    assert missing.status_code == 404


def test_a_deleted_flow_is_gone_but_readable_when_asked(web: Web) -> None:
    web.save(GREET)
    assert web.client.delete("/api/v1/flows/team/greet").status_code == 204
    assert web.client.delete("/api/v1/flows/team/greet").status_code == 404
    assert web.client.get("/api/v1/flows/team/greet").status_code == 404
    kept = web.client.get("/api/v1/flows/team/greet?allowDeleted=true").json
    assert kept["deleted"] is True
    revisions = web.client.get("/api/v1/flows/team/greet/revisions").json
    assert [one["revision"] for one in revisions] == [1, 2]


def test_flows_are_searched_by_namespace_label_and_text(web: Web) -> None:
    web.save(GREET)
    web.save(GREET.replace("namespace: team", "namespace: team.sub").replace("ada", "bob"))
    web.save(GREET.replace("namespace: team", "namespace: teams"))

    def found(query: str) -> list[str]:
        answer = web.client.get(f"/api/v1/flows/search?{query}")
        return [flow["namespace"] for flow in answer.json["results"]]

    assert found("namespace=team") == ["team", "team.sub"]
    assert found("labels=owner:ada") == ["team", "teams"]
    assert found("q=SUB") == ["team.sub"]
    assert found("sort=namespace:desc&size=1&page=2") == ["team.sub"]
    assert web.client.get("/api/v1/flows/search?sort=nothing:asc").status_code == 422
    assert web.client.get("/api/v1/flows/distinct-namespaces?q=sub").json == ["team.sub"]
    assert len(web.client.get("/api/v1/flows/team").json) == 1


def test_one_task_is_read_and_replaced_at_any_depth(web: Web) -> None:
    web.client.post(
        "/api/v1/flows",
        json={
            "id": "deep",
            "namespace": "team",
            "tasks": [
                {
                    "id": "seq",
                    "type": "io.kestra.plugin.core.flow.Sequential",
                    "tasks": [
                        {"id": "a", "type": "io.kestra.plugin.core.debug.Return", "format": "1"}
                    ],
                }
            ],
        },
    )
    assert web.client.get("/api/v1/flows/team/deep/tasks/a").json["format"] == "1"
    task = {"id": "a", "type": "io.kestra.plugin.core.debug.Return", "format": "2"}
    changed = web.client.patch("/api/v1/flows/team/deep/a", json=task)
    assert changed.json["tasks"][0]["tasks"][0]["format"] == "2"
    assert web.client.patch("/api/v1/flows/team/deep/b", json=task).status_code == 422
    gone = web.client.patch("/api/v1/flows/team/deep/b", json={**task, "id": "b"})
    assert gone.status_code == 404


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"\xff\xfe", "application/x-yaml", "Illegal argument: the body is not UTF-8"),
        (b"{", "application/json", "Invalid json: "),
        (b"[1]", "application/json", "Invalid json mapping: "),
        (b"", "application/x-yaml", "Invalid entity: "),
    ],
)
def test_a_body_that_is_no_flow_says_why(web: Web, body: bytes, kind: str, message: str) -> None:
    answer = web.client.post("/api/v1/flows", data=body, content_type=kind)
    assert answer.status_code == 422
    assert answer.json["message"].startswith(message)
