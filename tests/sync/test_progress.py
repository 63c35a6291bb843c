"""While a commit is worked on: what the source and the forge say, and that it never stays so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import GitServer, Repository, serve_git
from tests.sync.world import World, flow

from penstock_server.store import sources, syncs
from penstock_server.sync.asked import Pin

REPORT = {"tokenSecret": "FORGE_TOKEN", "forge": "github", "url": "https://penstock.example/"}


class Working(World):
    """The world whose git process says what it works on."""

    def __init__(self, folder: Path, server: GitServer) -> None:
        super().__init__(folder, url=f"{server.url}/acme/flows.git", report=REPORT)
        self.between: list[str] = []

    def sync(self, trigger: str = "manual", **options: Any) -> dict[str, Any]:
        results: list[dict[str, Any]] = []
        self.service.look("main", trigger=trigger, wait=results.append, **options)
        self.answer(self.told)
        return results[0] if results else {}

    def told(self, message: dict[str, Any]) -> None:
        self.service.receive(message)
        self.between.append(self.row)

    @property
    def row(self) -> str:
        """The status that clients read."""
        with self.database.read() as connection:
            found = sources.source(connection, "main")
        return found.status if found is not None else ""

    def reports(self) -> list[tuple[str, str]]:
        """What waits to be told to the forge: commit and state."""
        with self.database.read() as connection:
            rows = syncs.outgoing(connection, ("status",), 100)
        return [(row.body["sha"], row.body["state"]) for row in rows]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "served" / "acme").mkdir(parents=True)
    return Repository(tmp_path / "served" / "acme" / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[Working]:
    with serve_git(tmp_path / "served") as server:
        made = Working(tmp_path, server)
        yield made
        made.close()


def test_a_source_is_progressing_and_its_commit_pending_while_it_is_worked_on(
    repository: Repository, world: Working
) -> None:
    first = repository.commit({"a.yml": flow("a")})
    world.sync()
    assert (world.between, world.row) == (["Progressing"], "Synced")
    assert world.reports() == [(first, "pending"), (first, "success")]


def test_a_poll_with_nothing_new_is_no_progress(repository: Repository, world: Working) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    world.between.clear()
    world.sync("poll")
    assert world.between == []
    assert len(world.reports()) == 2


def test_a_bad_commit_is_pending_once_and_then_a_failure(
    repository: Repository, world: Working
) -> None:
    bad = repository.commit({"a.yml": flow("a").replace("log.Log", "log.Logg")})
    world.sync("poll")
    world.sync("poll")
    assert (world.between, world.row) == (["Progressing"], "Degraded")
    assert world.reports() == [(bad, "pending"), (bad, "failure")]


def test_a_commit_that_cannot_be_read_to_its_end_is_an_error(
    repository: Repository, world: Working
) -> None:
    sha = repository.commit({".penstock.yml": "mapping: 7\n", "a.yml": flow("a")})
    world.sync()
    assert world.between == ["Progressing"]
    assert world.reports() == [(sha, "pending"), (sha, "error")]


def test_a_service_that_died_at_work_does_not_say_that_it_works(
    repository: Repository, world: Working
) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    sha = repository.commit({"b.yml": flow("b")})
    world.service.look("main", trigger="poll")
    world.service.receive(
        {"type": "working", "source": "main", "commit": sha, "ref": "refs/heads/main"}
    )
    assert world.row == "Progressing"
    world.start(url=world.settings.url, report=REPORT)
    assert world.row != "Progressing"


def test_a_rollback_reports_the_commit_that_is_live_then(
    repository: Repository, world: Working
) -> None:
    first = repository.commit({"a.yml": flow("a")})
    world.sync()
    second = repository.commit({"a.yml": flow("a", "# new\n")})
    world.sync()
    before = len(world.reports())
    world.service.rollback("main", first, Pin(by="ana"))
    world.answer(world.told)
    assert world.reports()[before:] == [(first, "success")]
    with world.database.read() as connection:
        row = syncs.outgoing(connection, ("status",), 100)[-1]
    assert row.body["ref"] == "refs/heads/main"
    assert second != first
