"""Plans that are only shown, and plans that wait for a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_server.store import sources, syncs
from penstock_server.sync.naming import UnknownCommit, commit_named


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def test_a_dry_run_says_what_would_be_and_leaves_only_its_run(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a"), "b.yml": flow("b"), "c.yml": flow("c")})
    world.sync()
    before = world.service.status("main")
    second = repository.commit({"a.yml": flow("a", "# new\n"), "b.yml": None, "d.yml": flow("d")})
    found = world.sync(aim="plan")

    assert (found["phase"], found["commit"], found["applicable"]) == ("succeeded", second, True)
    assert {
        one["id"]: (one["action"], one["fromRevision"], one["toRevision"]) for one in found["items"]
    } == {"a": ("UPDATED", 1, 2), "b": ("PRUNED", 1, 2), "d": ("ADDED", None, 1)}
    assert {one["id"]: one["text"] for one in found["items"]}["a"] == flow("a", "# new\n")
    assert world.service.status("main") == before
    assert set(world.heads()) == {"a", "b", "c"}
    with world.database.read() as connection:
        run = syncs.run(connection, found["run"])
        source = sources.source(connection, "main")
    assert run is not None
    assert (run.dry_run, run.to_commit, run.plan_digest) == (True, second, found["digest"])
    assert source is not None
    assert (source.applied_commit, source.observed_commit) == (first, first)
    assert world.sync()["digest"] == found["digest"]


def test_a_dry_run_gives_a_flow_that_comes_back_the_revision_after_its_deletion(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    world.sync()
    repository.commit({"b.yml": None})
    world.sync()
    repository.commit({"b.yml": flow("b")})
    [item] = world.sync(aim="plan")["items"]
    assert (item["action"], item["toRevision"]) == ("ADDED", 3)
    world.sync()
    assert world.heads()["b"].revision == 3


def test_a_dry_run_of_a_bad_commit_says_what_is_wrong_and_degrades_nothing(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    repository.commit({"a.yml": flow("a").replace("log.Log", "log.Logg")})
    found = world.sync(aim="plan")
    assert (found["phase"], found["applicable"]) == ("failed", False)
    assert [error["code"] for error in found["errors"]] == ["UNKNOWN_TASK_TYPE"]
    assert world.service.status("main")["status"] == "Synced"


def test_a_dry_run_may_be_of_another_commit_than_the_newest(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a")})
    repository.commit({"a.yml": flow("a", "# two\n"), "b.yml": flow("b")})
    world.sync()
    found = world.sync(aim="plan", commit=first)
    assert (found["commit"], found["counts"]) == (first, {"updated": 1, "pruned": 1})
    assert world.service.status("main")["status"] == "Synced"


def test_looking_only_shows_what_waits(repository: Repository, world: World) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    second = repository.commit({"b.yml": flow("b")})
    assert world.sync(aim="refresh")["phase"] == "noop"
    status = world.service.status("main")
    assert (status["status"], status["observed"]["commit"]) == ("OutOfSync", second)
    assert set(world.heads()) == {"a"}
    assert world.sync()["phase"] == "succeeded"


def test_a_plan_that_has_changed_since_is_not_let_through(
    repository: Repository, world: World
) -> None:
    repository.commit({f"{name}.yml": flow(name) for name in "abc"})
    world.sync()
    repository.commit({f"{name}.yml": None for name in "abc"} | {"README": "gone"})
    refused = world.sync()
    assert refused["digest"] in refused["message"]
    assert refused["digest"] in world.service.status("main")["conditions"][0]["message"]
    assert world.sync(aim="plan")["digest"] == refused["digest"]

    repository.commit({"d.yml": flow("d")})
    changed = world.sync(confirm=refused["digest"])
    assert (changed["phase"], changed["code"]) == ("refused", "PLAN_CHANGED")
    assert changed["digest"] in changed["message"]
    assert len(world.heads()) == 3

    assert world.sync(confirm=changed["digest"])["phase"] == "succeeded"
    assert set(world.heads()) == {"d"}


def test_what_a_refused_plan_would_have_done_is_kept_with_its_run(
    repository: Repository, world: World
) -> None:
    repository.commit({f"{name}.yml": flow(name) for name in "abc"})
    world.sync()
    repository.commit({f"{name}.yml": None for name in "abc"} | {"README": "gone"})
    refused = world.sync()
    with world.database.read() as connection:
        items = syncs.items(connection, refused["run"])
    assert [(item.name, item.action, item.to_revision) for item in items] == [
        (name, "PRUNED", None) for name in "abc"
    ]


def test_commits_are_named_by_their_beginning_by_steps_back_and_by_runs(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a")})
    run = world.sync()["run"]
    world.clock.forward(minutes=1)
    second = repository.commit({"a.yml": flow("a", "# two\n")})
    world.sync()
    with world.database.read() as connection:

        def named(name: str) -> str:
            return commit_named(connection, "main", second, name)

        assert [named(name) for name in (first[:8], "~1", run, first, "f" * 40)] == [
            first,
            first,
            first,
            first,
            "f" * 40,
        ]
        for nothing in ("~2", "zz", "0000000", ""):
            with pytest.raises(UnknownCommit):
                named(nothing)
