from __future__ import annotations

import io
import zipfile
from typing import Any

from tests.api.building import Web


def flow(name: str, namespace: str = "team") -> dict[str, Any]:
    task = {"id": "t", "type": "io.kestra.plugin.core.debug.Return", "format": "x"}
    return {"id": name, "namespace": namespace, "tasks": [task]}


def text(name: str, namespace: str = "team") -> str:
    return (
        f"id: {name}\nnamespace: {namespace}\ntasks:\n"
        "  - {id: t, type: io.kestra.plugin.core.debug.Return, format: a---b}\n"
    )


def test_a_namespace_is_replaced_and_what_is_gone_comes_first(web: Web) -> None:
    first = web.client.post("/api/v1/flows/team", json=[flow("a"), flow("b")])
    assert [one["id"] for one in first.json] == ["a", "b"]
    second = web.client.post("/api/v1/flows/team", json=[flow("b"), flow("c")])
    assert [(one["id"], one["deleted"]) for one in second.json] == [
        ("a", True),
        ("b", False),
        ("c", False),
    ]
    kept = web.client.post("/api/v1/flows/team?delete=false", json=[flow("d")])
    assert len(kept.json) == 1
    assert len(web.client.get("/api/v1/flows/team").json) == 3


def test_documents_are_split_by_the_reader_of_yaml(web: Web) -> None:
    body = "---\n".join([text("a"), text("b")])
    answer = web.client.post("/api/v1/flows/team", data=body, content_type="application/x-yaml")
    assert [one["id"] for one in answer.json] == ["a", "b"]
    assert answer.json[0]["tasks"][0]["format"] == "a---b"


def test_a_wrong_namespace_or_a_double_id_refuses_all(web: Web) -> None:
    twice = web.client.post("/api/v1/flows/team", json=[flow("a"), flow("a")])
    assert twice.status_code == 422
    assert "flow.id: Duplicate flow id" in twice.json["message"]
    foreign = web.client.post("/api/v1/flows/team", json=[flow("a", "other")])
    assert "flow.namespace: Flow namespace is invalid" in foreign.json["message"]
    assert web.client.get("/api/v1/flows/search").json["total"] == 0


def test_bulk_deletes_nothing_unless_asked(web: Web) -> None:
    web.client.post("/api/v1/flows/bulk", json=[flow("a"), flow("b", "other")])
    web.client.post("/api/v1/flows/bulk", json=[flow("c")])
    assert web.client.get("/api/v1/flows/search").json["total"] == 3
    web.client.post("/api/v1/flows/bulk?delete=true", json=[flow("c")])
    found = web.client.get("/api/v1/flows/search").json["results"]
    assert [(one["namespace"], one["id"]) for one in found] == [("other", "b"), ("team", "c")]


def test_flows_are_switched_and_deleted_by_name_and_query(web: Web) -> None:
    web.client.post("/api/v1/flows/bulk", json=[flow("a"), flow("b"), flow("c", "other")])
    named = [{"namespace": "team", "id": "a"}]
    assert web.client.post("/api/v1/flows/disable/by-ids", json=named).json == {"count": 1}
    assert web.client.get("/api/v1/flows/team/a").json["disabled"] is True
    assert web.client.post("/api/v1/flows/enable/by-query?namespace=team").json == {"count": 2}
    assert web.client.get("/api/v1/flows/team/a").json["disabled"] is False
    missing = [*named, {"namespace": "team", "id": "z"}]
    refused = web.client.delete("/api/v1/flows/delete/by-ids", json=missing)
    assert refused.status_code == 400
    assert refused.json["invalids"] == [{"message": "flow not found", "path": "team.z"}]
    assert web.client.delete("/api/v1/flows/delete/by-ids", json=named).json == {"count": 1}
    assert web.client.delete("/api/v1/flows/delete/by-query?namespace=other").json == {"count": 1}


def test_what_is_exported_can_be_imported(web: Web) -> None:
    web.client.post("/api/v1/flows/bulk", json=[flow("a"), flow("b", "other")])
    packed = web.client.get("/api/v1/flows/export/by-query").data
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert sorted(archive.namelist()) == ["other-b.yml", "team-a.yml"]
    web.client.delete("/api/v1/flows/delete/by-query")
    taken = web.client.post(
        "/api/v1/flows/import", data={"fileUpload": (io.BytesIO(packed), "flows.zip")}
    )
    assert taken.json == []
    assert web.client.get("/api/v1/flows/search").json["total"] == 2


def test_what_cannot_be_imported_is_named(web: Web) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("good.yml", text("a"))
        archive.writestr("bad.yml", "id: b\n")
        archive.writestr("readme.md", "no flow")
    upload = {"fileUpload": (io.BytesIO(buffer.getvalue()), "flows.zip")}
    assert web.client.post("/api/v1/flows/import", data=upload).json == ["bad.yml"]
    yaml = {"fileUpload": (io.BytesIO((text("x") + "---\nid: y\n").encode()), "f.yaml")}
    assert web.client.post("/api/v1/flows/import", data=yaml).status_code == 422
    assert web.client.get("/api/v1/flows/team/x").status_code == 404
    other = {"fileUpload": (io.BytesIO(b""), "flows.txt")}
    refused = web.client.post("/api/v1/flows/import", data=other)
    assert "Cannot import file of type .txt" in refused.json["message"]


def test_an_archive_that_grows_too_much_is_refused(web: Web) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.yml", b" " * 70_000_000)
    upload = {"fileUpload": (io.BytesIO(buffer.getvalue()), "flows.zip")}
    assert web.client.post("/api/v1/flows/import", data=upload).status_code == 413


def test_validation_is_an_answer_and_not_an_error(web: Web) -> None:
    web.client.post("/api/v1/flows", json=flow("a"))
    body = (
        "id: a\nnamespace: team\nrevision: 0\ntasks:\n"
        "  - {id: t, type: io.kestra.plugin.core.log.Log, message: 'x---y', unknownProp: 1}\n"
        "---\nid: b\nnamespace: team\ntasks:\n"
        "  - {id: t, type: io.kestra.plugin.core.debug.UnknownTask}\n"
        "---\nid: c\nnamespace: team\ntasks:\n"
        "  - {id: t, type: io.kestra.core.tasks.log.Log, message: m}\n"
    )
    answer = web.client.post("/api/v1/flows/validate", data=body, content_type="text/yaml")
    assert answer.status_code == 200
    first, second, third = answer.json
    assert 'Unrecognized field "unknownProp"' in first["constraints"]
    assert (first["index"], first["flow"], first["namespace"]) == (0, "a", "team")
    assert first["errors"][0]["line"] == 5
    assert first["outdated"] is True
    assert "Invalid type: io.kestra.plugin.core.debug.UnknownTask" in second["constraints"]
    assert "constraints" not in third
    assert third["infos"] == [
        "io.kestra.core.tasks.log.Log is replaced by io.kestra.plugin.core.log.Log"
    ]


def test_one_task_or_trigger_is_validated_alone(web: Web) -> None:
    task = "/api/v1/flows/validate/task"
    trigger = "/api/v1/flows/validate/trigger"
    log = {"id": "t", "type": "io.kestra.plugin.core.log.Log"}
    schedule = {"id": "s", "type": "io.kestra.plugin.core.trigger.Schedule"}
    assert "constraints" not in web.client.post(task, json={**log, "message": "x"}).json[0]
    missing = web.client.post(task, json=log).json[0]
    assert "message: must not be null" in missing["constraints"]
    good = web.client.post(trigger, json={**schedule, "cron": "*/15 * * * *"}).json[0]
    assert "constraints" not in good
    bad = web.client.post(f"{task}?section=TRIGGERS", json=schedule).json[0]
    assert "cron: must not be null" in bad["constraints"]
    assert web.client.post(f"{task}?section=NOTHING", json=log).status_code == 422
    for odd in ("1", "null", "[]", '"x"'):
        answer = web.client.post(task, data=odd, content_type="application/json")
        assert answer.json[0]["constraints"]


def test_graphs_name_tasks_and_dependencies_name_flows(web: Web) -> None:
    web.client.post("/api/v1/flows", json=flow("child"))
    parent = flow("parent")
    parent["tasks"].append(
        {
            "id": "call",
            "type": "io.kestra.plugin.core.flow.Subflow",
            "namespace": "team",
            "flowId": "child",
        }
    )
    web.client.post("/api/v1/flows", json=parent)
    graph = web.client.get("/api/v1/flows/team/parent/graph").json
    assert {
        "source": "root.t",
        "target": "root.call",
        "relation": {"relationType": "SEQUENTIAL"},
    } in (graph["edges"])
    assert web.client.post("/api/v1/flows/graph", json=parent).json == graph
    for path in ("flows/team/child/dependencies", "namespaces/team/dependencies"):
        found = web.client.get(f"/api/v1/{path}").json
        assert found["edges"] == [
            {"source": "team.parent", "target": "team.child", "relation": "FLOW_TASK"}
        ]
    only = web.client.get("/api/v1/flows/team/child/dependencies?destinationOnly=true").json
    assert only["edges"] == []


def test_subflows_and_secrets_that_nobody_has_are_warnings(web: Web) -> None:
    web.client.post("/api/v1/flows", json=flow("stored"))
    calls = [
        {"id": name, "type": "io.kestra.plugin.core.flow.Subflow"}
        | {"namespace": "team", "flowId": name}
        for name in ("stored", "sent", "nowhere")
    ]
    reads = {"id": "r", "type": "io.kestra.plugin.core.debug.Return"}
    reads |= {"format": "{{ secret('NOWHERE') }}"}
    body = [{**flow("a"), "tasks": [*calls, reads]}, flow("sent")]
    first, second = web.client.post("/api/v1/flows/validate", json=body).json
    assert first["warnings"] == [
        "there is no flow team.nowhere",
        "there is no secret 'NOWHERE' that team may read",
    ]
    assert second["warnings"] == []
    assert "constraints" not in first


def test_who_saves_over_somebody_else_is_shown_both_texts(web: Web) -> None:
    web.client.post("/api/v1/flows", json=flow("a"))
    web.client.put("/api/v1/flows/team/a", json={**flow("a"), "description": "theirs"})
    mine = {**flow("a"), "description": "mine"}
    for refused in (
        web.client.put("/api/v1/flows/team/a?expectedRevision=1", json=mine),
        web.client.put("/api/v1/flows/team/a", json=mine, headers={"If-Match": '"1"'}),
    ):
        assert refused.status_code == 409
        [error] = refused.json["_embedded"]["errors"]
        assert (error["revision"], "theirs" in error["source"], "mine" in error["given"]) == (
            2,
            True,
            True,
        )
    fine = web.client.put("/api/v1/flows/team/a", json=mine, headers={"If-Match": '"2"'})
    assert fine.json["revision"] == 3
    odd = web.client.put("/api/v1/flows/team/a", json=mine, headers={"If-Match": "soon"})
    assert odd.status_code == 422
