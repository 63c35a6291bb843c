"""Templates over the API of a live service: kept, listed, judged, moved about, and brought in."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live import Service, live_service

pytestmark = pytest.mark.e2e

TEMPLATES = "/api/v1/main/templates"
YAML = {"Content-Type": "application/x-yaml"}
LOG = "io.kestra.plugin.core.log.Log"
TELL = """id: tell
namespace: shared
# a comment that stays
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "to {{ parent.outputs.args.whom }}"
"""
FLOW = """
id: build
namespace: team
tasks:
  - id: first
    type: io.kestra.plugin.core.flow.Template
    namespace: shared
    templateId: tell
    args: {whom: Ada}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("templates")) as running:
        running.put_flow(FLOW)
        yield running


@pytest.fixture(autouse=True)
def _empty(service: Service) -> None:
    service.request("DELETE", f"{TEMPLATES}/delete/by-query")


def keep(service: Service, source: str = TELL) -> Any:
    answer = service.post(TEMPLATES, content=source, headers=YAML)
    assert answer.status_code == 200, answer.text
    return answer.json()


def named(name: str) -> str:
    return TELL.replace("id: tell", f"id: {name}")


def listed(service: Service, **query: str) -> list[str]:
    found = service.get(f"{TEMPLATES}/search", params=query).json()
    assert found["total"] == len(found["results"])
    return [one["id"] for one in found["results"]]


def test_a_saved_template_is_shown_and_brought_in_by_a_flow(service: Service) -> None:
    assert keep(service)["tasks"][0]["id"] == "say"
    shown = service.get(f"{TEMPLATES}/shared/tell").json()
    assert (shown["namespace"], shown["id"]) == ("shared", "tell")
    execution = service.ended(service.start_flow("team", "build"))
    assert execution["state"]["current"] == "SUCCESS"
    first, say = execution["taskRunList"]
    assert (first["taskId"], say["taskId"]) == ("first", "say")
    assert say["parentTaskRunId"] == first["id"]
    logs = service.get(f"/api/v1/main/logs/{execution['id']}").json()
    assert "to Ada" in [line["message"] for line in logs]


def test_a_template_is_changed_and_deleted_under_its_name(service: Service) -> None:
    keep(service)
    changed = TELL.replace("to {{", "hello {{")
    there = f"{TEMPLATES}/shared/tell"
    assert service.request("PUT", there, content=changed, headers=YAML).status_code == 200
    assert service.get(there).json()["tasks"][0]["message"].startswith("hello")
    renamed = service.request("PUT", there, content=named("other"), headers=YAML)
    assert renamed.status_code == 422
    assert "Illegal template id update" in renamed.text
    assert service.request("DELETE", there).status_code == 204
    assert service.get(there).status_code == 404
    assert service.request("PUT", there, content=TELL, headers=YAML).status_code == 404


def test_a_template_is_not_created_twice(service: Service) -> None:
    keep(service)
    again = service.post(TEMPLATES, content=TELL, headers=YAML)
    assert again.status_code == 422
    assert "Template id already exists" in again.text


def test_a_template_may_be_given_as_json(service: Service) -> None:
    data = {
        "id": "short",
        "namespace": "shared",
        "tasks": [{"id": "a", "type": LOG, "message": "x"}],
    }
    answer = service.post(TEMPLATES, json=data)
    assert answer.status_code == 200, answer.text
    assert listed(service) == ["short"]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (TELL.replace("log.Log", "log.Lag"), "Invalid type: io.kestra.plugin.core.log.Lag"),
        (TELL + "inputs: []\n", 'Unrecognized field "inputs"'),
        ("id: tell\nnamespace: shared\n", "must not be empty"),
    ],
    ids=["type", "property", "tasks"],
)
def test_what_is_wrong_with_a_template_is_told_and_nothing_saved(
    service: Service, source: str, fault: str
) -> None:
    answer = service.post(TEMPLATES, content=source, headers=YAML)
    assert answer.status_code == 422
    assert fault in answer.json()["message"]
    [judged] = service.post(f"{TEMPLATES}/validate", content=source, headers=YAML).json()
    assert fault in judged["constraints"]
    assert listed(service) == []


def test_a_good_template_is_judged_without_constraints(service: Service) -> None:
    [judged] = service.post(f"{TEMPLATES}/validate", content=TELL, headers=YAML).json()
    assert "constraints" not in judged
    assert listed(service) == []


def test_templates_are_searched_by_namespace_and_text(service: Service) -> None:
    keep(service)
    keep(service, named("other"))
    keep(service, TELL.replace("namespace: shared", "namespace: away.far"))
    assert listed(service, namespace="shared") == ["other", "tell"]
    assert listed(service, q="oth") == ["other"]
    assert listed(service, namespace="away") == ["tell"]
    assert service.get(f"{TEMPLATES}/distinct-namespaces").json() == ["away.far", "shared"]


def test_a_namespace_is_replaced_as_a_whole(service: Service) -> None:
    keep(service)
    text = f"{named('one')}---\n{named('two')}"
    both = service.post(f"{TEMPLATES}/shared?delete=false", content=text, headers=YAML)
    assert [one["id"] for one in both.json()] == ["one", "two"]
    assert listed(service) == ["one", "tell", "two"]
    service.post(f"{TEMPLATES}/shared", content=named("one"), headers=YAML)
    assert listed(service) == ["one"]
    elsewhere = service.post(f"{TEMPLATES}/away", content=TELL, headers=YAML)
    assert elsewhere.status_code == 422
    assert "Template namespace is invalid" in elsewhere.text


def test_templates_go_out_as_an_archive_and_come_back(service: Service) -> None:
    keep(service)
    keep(service, named("other"))
    names = [{"namespace": "shared", "id": "tell"}]
    one = service.post(f"{TEMPLATES}/export/by-ids", json=names).content
    assert zipfile.ZipFile(io.BytesIO(one)).namelist() == ["shared-tell.yml"]
    packed = service.get(f"{TEMPLATES}/export/by-query").content
    archive = zipfile.ZipFile(io.BytesIO(packed))
    assert archive.read("shared-tell.yml").decode() == TELL
    gone = service.request("DELETE", f"{TEMPLATES}/delete/by-ids", json=names)
    assert gone.json() == {"count": 1}
    missing = service.request("DELETE", f"{TEMPLATES}/delete/by-ids", json=names)
    assert missing.status_code == 400
    files = {"fileUpload": ("templates.zip", packed)}
    assert service.post(f"{TEMPLATES}/import", files=files).status_code == 204
    assert listed(service) == ["other", "tell"]
    everything = service.request("DELETE", f"{TEMPLATES}/delete/by-query", params={"q": "tell"})
    assert everything.json() == {"count": 1}
    assert listed(service) == ["other"]


def test_a_file_of_templates_that_is_no_text_is_refused(service: Service) -> None:
    files = {"fileUpload": ("templates.yaml", b"id: \xff")}
    refused = service.post(f"{TEMPLATES}/import", files=files)
    assert (refused.status_code, "UTF-8" in refused.json()["message"]) == (422, True)


def test_templates_outlive_a_restart_of_the_service(tmp_path: Path) -> None:
    with live_service(tmp_path) as running:
        running.put_flow(FLOW)
        keep(running)
        running.restart()
        execution = running.ended(running.start_flow("team", "build"))
        assert execution["state"]["current"] == "SUCCESS"
