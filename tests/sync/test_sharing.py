"""Sources of one repository and ref share a store and a fetch; lost commits are fetched again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import GitServer, Repository, serve_git
from tests.sync.world import REGISTRY, World, flow

from penstock_runner.executor.messages import Refused
from penstock_runner.git.store import BareStore
from penstock_runner.git.upkeep import store_path
from penstock_runner.jobs.checkout import check_out
from penstock_runner.tasks.api import TaskFailed
from penstock_server.sync.errands import run_errand
from penstock_server.sync.folding import folded
from penstock_server.sync.service import SyncService
from penstock_server.sync.settings import GitSettings, SourceSettings
from penstock_server.sync.sharing import say_where, store_of


class Shared(World):
    """A world of several sources whose git process has a folder of stores."""

    def __init__(self, folder: Path, *sources: dict[str, Any]) -> None:
        self.given = sources
        super().__init__(folder)
        self.stores = folder / "home" / "git"
        self.stores.mkdir(parents=True)

    def start(self, **_: Any) -> SyncService:
        self.asked.clear()
        found = tuple(SourceSettings.model_validate(one) for one in self.given)
        self.service = SyncService(
            database=self.database,
            starter=self.starter,
            clock=self.clock,
            send=self.asked.append,
            settings=GitSettings(sources=found),
            on_flows_changed=self.changed.append,
            triggers=self.triggers,
            secrets=self.secrets.get,
        )
        return self.service

    def answer(self, _: Any = None) -> str:
        """As the git process does it, each request in the store that it names."""
        request = self.asked.pop(0)
        say_where(self.stores, request["source"])
        store = self.stores / store_of(request["source"])
        answer = run_errand(request, store, REGISTRY, self.storage)
        self.service.receive(folded(answer))
        return self.answer() if answer["type"] == "moved" else str(answer["type"])

    def look(self, name: str) -> dict[str, Any]:
        results: list[dict[str, Any]] = []
        self.service.look(name, trigger="manual", wait=results.append)
        self.answer()
        return results[0]

    def bring(self, source: str, commit: str) -> bool:
        """What a job asks for, with the git process at work in between."""
        try:
            there = self.service.bringing.ask(source, commit)
        except Refused as refused:
            raise TaskFailed(str(refused)) from refused
        while self.asked:
            self.answer()
        return there


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "flows.git")
    made.commit({"a/a.yml": flow("a"), "b/b.yml": flow("b"), "data.txt": "first\n"})
    return made


@pytest.fixture
def server(tmp_path: Path, repository: Repository) -> Iterator[GitServer]:
    with serve_git(tmp_path / "served") as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, server: GitServer, repository: Repository) -> Iterator[Shared]:
    url = server.url_of(repository)
    made = Shared(
        tmp_path,
        {"id": "one", "url": url, "path": "a"},
        {"id": "two", "url": url, "path": "b"},
        {"id": "else", "url": url, "ref": "other"},
    )
    yield made
    made.close()


def test_two_folders_of_one_branch_are_two_sources_and_one_fetch(
    server: GitServer, world: Shared
) -> None:
    assert world.look("one")["counts"] == {"added": 1}
    before = len(server.requests)
    assert world.look("two")["counts"] == {"added": 1}
    posted = [path for method, path, _ in server.requests[before:] if method == "POST"]
    assert len(posted) == 1, "the refs alone are asked for"
    assert sorted(path.name for path in world.stores.iterdir()) == ["one", "two.at"]
    assert store_path(world.stores, "two") == world.stores / "one"
    assert len(list((world.stores / "one").glob("objects/pack/*.pack"))) == 1


def test_a_source_of_another_branch_has_a_store_of_its_own(
    repository: Repository, world: Shared
) -> None:
    repository.commit({"c.yml": flow("c")}, branch="other")
    world.look("one")
    world.look("else")
    assert sorted(path.name for path in world.stores.iterdir()) == ["else", "one"]


def test_a_fresh_store_keeps_what_each_of_its_sources_has_applied(
    repository: Repository, world: Shared
) -> None:
    first = repository.head().id
    world.look("one")
    world.look("two")
    repository.commit({"a/a.yml": flow("a", "# next\n")})
    world.look("one")
    for pack in (world.stores / "one").glob("objects/pack/*"):
        pack.unlink()
    last = repository.commit({"a/a.yml": flow("a", "# last\n")})
    world.look("one")
    with BareStore(world.stores / "one") as store:
        assert store.has(first)
        assert store.has(last)
    assert world.look("two")["phase"] in ("succeeded", "noop")


def test_a_commit_that_the_store_has_lost_is_fetched_again_for_a_checkout(
    tmp_path: Path, repository: Repository, world: Shared
) -> None:
    first = repository.head().id
    world.look("one")
    repository.commit({"data.txt": "second\n"})
    shutil.rmtree(world.stores / "one")
    world.look("two")
    git = {"source": "two", "commit": first}
    made = check_out(git, tmp_path / "home", tmp_path / "work", world.bring)
    assert (tmp_path / "work" / "data.txt").read_text() == "first\n"
    assert len(made) == 5


def test_a_commit_that_cannot_be_had_any_more_fails_with_its_reason(
    tmp_path: Path, repository: Repository, world: Shared
) -> None:
    world.look("one")
    for git, told in (
        ({"source": "one", "commit": "1" * 40}, "commit 1111111: .*GIT_REF_NOT_FOUND"),
        ({"source": "nobody", "commit": "1" * 40}, "there is no Git source 'nobody'"),
        ({"source": "one", "commit": "HEAD"}, "no full commit id"),
    ):
        with pytest.raises(TaskFailed, match=told):
            check_out(git, tmp_path / "home", tmp_path / "work", world.bring)


def test_a_git_process_that_never_answers_is_given_up(world: Shared) -> None:
    assert world.service.bringing.ask("one", "1" * 40) is False
    assert world.service.bringing.ask("one", "1" * 40) is False
    assert [one["type"] for one in world.asked] == ["bring"]
    world.service.bringing.tick(world.clock.forward(minutes=5))
    with pytest.raises(Refused, match="does not answer"):
        world.service.bringing.ask("one", "1" * 40)
