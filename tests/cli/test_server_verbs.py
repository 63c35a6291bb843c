from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.command import log_flow, penstock
from tests.live import Service, live_service, wait_for

WAITS = """
id: waits
namespace: team
tasks:
  - {id: pause, type: io.kestra.plugin.core.flow.Pause}
  - {id: after, type: io.kestra.plugin.core.log.Log, message: after}
"""

SLOW = """id: slow
namespace: team.slow
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands: ["for i in 1 2 3; do echo line $i; sleep 0.3; done; SLEEP"]
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.mark.e2e
def test_executions_are_listed_newest_first_and_as_json(service: Service) -> None:
    service.put_flow(log_flow("listed", namespace="team.listed"))
    ids = [service.start_flow("team.listed", "listed") for _ in range(2)]
    for one in ids:
        service.ended(one)
    told = penstock("executions", "list", "--namespace", "team.listed", PENSTOCK_SERVER=service.url)
    lines = told.out.splitlines()
    assert lines[0].split() == ["STATE", "FLOW", "STARTED", "(UTC)", "DURATION", "ID"]
    assert [line.split()[-1] for line in lines[1:]] == ids[::-1]
    assert lines[1].startswith("SUCCESS  team.listed.listed")
    found = penstock(
        "executions", "list", "--flow", "listed", "-n", "1", "--format", "json", "--server",
        service.url,
    ).json  # fmt: skip
    assert (found["total"], [one["id"] for one in found["results"]]) == (2, ids[1:])


@pytest.mark.e2e
def test_one_execution_is_shown_with_its_task_runs(service: Service) -> None:
    service.put_flow(log_flow("shown"))
    execution_id = service.start_flow("team.one", "shown")
    service.ended(execution_id)
    told = penstock("executions", "show", execution_id, "--server", service.url)
    assert told.out.startswith("SUCCESS team.one.shown revision 1")
    assert "say" in told.out.splitlines()[-1]
    log = penstock("executions", "logs", execution_id, "--server", service.url)
    assert log.out.rstrip().endswith("say  hello")


@pytest.mark.e2e
def test_following_ends_with_the_execution_and_misses_no_line(service: Service) -> None:
    service.put_flow(SLOW.replace("; SLEEP", ""))
    execution_id = service.start_flow("team.slow", "slow")
    told = penstock("executions", "logs", "-f", execution_id, "--server", service.url)
    assert told.code == 0
    said = [line.rpartition("  ")[2] for line in told.out.splitlines()]
    assert said == ["line 1", "line 2", "line 3"]
    assert told.err.startswith("SUCCESS in")


@pytest.mark.e2e
def test_an_execution_is_killed_once(service: Service) -> None:
    service.put_flow(SLOW.replace("id: slow", "id: endless").replace("SLEEP", "sleep 60"))
    execution_id = service.start_flow("team.slow", "endless")
    wait_for(lambda: service.execution(execution_id)["state"]["current"], "RUNNING".__eq__)
    told = penstock("executions", "kill", execution_id, "--server", service.url)
    assert told.code == 0, told.err
    assert service.ended(execution_id)["state"]["current"] == "KILLED"
    again = penstock("executions", "kill", execution_id, "--server", service.url)
    assert (again.code, "has ended already: KILLED" in again.err) == (5, True)


@pytest.mark.e2e
@pytest.mark.parametrize("verb", [["show"], ["logs"], ["logs", "-f"], ["kill"]], ids=" ".join)
def test_an_execution_that_is_not_there_ends_with_1(service: Service, verb: list[str]) -> None:
    told = penstock("executions", *verb, "nosuch", "--server", service.url)
    assert (told.code, "has no execution nosuch" in told.err) == (1, True)


def test_a_service_that_is_not_there_ends_with_3() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        told = penstock("executions", "list", "--server", address)
    assert (told.code, "is the service running there?" in told.err) == (3, True)


@pytest.mark.e2e
def test_who_may_not_is_told_how_to_sign_in(tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "a.yml").write_text(log_flow("a"))
    with live_service(tmp_path, environment={"PENSTOCK_BASIC_AUTH": "ana:open sesame"}) as closed:
        for verb in (["executions", "list"], ["deploy", str(flows)]):
            refused = penstock(*verb, "--server", closed.url)
            assert (refused.code, "PENSTOCK_PASSWORD" in refused.err) == (4, True)
            let_in = penstock(
                *verb,
                "--server",
                closed.url,
                "--user",
                "ana",
                PENSTOCK_PASSWORD="open sesame",
            )
            assert let_in.code == 0, let_in.err


@pytest.mark.e2e
def test_a_store_is_copied_while_the_service_goes_on(service: Service, tmp_path: Path) -> None:
    service.put_flow(log_flow("copied"))
    copy = tmp_path / "backups" / "penstock.db"
    told = penstock("db", "backup", copy, "--home", service.home)
    assert told.code == 0, told.err
    with sqlite3.connect(copy) as store:
        found = store.execute("SELECT count(*) FROM flows WHERE id = 'copied'").fetchone()
    assert found == (1,)
    again = penstock("db", "backup", copy, "--home", service.home)
    assert (again.code, "exists" in again.err) == (1, True)


@pytest.mark.e2e
def test_a_running_service_goes_on_from_a_restored_copy(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with live_service(tmp_path) as service:
        service.put_flow(WAITS)
        waiting = service.start_flow("team", "waits")
        state = "/api/v1/main/executions/" + waiting
        wait_for(lambda: service.execution(waiting)["state"]["current"], lambda s: s == "PAUSED")
        assert penstock("db", "backup", copy, "--home", service.home).code == 0
        assert service.post(f"{state}/resume").status_code == 204
        service.ended(waiting)
        service.put_flow(log_flow("later"))
        told = penstock("db", "restore", copy, "--home", service.home)
        assert (told.code, "before-" in told.out) == (0, True), told.err
        assert service.execution(waiting)["state"]["current"] == "PAUSED"
        assert service.get("/api/v1/main/flows/team/later").status_code == 404
        answered = wait_for(
            lambda: service.post(f"{state}/resume").status_code, lambda status: status != 503
        )
        assert answered == 204
        assert service.ended(waiting)["state"]["current"] == "SUCCESS"
        [kept] = service.home.glob("penstock-before-*.db")
        with sqlite3.connect(kept) as store:
            found = store.execute("SELECT count(*) FROM flows WHERE id = 'later'").fetchone()
    assert found == (1,)


def test_what_is_no_copy_of_a_store_is_not_restored(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert penstock("db", "upgrade", "--home", home).code == 0
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as store:
        store.execute("CREATE TABLE things (id INTEGER)")
    (tmp_path / "text.db").write_text("no database at all" * 100)
    for name, words in (
        ("none.db", "does not exist"),
        ("text.db", "no SQLite database"),
        ("other.db", "no store that this program knows"),
    ):
        told = penstock("db", "restore", tmp_path / name, "--home", home)
        assert (told.code, words in told.err) == (1, True), told.err


# Starting the service where it cannot start


@pytest.mark.e2e
def test_a_second_service_on_one_home_says_who_has_it(service: Service) -> None:
    told = penstock("server", "--home", service.home, "--port", "0")
    assert (told.code, "in use by another penstock process" in told.err) == (2, True), told.err


@pytest.mark.e2e
def test_a_busy_port_is_named_with_the_way_out(service: Service, tmp_path: Path) -> None:
    told = penstock("server", "--home", tmp_path / "home", "--port", service.port)
    assert (told.code, f":{service.port} " in told.err, "--port" in told.err) == (2, True, True)


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [
        ({"PENSTOCK_HOST": "0.0.0.0"}, 2, "basicAuth"),
        ({"PENSTOCK_HOST": "192.0.2.7", "PENSTOCK_BASIC_AUTH": "a:b"}, 2, "--host"),
        ({"PENSTOCK_WEB": "none"}, 2, "`web`"),
        ({"PENSTOCK_CONFIGURATION": "nonsense: 1"}, 2, "nonsense"),
        ({"PENSTOCK_CONFIGURATION": "{"}, 2, "is not YAML"),
        ({"PENSTOCK_CONFIGURATION": "git: {sources: [{id: A B, url: x}]}"}, 2, "git source `A B`"),
        ({"PENSTOCK_DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/x"}, 3, "127.0.0.1"),
        ({"PENSTOCK_DATABASE_URL": "mysql://u:hidden@127.0.0.1/x"}, 2, "postgresql"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_settings_that_cannot_work_are_named(
    environment: dict[str, str], code: int, said: str, tmp_path: Path
) -> None:
    told = penstock("server", "--port", "0", folder=tmp_path, **environment)
    assert (told.code, said in told.err) == (code, True), told.err
    assert "hidden" not in told.err


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = penstock("server", "--home", tmp_path / "file" / "home", "--port", "0")
    assert (told.code, "--home" in told.err) == (2, True), told.err


# Deploying


class Flows:
    """A checkout with flow files."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.folder = self.root / "flows"
        self.folder.mkdir(parents=True)

    def put(self, flow_id: str, text: str) -> None:
        (self.folder / f"{flow_id}.yml").write_text(text)

    def commit(self, message: str) -> str:
        def git(*arguments: str) -> str:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self.root,
                env={
                    **os.environ,
                    "GIT_AUTHOR_NAME": "Ana Ruiz",
                    "GIT_AUTHOR_EMAIL": "ana@example.org",
                    "GIT_COMMITTER_NAME": "Ana Ruiz",
                    "GIT_COMMITTER_EMAIL": "ana@example.org",
                },
                capture_output=True,
                text=True,
                check=True,
            )
            return done.stdout.strip()

        git("init", "-q", "-b", "main")
        git("add", ".")
        git("commit", "-q", "-m", message)
        return git("rev-parse", "HEAD")


@pytest.fixture
def flows(tmp_path: Path) -> Flows:
    return Flows(tmp_path)


@pytest.mark.e2e
def test_a_deploy_adds_updates_and_prunes_its_own_flows(service: Service, flows: Flows) -> None:
    flows.put("a", log_flow("a", namespace="team.deploy"))
    flows.put("b", log_flow("b", namespace="team.deploy"))
    sha = flows.commit("two flows")
    to = ("--server", service.url, "--source", "first")

    planned = penstock("deploy", flows.folder, "--dry-run", "--exit-code", *to)
    assert planned.code == 10
    assert service.get("/api/v1/main/flows/team.deploy/a").status_code == 404

    done = penstock("deploy", flows.folder, *to)
    assert (done.code, "2 added" in done.out) == (0, True), done.err
    stored = service.get("/api/v1/main/flows/team.deploy/a").json()
    told = {name: stored["git"][name] for name in ("commit", "author", "path", "source", "subject")}
    assert told == {
        "commit": sha,
        "author": "Ana Ruiz",
        "path": "flows/a.yml",
        "source": "first",
        "subject": "two flows",
    }

    same = penstock("deploy", flows.folder, "--dry-run", "--exit-code", "--prune", *to)
    assert (same.code, "2 unchanged" in same.out) == (0, True)

    flows.put("a", log_flow("a", message="other", namespace="team.deploy"))
    (flows.folder / "b.yml").unlink()
    kept = penstock("deploy", flows.folder, *to)
    assert "1 not sent but kept" in kept.out
    assert f"not as commit {sha[:7]} has them" in kept.err
    assert service.get("/api/v1/main/flows/team.deploy/a").json()["git"]["commit"] != sha
    pruned = penstock("deploy", flows.folder, "--prune", "--format", "json", *to).json
    assert pruned["counts"] == {"unchanged": 1, "pruned": 1}
    assert service.get("/api/v1/main/flows/team.deploy/b").status_code == 404
    execution_id = service.start_flow("team.deploy", "a")
    assert service.ended(execution_id)["state"]["current"] == "SUCCESS"


@pytest.mark.e2e
def test_one_invalid_flow_keeps_all_from_being_deployed(service: Service, flows: Flows) -> None:
    flows.put("good", log_flow("good", namespace="team.invalid"))
    flows.put("bad", log_flow("bad", namespace="team.invalid").replace("log.Log", "log.Logg"))
    told = penstock("deploy", flows.folder, "--server", service.url)
    assert (told.code, "bad.yml:5:11 UNKNOWN_TASK_TYPE" in told.err) == (1, True)
    assert service.get("/api/v1/main/flows/team.invalid/good").status_code == 404


@pytest.mark.e2e
def test_the_service_checks_for_itself_and_answers_with_records(service: Service) -> None:
    bad = log_flow("bad").replace("log.Log", "log.Logg")
    answer = service.post("/api/v1/main/git/apply", json={"files": {"flows/bad.yml": bad}})
    [record] = answer.json()["_embedded"]["errors"]
    assert answer.status_code == 422
    assert (record["code"], record["path"], record["line"]) == (
        "UNKNOWN_TASK_TYPE",
        "flows/bad.yml",
        5,
    )


@pytest.mark.e2e
@pytest.mark.parametrize(
    "body",
    [
        {"files": {"../a.yml": "id: a"}},
        {"files": {"/a.yml": "id: a"}},
        {"files": {"a\n.yml": "id: a"}},
        {"files": {"a.yml": "id: a"}, "source": "Not An Id"},
        {"files": {"a.yml": "id: a"}, "namespace": "no namespace"},
        {"files": {"a.yml": "id: a"}, "commit": ["x"]},
        {"files": {"a.yml": "id: a"}, "time": "yesterday"},
    ],
    ids=str,
)
def test_a_deploy_that_makes_no_sense_is_refused(service: Service, body: object) -> None:
    assert service.post("/api/v1/main/git/apply", json=body).status_code == 422


@pytest.mark.e2e
def test_flows_of_another_source_are_left_alone(service: Service, flows: Flows) -> None:
    flows.put("mine", log_flow("mine", namespace="team.owned"))
    assert penstock("deploy", flows.folder, "--server", service.url, "--source", "one").code == 0
    told = penstock("deploy", flows.folder, "--server", service.url, "--source", "two")
    assert (told.code, "belongs to source 'one'" in told.err) == (5, True)


@pytest.mark.e2e
def test_to_delete_most_flows_needs_a_person(service: Service, flows: Flows) -> None:
    for number in range(14):
        flows.put(f"f{number}", log_flow(f"f{number}", namespace="team.guard"))
    to = ("--server", service.url, "--source", "guard", "--prune")
    assert penstock("deploy", flows.folder, *to).code == 0
    for number in range(1, 14):
        (flows.folder / f"f{number}.yml").unlink()
    told = penstock("deploy", flows.folder, *to)
    assert (told.code, "13 of 14 flows would be deleted" in told.err) == (5, True)
    digest = told.err.partition("Confirm plan ")[2].split()[0]
    done = penstock("deploy", flows.folder, *to, "--confirm", digest, "--format", "json")
    assert done.json["counts"]["pruned"] == 13


@pytest.mark.e2e
def test_all_flows_can_be_sent_to_one_namespace(service: Service, flows: Flows) -> None:
    flows.put("moved", log_flow("moved", namespace="somewhere"))
    to = ("--server", service.url, "--source", "moving", "--namespace", "team.moved")
    assert penstock("deploy", flows.folder, *to).code == 0
    found = service.get("/api/v1/main/flows/team.moved/moved?source=true").json()
    assert "namespace: team.moved" in found["source"]


@pytest.mark.e2e
def test_ci_variables_say_where_flows_come_from(
    service: Service, flows: Flows, tmp_path: Path
) -> None:
    flows.put("ci", log_flow("ci", namespace="team.ci"))
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": "b" * 40}}}))
    github = {
        "GITHUB_SHA": "a" * 40,
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": "acme/flows",
        "GITHUB_ACTOR": "ana",
    }
    to = ("--server", service.url, "--source", "ci-github", "--format", "json")
    pushed = penstock("deploy", flows.folder, *to, **github)
    assert pushed.json["commit"] == "a" * 40
    github |= {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(event)}
    assert penstock("deploy", flows.folder, *to, **github).json["commit"] == "b" * 40
    run = service.get("/api/v1/main/git/sources/ci-github/runs").json()["results"][0]
    assert (run["actor"], run["trigger"]) == ("ana", "ci")
    gitlab = {"CI_COMMIT_SHA": "c" * 40, "CI_COMMIT_REF_NAME": "main"}
    assert penstock("deploy", flows.folder, *to, **gitlab).json["commit"] == "c" * 40
