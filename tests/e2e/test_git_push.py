"""A push to a repository is what changes flows: live at once, by hook or by polling."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.gitting import clone, needs_git, new_repository
from tests.live import Service, live_service, wait_for

pytestmark = [pytest.mark.e2e, needs_git]

HELLO = """
id: pushed
namespace: team
tasks:
  - {{id: say, type: io.kestra.plugin.core.log.Log, message: "{message}"}}
"""
ON_PUSH = """
id: on_push
namespace: team
triggers:
  - {id: pushed, type: io.penstock.trigger.Push, paths: ["watched/**"]}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{{ trigger.branch }} {{ trigger.commit }} {{ trigger.author }} {{ trigger.message }}"
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with live_service(tmp_path, options=["--examples"]) as running:
        await_flow(running, "penstock.examples", None)
        yield running


def await_flow(service: Service, namespace: str, flow_id: str | None, says: str = "") -> Any:
    """Wait for a flow with a text in it, or for any flow of a namespace."""
    if flow_id is None:
        path = "/api/v1/main/git/sources"
        return wait_for(
            lambda: service.get(path).json(),
            lambda sources: sources and all(one.get("appliedCommit") for one in sources),
        )
    path = f"/api/v1/main/flows/{namespace}/{flow_id}"
    return wait_for(
        lambda: service.get(path, params={"source": "true"}),
        lambda answer: answer.status_code == 200 and says in answer.json()["source"],
    ).json()


def test_a_push_is_live_at_once_and_each_change_is_a_revision(
    service: Service, tmp_path: Path
) -> None:
    copy = clone(service.home / "examples.git", tmp_path / "clone")
    for revision, message in enumerate(("first", "second"), 1):
        copy.push({"pushed.yaml": HELLO.format(message=message)})
        began = time.monotonic()
        flow = await_flow(service, "team", "pushed", message)
        print(f"live {time.monotonic() - began:.2f} s after the push")
        assert flow["revision"] == revision
        execution = service.ended(service.start_flow("team", "pushed"))
        assert execution["state"]["current"] == "SUCCESS"
        assert execution["flowRevision"] == revision
        assert message in messages(service, execution["id"])


def test_a_flow_that_is_deleted_in_git_can_no_longer_be_started(
    service: Service, tmp_path: Path
) -> None:
    copy = clone(service.home / "examples.git", tmp_path / "clone")
    copy.push({"pushed.yaml": HELLO.format(message="first")})
    await_flow(service, "team", "pushed")
    copy.push({"pushed.yaml": None})
    wait_for(lambda: service.get("/api/v1/main/flows/team/pushed").status_code, lambda s: s == 404)
    answer = service.post("/api/v1/main/executions/team/pushed")
    assert answer.status_code == 404
    assert "pushed" in answer.text or "not found" in answer.text.lower()


def test_polling_finds_a_push_that_no_hook_tells_of(service: Service, tmp_path: Path) -> None:
    (service.home / "examples.git" / "hooks" / "post-receive").unlink()
    copy = clone(service.home / "examples.git", tmp_path / "clone")
    copy.push({"pushed.yaml": HELLO.format(message="polled")})
    await_flow(service, "team", "pushed", "polled")


def test_a_push_starts_the_flows_that_wait_for_it_once_with_the_new_revision(
    service: Service, tmp_path: Path
) -> None:
    copy = clone(service.home / "examples.git", tmp_path / "clone")
    copy.push({"on_push.yaml": ON_PUSH})
    await_flow(service, "team", "on_push")
    text = ON_PUSH.replace("message:", "level: WARN\n    message:")
    commit = copy.push({"on_push.yaml": text, "watched/data.txt": "1"}, "Change the data")
    found = wait_for(
        lambda: executions_of(service, "team", "on_push"),
        lambda all_of: all_of and all_of[0]["state"]["current"] == "SUCCESS",
    )
    assert [one["flowRevision"] for one in found] == [2]
    assert messages(service, found[0]["id"]) == [f"main {commit} Ana Ruiz Change the data"]
    copy.push({"unwatched.txt": "1"})
    latest = copy.push({"watched/data.txt": "2"}, "Again")
    found = wait_for(
        lambda: executions_of(service, "team", "on_push"), lambda all_of: len(all_of) > 1
    )
    assert len(found) == 2
    assert {one["trigger"]["variables"]["commit"] for one in found} == {commit, latest}


def test_a_commit_with_a_broken_flow_changes_nothing_and_says_where(
    service: Service, tmp_path: Path
) -> None:
    copy = clone(service.home / "examples.git", tmp_path / "clone")
    copy.push({"pushed.yaml": HELLO.format(message="good")})
    await_flow(service, "team", "pushed", "good")
    copy.push({"pushed.yaml": "id: pushed\nnamespace: team\ntasks: [\n", "new.yaml": ON_PUSH})
    source = wait_for(
        lambda: service.get("/api/v1/main/git/sources/examples").json(),
        lambda one: one["status"] == "Degraded",
    )
    assert "pushed.yaml" in json.dumps(source), source
    assert await_flow(service, "team", "pushed")["revision"] == 1
    assert service.get("/api/v1/main/flows/team/on_push").status_code == 404
    assert service.ended(service.start_flow("team", "pushed"))["state"]["current"] == "SUCCESS"
    copy.push({"pushed.yaml": HELLO.format(message="mended")})
    await_flow(service, "team", "pushed", "mended")
    assert "Traceback" not in service.said()


def test_empty_and_missing_repositories_are_named_and_disturb_no_other(tmp_path: Path) -> None:
    empty = new_repository(tmp_path / "git" / "empty.git")
    good = new_repository(tmp_path / "git" / "good.git")
    clone(good, tmp_path / "clone").push({"pushed.yaml": HELLO.format(message="good")})
    sources = {
        "empty": empty.as_uri(),
        "missing": (tmp_path / "git" / "missing.git").as_uri(),
        "unreachable": "https://127.0.0.1:1/nothing.git",
        "good": good.as_uri(),
    }
    settings = {
        "git": {
            "file_roots": [str(tmp_path / "git")],
            "sources": [{"id": name, "url": url, "interval": 10} for name, url in sources.items()],
        }
    }
    with live_service(
        tmp_path, environment={"PENSTOCK_CONFIGURATION": json.dumps(settings)}
    ) as service:
        await_flow(service, "team", "pushed", "good")
        found = wait_for(
            lambda: {one["id"]: one for one in service.get("/api/v1/main/git/sources").json()},
            lambda all_of: all(all_of[name]["conditions"] for name in sources if name != "good"),
        )
        for name in ("empty", "missing", "unreachable"):
            print(name, found[name]["status"], found[name]["conditions"])
            assert found[name]["status"] != "Synced"
            [condition, *_] = found[name]["conditions"]
            assert len(condition["message"]) > 10
            assert "Traceback" not in condition["message"]
        assert found["good"]["status"] == "Synced"
        assert "Traceback" not in service.said()


def executions_of(service: Service, namespace: str, flow_id: str) -> list[dict[str, Any]]:
    """The executions of a flow, newest first."""
    answer = service.get(
        "/api/v1/main/executions", params={"namespace": namespace, "flowId": flow_id}
    )
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def messages(service: Service, execution_id: str) -> list[str]:
    """What an execution has logged."""
    return [line["message"] for line in service.get(f"/api/v1/main/logs/{execution_id}").json()]
