"""People at the command line and a repository over HTTP: plan, confirm, roll back, resume."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cli.command import Ended, log_flow, penstock
from tests.git_http import GitServer, Repository, serve_git
from tests.live import Service, live_service, wait_for

pytestmark = pytest.mark.e2e

ON_PUSH = """id: {id}
namespace: team.one
triggers:
  - {{id: pushed, type: io.penstock.trigger.Push, initial: true}}
tasks:
  - {{id: say, type: io.kestra.plugin.core.{task}}}
"""


@dataclass(frozen=True)
class Place:
    service: Service
    repository: Repository
    server: GitServer

    def git(self, *arguments: object) -> Ended:
        return penstock("git", *arguments, PENSTOCK_SERVER=self.service.url, NO_COLOR="1")

    def flow(self, flow_id: str) -> tuple[int, str]:
        """Status, and the text of a flow."""
        path = f"/api/v1/main/flows/team.one/{flow_id}"
        answer = self.service.get(path, params={"source": "true"})
        return answer.status_code, answer.json().get("source", "")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "served").mkdir()
    repository = Repository(tmp_path / "served" / "flows.git")
    repository.commit({f"{name}.yml": log_flow(name) for name in ("a", "b", "c")}, "first")
    with serve_git(tmp_path / "served") as server:
        source = {
            "id": "main",
            "url": server.url_of(repository),
            "allow_http": True,
            "interval": 3600,
            "edits": "allow",
        }
        settings = json.dumps({"git": {"sources": [source]}})
        with live_service(tmp_path, environment={"PENSTOCK_CONFIGURATION": settings}) as service:
            made = Place(service, repository, server)
            wait_for(lambda: made.flow("a")[0], lambda status: status == 200)
            yield made


def test_a_change_is_planned_applied_rolled_back_offline_and_resumed(place: Place) -> None:
    told = place.git("status")
    assert told.out.splitlines()[0].split()[:3] == ["SOURCE", "STATUS", "RUNNING"]
    assert "main    Synced" in told.out

    head = place.repository.commit({"a.yml": log_flow("a", "changed"), "b.yml": None}, "second")
    planned = place.git("plan", "main", "--exit-code")
    assert planned.code == 10, planned
    assert "~ team.one.a" in planned.out
    assert "revision 1 -> 2" in planned.out
    assert "+    message: changed" in planned.out
    assert "- team.one.b" in planned.out
    assert place.flow("a")[1] == log_flow("a")
    assert place.git("plan", "main").code == 0

    synced = place.git("sync", "main")
    assert (synced.code, synced.out) == (
        0,
        f"main: {head[:7]} succeeded: 1 updated, 1 pruned, 1 unchanged\n",
    ), synced
    assert place.git("plan", "main", "--exit-code").code == 0

    place.server.status = 503
    back = place.git("rollback", "main", "--to", "~1", "--reason", "too loud")
    assert back.code == 0, back
    assert (place.flow("a")[1], place.flow("b")[0]) == (log_flow("a"), 200)
    told = place.git("status", "main")
    assert "Suspended" in told.out
    assert "too loud" in told.out
    assert place.git("sync", "main").code == 3 or "Suspended" in place.git("status").out

    place.server.status = None
    resumed = place.git("resume", "main")
    assert resumed.code == 0, resumed
    assert (place.flow("a")[1], place.flow("b")[0]) == (log_flow("a", "changed"), 404)
    assert place.git("resume", "main").code == 5

    history = place.git("history", "main")
    assert [line.split()[0] for line in history.out.splitlines()[1:]].count("succeeded") == 4
    assert "rollback" in history.out or "anonymous" in history.out
    run = place.git("history", "main", "--format", "json").json["results"][0]["id"]
    shown = place.git("history", "main", "--run", run)
    assert "+    message: changed" in shown.out


def test_a_guard_is_let_through_with_the_digest_that_it_names(place: Place) -> None:
    place.repository.commit({f"{name}.yml": None for name in "abc"} | {"README": "none"})
    refused = place.git("sync", "main", "--format", "json")
    assert refused.code == 5
    digest = refused.json["digest"]
    assert f"Confirm plan {digest}" in refused.err
    assert place.git("plan", "main", "--format", "json").json["digest"] == digest
    status = place.service.get("/api/v1/main/git/sources/main").json()
    assert digest in status["conditions"][0]["message"]
    assert place.git("sync", "main", "--confirm", "0000000000000000").code == 5
    assert place.flow("a")[0] == 200
    assert place.git("sync", "main", "--confirm", digest).code == 0
    assert place.flow("a")[0] == 404


def test_what_is_wrong_is_said_with_its_exit_code(place: Place) -> None:
    place.repository.commit({"a.yml": log_flow("a").replace("log.Log", "log.Logg")})
    bad = place.git("sync", "main")
    assert bad.code == 1
    assert "a.yml:5:11 UNKNOWN_TASK_TYPE" in bad.err
    told = place.git("status", "--exit-code")
    assert told.code == 1
    assert "keeps running" in told.out
    assert "a.yml:5:11" in told.out
    health = "/api/v1/main/git/health"
    assert place.service.get(health).json() == {"status": "DOWN", "degraded": ["main"]}
    assert place.service.get(health, params={"fail": "degraded"}).status_code == 503

    assert place.git("rollback", "main", "nothing").code == 1
    assert place.git("rollback", "main").code == 2
    assert place.git("rollback", "main", "~1", "--to", "~2").code == 2
    assert place.git("status", "other").code == 1
    assert place.git("remove", "main").code == 5
    assert place.git("sync", "main", "--timeout", "soon").code == 2
    place.server.status = 503
    assert place.git("plan", "main").code == 3
    gone = penstock("git", "status", PENSTOCK_SERVER="http://127.0.0.1:9")
    assert gone.code == 3


def test_an_edit_that_a_source_allows_is_shown_as_drift_and_undone(place: Place) -> None:
    edited = log_flow("a", "by hand")
    place.service.put_flow(edited)
    assert place.flow("a")[1] == edited
    status = wait_for(
        lambda: place.service.get("/api/v1/main/git/sources/main").json(),
        lambda source: source["status"] not in ("Synced", "Progressing"),
    )
    assert (status["status"], status["flows"]) == ("OutOfSync", {"managed": 3, "drifted": 1})
    planned = place.git("plan", "main")
    assert "edited here" in planned.out
    assert place.git("sync", "main").code == 0
    assert place.flow("a")[1] == log_flow("a")
    assert "DriftDetected" not in place.git("status").out


def test_a_source_that_is_no_longer_configured_is_let_go_with_its_flows(place: Place) -> None:
    service = place.service
    service.environment["PENSTOCK_CONFIGURATION"] = "{}"
    service.restart()
    told = place.git("status")
    assert "Suspended" in told.out, service.said()[-2000:]
    assert "penstock git remove main" in told.out
    removed = place.git("remove", "main", "--prune")
    assert (removed.code, removed.out) == (0, "main is removed: 3 deleted, 0 kept\n")
    assert place.flow("a")[0] == 404
    assert service.get("/api/v1/main/git/sources").json() == []


def test_a_deploy_that_waits_ends_with_what_it_has_started(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "deployed"
    folder.mkdir()
    (folder / "good.yml").write_text(ON_PUSH.format(id="good", task="log.Log, message: hello"))
    where = {"PENSTOCK_SERVER": place.service.url}
    told = penstock("deploy", folder, "--wait", **where)
    assert told.code == 0, told
    assert "team.one.good SUCCESS" in told.err
    (folder / "bad.yml").write_text(ON_PUSH.format(id="bad", task="execution.Fail"))
    told = penstock("deploy", folder, "--wait", **where)
    assert told.code == 1, told
    assert "team.one.bad FAILED" in told.err
    refused = penstock("git", "sync", "ci", **where)
    assert refused.code == 5
    assert "deployed to" in refused.err


def test_the_page_plans_confirms_rolls_back_and_resumes(place: Place) -> None:
    service, forms = place.service, {"Content-Type": "application/x-www-form-urlencoded"}

    def page(path: str = "/git/main", contains: str = "") -> str:
        return str(
            wait_for(lambda: service.get(path).text, lambda text: contains in text, seconds=10)
        )

    def send(path: str, **fields: str) -> str:
        body = "&".join(f"{name}={value}" for name, value in fields.items())
        answer = service.post(path, content=body, headers=forms)
        if answer.status_code == 303:
            answer = service.get(answer.headers["Location"])
        assert answer.status_code == 200, answer.text[:500]
        return answer.text

    first = service.get("/api/v1/main/git/sources/main").json()["appliedCommit"]
    place.repository.commit({"a.yml": log_flow("a", "changed")}, "second")
    planned = send("/git/main/plan")
    assert "Apply 1 change" in planned
    assert 'class="add"' in planned
    assert place.flow("a")[1] == log_flow("a")
    send("/git/main/sync")
    wait_for(lambda: place.flow("a")[1], lambda text: "changed" in text)

    runs = service.get("/api/v1/main/git/sources/main/runs").json()["results"]
    oldest = next(run["id"] for run in runs if run["toCommit"] == first)
    assert "Roll back" in page(f"/git/runs/{oldest}")
    rolled = send("/git/main/rollback", to=first, reason="too+loud", lasts="8")
    assert "too loud" in rolled
    assert "Resume" in rolled
    assert "Sync now" not in rolled
    assert place.flow("a")[1] == log_flow("a")
    assert "Sync now" in send("/git/main/resume")
    assert "changed" in place.flow("a")[1]

    place.repository.commit({f"{name}.yml": None for name in "abc"} | {"README": "none"})
    send("/git/main/sync")
    held = page(contains="Delete them")
    assert "Prune blocked" in held
    status = service.get("/api/v1/main/git/sources/main").json()
    refused = service.get("/api/v1/main/git/sources/main/runs").json()["results"][0]
    assert "What it would have changed" in page(f"/git/runs/{refused['id']}")
    assert refused["planDigest"] in status["conditions"][0]["message"]
    send("/git/main/sync", confirm=refused["planDigest"])
    assert place.flow("a")[0] == 404

    place.repository.commit({"d.yml": log_flow("d").replace("log.Log", "log.Logg")})
    send("/git/main/sync")
    assert "d.yml:5:11" in page(contains="UNKNOWN_TASK_TYPE")
    assert service.post("/git/nothing/sync", content="", headers=forms).status_code == 404


def test_one_flow_is_taken_back_and_let_go_at_the_command_line(place: Place) -> None:
    _, first = place.flow("a")
    place.repository.commit({"a.yml": log_flow("a") + "# second\n"}, "second")
    place.git("sync", "main")
    where = {"PENSTOCK_SERVER": place.service.url, "NO_COLOR": "1"}
    back = ("flow", "rollback", "team.one", "a", "--revision", 1, "--until", "PT4H")
    told = penstock(*back, "--reason", "slow", **where)
    assert (told.code, place.flow("a")[1]) == (0, first)
    assert "as revision 3; source main leaves it alone until" in told.out
    place.repository.commit({"b.yml": log_flow("b") + "# third\n"}, "third")
    place.git("sync", "main")
    assert place.flow("a")[1] == first
    answer = place.service.get("/api/v1/main/flows/team.one/a").json()
    assert (answer["held"]["revision"], answer["held"]["reason"]) == (1, "slow")
    assert penstock("flow", "resume", "team.one", "a", **where).code == 0
    wait_for(lambda: place.flow("a")[1], lambda text: text.endswith("# second\n"))
    assert "held" not in place.service.get("/api/v1/main/flows/team.one/a").json()
    assert penstock("flow", "resume", "team.one", "a", **where).code == 5


def test_a_call_that_leads_nowhere_is_a_warning_at_the_command_line_and_on_the_page(
    place: Place,
) -> None:
    call = "{id: call, type: io.kestra.plugin.core.flow.Subflow, namespace: team.one, flowId: zz}"
    calls = f"id: calls\nnamespace: team.one\ntasks:\n  - {call}\n"
    place.repository.commit({"calls.yml": calls}, "a call")
    told = place.git("sync", "main")
    assert told.code == 0
    assert "warning: calls.yml:4:" in told.err
    assert "UNKNOWN_SUBFLOW there is no flow team.one.zz" in told.err
    [run] = place.service.get("/api/v1/main/git/sources/main/runs?size=1").json()["results"]
    page = place.service.get(f"/git/runs/{run['id']}").text
    assert "Warnings" in page
    assert "there is no flow team.one.zz" in page
