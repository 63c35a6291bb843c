"""Histories that do not simply go on: rewritten, shortened, deleted, begun anew, or a tag."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dulwich.repo import Repo
from tests.git_http import Repository
from tests.sync.world import World, flow


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def conditions(world: World) -> list[str]:
    return [one["type"] for one in world.service.status("main")["conditions"]]


def test_a_rewritten_branch_is_followed_and_said_until_the_next_commit(
    repository: Repository, world: World
) -> None:
    base = repository.commit({"a.yml": flow("a")})
    repository.commit({"a.yml": flow("a", "# two\n")})
    world.sync()
    repository.reset(base)
    repository.commit({"a.yml": flow("a", "# three\n")})
    assert world.sync()["phase"] == "succeeded"
    assert (world.text("a"), conditions(world)) == (flow("a", "# three\n"), ["HistoryRewritten"])
    repository.commit({"b.yml": flow("b")})
    world.sync()
    assert conditions(world) == []


def test_a_branch_that_ends_earlier_now_is_gone_back_to(
    repository: Repository, world: World
) -> None:
    base = repository.commit({"a.yml": flow("a")})
    repository.commit({"a.yml": flow("a", "# two\n"), "b.yml": flow("b")})
    world.sync()
    repository.reset(base)
    assert world.sync()["phase"] == "succeeded"
    assert world.text("a") == flow("a")
    assert conditions(world) == ["HistoryRewritten"]


def test_a_branch_that_is_deleted_keeps_everything_running(
    repository: Repository, world: World
) -> None:
    world.start(url=f"file://{repository.path}", ref="release")
    sha = repository.commit({"a.yml": flow("a")}, branch="release")
    repository.commit({"a.yml": flow("a")})
    world.sync()
    repo = Repo(str(repository.path))
    del repo.refs[b"refs/heads/release"]
    repo.close()
    assert world.sync()["code"] == "GIT_REF_NOT_FOUND"
    assert conditions(world) == ["RefMissing"]
    status = world.service.status("main")
    assert status["applied"]["commit"] == sha
    assert set(world.heads()) == {"a"}


def test_a_source_that_follows_a_tag_instead_of_a_branch_goes_to_its_commit(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a")})
    repository.tag("v1.0", first)
    repository.commit({"a.yml": flow("a", "# two\n")})
    world.sync()
    world.start(url=f"file://{repository.path}", tag="v*")
    assert world.sync()["commit"] == first
    assert world.text("a") == flow("a")
    latest = repository.commit({"a.yml": flow("a", "# three\n")})
    repository.tag("v1.1", latest)
    assert world.sync()["commit"] == latest


def test_a_branch_that_begins_anew_is_a_rewritten_history(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    world.sync()
    fresh = repository.commit({"a.yml": flow("a"), "c.yml": flow("c")}, orphan=True)
    run = world.sync()
    assert (run["commit"], run["counts"]) == (fresh, {"added": 1, "pruned": 1, "unchanged": 1})
    assert conditions(world) == ["HistoryRewritten"]
