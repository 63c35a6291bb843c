"""Commit statuses: from a run over the outbox to a forge on this machine, and its moods."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.git_http import GitServer, Repository, serve_git
from tests.sync.world import NOON, REGISTRY, World, flow

from penstock_runner.engine.state import Execution, State, TriggerOrigin
from penstock_server.store import syncs
from penstock_server.sync.desired import PUSH
from penstock_server.sync.errands import run_errand
from penstock_server.sync.settings import SourceSettings

TOKEN = "gh-s3cret-t0ken"
REPORT = {"tokenSecret": "FORGE_TOKEN", "forge": "github", "url": "https://penstock.example/"}


@dataclass
class Forge:
    """What it was told, and what it answers: the first of `moods`, then 201."""

    told: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    moods: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)

    def __call__(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        self.told.append((path, headers, json.loads(body)))
        return self.moods.pop(0) if self.moods else (201, {}, b'{"id": 7}')

    @property
    def said(self) -> list[tuple[str, str, str]]:
        """The last part of each address, the state and the description."""
        return [(p.split("/")[-1][:7], b["state"], b["description"]) for p, _, b in self.told]


class Reporting(World):
    """The world with a source whose host is a forge."""

    def __init__(self, folder: Path, server: GitServer, **report: Any) -> None:
        self.forge = Forge()
        server.api = self.forge
        super().__init__(folder, url=f"{server.url}/acme/flows.git", report={**REPORT, **report})
        self.secrets["FORGE_TOKEN"] = TOKEN

    def deliver(self) -> int:
        """Let the git process make the calls that are due; how many."""
        count = 0
        self.service.tick(self.clock.forward(seconds=1))
        while calls := [one for one in self.asked if one["type"] == "call"]:
            self.asked[:] = [one for one in self.asked if one["type"] != "call"]
            for call in calls:
                self.service.receive(run_errand(call, self.folder / "x", REGISTRY, None))
                count += 1
            self.service.tick(self.clock.now())
        return count

    def rows(self) -> list[syncs.Outgoing]:
        with self.database.read() as connection:
            return syncs.outgoing(connection, ("status", "deployment"), 100)

    def conditions(self) -> list[str]:
        return [one["type"] for one in self.service.status("main")["conditions"]]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "served" / "acme").mkdir(parents=True)
    return Repository(tmp_path / "served" / "acme" / "flows.git")


@pytest.fixture
def server(tmp_path: Path, repository: Repository) -> Iterator[GitServer]:
    with serve_git(tmp_path / "served") as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, server: GitServer) -> Iterator[Reporting]:
    made = Reporting(tmp_path, server)
    yield made
    made.close()


def test_a_commit_that_was_applied_is_a_success_with_what_it_changed(
    repository: Repository, world: Reporting
) -> None:
    first = repository.commit({"a.yml": flow("a"), "b.yml": flow("b"), "c.yml": flow("c")})
    world.sync()
    run = world.sync()
    second = repository.commit({"a.yml": flow("a", "# new\n"), "c.yml": None, "d.yml": flow("d")})
    run = world.sync()
    assert world.deliver() == 2
    assert world.forge.said == [
        (first[:7], "success", "3 added, 3 total"),
        (second[:7], "success", "1 changed, 1 added, 1 removed, 3 total"),
    ]
    path, headers, body = world.forge.told[1]
    assert path == f"/api/v3/repos/acme/flows/statuses/{second}"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["x-github-api-version"] == "2022-11-28"
    assert body["context"] == "penstock/main"
    assert body["target_url"] == f"https://penstock.example/git/runs/{run['run']}"
    assert world.rows() == []


def test_a_commit_with_faults_is_a_failure_that_names_the_first(
    repository: Repository, world: Reporting
) -> None:
    broken = flow("a").replace("log.Log", "log.Logg")
    repository.commit({"a.yml": broken, "b.yml": broken.replace("id: a", "id: b", 1)})
    assert world.sync()["phase"] == "failed"
    world.deliver()
    [(_, state, text)] = world.forge.said
    assert state == "failure"
    assert text.startswith("a.yml:5 ")
    assert text.endswith("(+1 more)")
    assert len(text) <= 140


def test_a_commit_that_a_guard_refuses_is_an_error(
    repository: Repository, world: Reporting
) -> None:
    repository.commit({f"{name}.yml": flow(name) for name in "abc"})
    world.sync()
    repository.commit({f"{name}.yml": None for name in "abc"} | {"README": "gone"})
    assert world.sync()["phase"] == "refused"
    world.deliver()
    assert [state for _, state, _ in world.forge.said] == ["success", "error"]


def test_a_forge_in_trouble_is_told_again_later_in_the_same_order(
    repository: Repository, world: Reporting
) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    world.forge.moods = [(500, {}, b"oops")] * 2 + [(429, {"Retry-After": "100"}, b"")]
    waits: list[float] = []
    for _ in range(3):
        assert world.deliver() == 1
        [row] = world.rows()
        waits.append((row.next_at - world.clock.now()).total_seconds())
        assert world.deliver() == 0, "not before its time"
        world.clock.at = row.next_at
    assert waits == [5, 10, 100]
    second = repository.commit({"a.yml": flow("a", "# new\n")})
    world.sync()
    world.deliver()
    assert [state for _, state, _ in world.forge.said] == ["success"] * 5
    assert world.forge.said[-1][0] == second[:7]
    assert world.conditions() == []


def test_rows_of_one_commit_and_context_wait_for_those_before_them(
    repository: Repository, world: Reporting
) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    [row] = world.rows()
    with world.database.begin() as tx:
        later = syncs.Outgoing(
            kind="status", body={**row.body, "state": "error"}, next_at=world.clock.now()
        )
        other = syncs.Outgoing(
            kind="status", body={**row.body, "context": "other"}, next_at=world.clock.now()
        )
        syncs.add_outgoing(tx.connection, [later, other])
    world.forge.moods = [(500, {}, b"")]
    world.deliver()
    contexts = [(b["context"], b["state"]) for _, _, b in world.forge.told]
    assert contexts == [("penstock/main", "success"), ("other", "success")]
    world.clock.forward(seconds=5)
    world.deliver()
    contexts = [(b["context"], b["state"]) for _, _, b in world.forge.told[2:]]
    assert contexts == [("penstock/main", "success"), ("penstock/main", "error")]


def test_an_answer_that_says_no_drops_the_row_and_shows_why_until_it_works_again(
    repository: Repository, world: Reporting
) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    world.forge.moods = [(404, {}, b'{"message":"Not Found"}')]
    world.deliver()
    assert world.rows() == []
    assert world.conditions() == ["ReportFailed"]
    assert "Not Found" in world.service.status("main")["conditions"][0]["message"]
    assert world.service.status("main")["status"] == "Synced"
    repository.commit({"a.yml": flow("a", "# new\n")})
    world.sync()
    world.deliver()
    assert world.conditions() == []


def test_after_a_day_a_row_is_given_up(repository: Repository, world: Reporting) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    world.forge.moods = [(503, {}, b"")] * 2
    world.deliver()
    world.clock.forward(hours=24)
    world.deliver()
    assert world.rows() == []
    assert world.conditions() == ["ReportFailed"]


def test_what_was_under_way_when_the_git_process_died_is_told_again(
    repository: Repository, world: Reporting
) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    world.service.tick(world.clock.forward(seconds=1))
    assert len([one for one in world.asked if one["type"] == "call"]) == 1
    world.asked.clear()
    world.service.git_process_restarted()
    assert world.deliver() == 1
    assert len(world.forge.told) == 1


def test_a_report_that_is_never_answered_is_tried_again(
    repository: Repository, world: Reporting
) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    world.service.tick(world.clock.forward(seconds=1))
    world.asked.clear()
    world.service.tick(world.clock.forward(minutes=2))
    world.clock.forward(seconds=10)
    assert world.deliver() == 1


def test_nobody_gets_to_see_the_token(
    repository: Repository, world: Reporting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.forge.moods = [(400, {}, f"bad token {TOKEN}".encode())]
    repository.commit({"a.yml": flow("a")})
    world.sync()
    rows = str(world.rows())
    world.deliver()
    seen = f"{caplog.text} {rows} {world.service.status('main')}"
    assert "bad token" in seen
    assert TOKEN not in seen


def test_a_deployment_is_made_and_marked_as_done(
    tmp_path: Path, repository: Repository, server: GitServer
) -> None:
    world = Reporting(tmp_path, server, statuses=False, deployments="production")
    sha = repository.commit({"a.yml": flow("a")})
    world.sync()
    world.deliver()
    [(first, _, made), (second, _, done)] = world.forge.told
    assert (first, made["ref"]) == ("/api/v3/repos/acme/flows/deployments", sha)
    assert (second, done["state"]) == (
        "/api/v3/repos/acme/flows/deployments/7/statuses",
        "success",
    )
    world.close()


def execution(state: State, **more: Any) -> Execution:
    now = NOON
    history = [(State.CREATED, now)]
    if state is not State.CREATED:
        history.append((state, now + timedelta(seconds=1)))
    seen = {"source": "main", "commit": "c" * 40, "branch": "main"}
    given: dict[str, Any] = {
        "labels": {"system.reportStatus": "true"},
        "trigger": TriggerOrigin(id="pushed", type=PUSH, variables=seen),
        **more,
    }
    return Execution(
        id="x1", namespace="team", flow_id="a", flow_revision=1, history=tuple(history), **given
    )


def changed(world: Reporting, one: Execution, told_before: int) -> list[tuple[str, str]]:
    with world.database.begin() as tx:
        for write in world.service.reporting.changed(one, told_before):
            write(tx)
    return [(row.body["context"], row.body["state"]) for row in world.rows()]


def test_an_execution_of_a_push_reports_its_beginning_and_its_end_when_its_flow_asks(
    world: Reporting,
) -> None:
    assert changed(world, execution(State.CREATED, labels={}), 0) == []
    assert changed(world, execution(State.CREATED, trigger=None), 0) == []
    assert changed(world, execution(State.CREATED), 0) == [("penstock/team.a", "pending")]
    assert changed(world, execution(State.RUNNING), 1) == [("penstock/team.a", "pending")]
    assert changed(world, execution(State.FAILED), 1) == [
        ("penstock/team.a", "pending"),
        ("penstock/team.a", "failure"),
    ]
    assert world.deliver() == 2
    [_, (path, _, body)] = world.forge.told
    assert path.endswith("/statuses/" + "c" * 40)
    assert body["target_url"] == "https://penstock.example/executions/team/a/x1"


@pytest.mark.parametrize(
    ("url", "report", "wanted"),
    [
        ("https://git.acme.example/a/b.git", {"tokenSecret": "T"}, "report.forge"),
        ("https://github.com/a/b.git", {}, "tokenSecret"),
        ("https://gitlab.com/a/b.git", {"tokenSecret": "T", "deployments": "x"}, "GitHub"),
    ],
)
def test_a_report_that_cannot_work_is_refused_with_the_way_out(
    url: str, report: dict[str, str], wanted: str
) -> None:
    with pytest.raises(ValidationError, match=wanted):
        SourceSettings.model_validate({"id": "main", "url": url, "report": report})
