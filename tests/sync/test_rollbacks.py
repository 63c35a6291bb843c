"""Going back to a commit, staying there, and following the repository again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import Repository, serve_git
from tests.sync.world import World, flow

from penstock_server.store import sources, syncs
from penstock_server.sync.asked import Pin
from penstock_server.sync.pins import BadMoment, NotPinned

PUSH = """triggers:
  - id: pushed
    type: io.penstock.trigger.Push
"""
TITLED = "labels: {team: one}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def rollback(world: World, to: str, **more: Any) -> dict[str, Any]:
    """Roll back, to the end; what those who wait are told."""
    results: list[dict[str, Any]] = []
    confirm = more.pop("confirm", None)
    world.service.rollback("main", to, Pin(**more), confirm=confirm, wait=results.append)
    world.answer()
    [result] = results
    world.clock.forward(seconds=1)
    return result


def resume(world: World) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    world.service.resume("main", actor="ana", wait=results.append)
    world.answer()
    [result] = results
    return result


def poll(world: World) -> None:
    world.service.tick(world.clock.forward(minutes=2))
    while world.asked:
        world.answer()


def test_going_back_needs_no_network_and_restores_texts_labels_and_triggers(
    repository: Repository, world: World, tmp_path: Path
) -> None:
    files = {"a.yml": flow("a", TITLED + PUSH), "b.yml": flow("b"), "same.yml": flow("same")}
    first = repository.commit(files)
    world.sync()
    world.clock.forward(minutes=1)
    repository.commit({"a.yml": flow("a"), "b.yml": None, "c.yml": flow("c")})
    world.sync()
    repository.path.rename(tmp_path / "gone.git")
    world.triggers.saved.clear()

    result = rollback(world, "~1", by="ana", reason="the loader broke")

    assert (result["phase"], result["commit"]) == ("succeeded", first)
    assert result["counts"] == {"added": 1, "pruned": 1, "unchanged": 1, "updated": 1}
    heads = world.heads()
    assert set(heads) == {"a", "b", "same"}
    assert (heads["a"].revision, heads["a"].labels, heads["b"].revision) == (3, {"team": "one"}, 3)
    assert (world.text("a"), world.text("b")) == (files["a.yml"], files["b.yml"])
    assert {one.id: len(one.triggers) for one in world.triggers.saved} == {"a": 1, "b": 0}
    with world.database.read() as connection:
        run = syncs.run(connection, result["run"])
        row = sources.source(connection, "main")
    assert run is not None
    assert (run.trigger, run.actor) == ("rollback", "ana")
    assert row is not None
    assert (row.status, row.pinned_commit, row.pinned_by) == ("Suspended", first, "ana")
    [condition] = world.service.status("main")["conditions"]
    assert (condition["type"], condition["message"]) == (
        "Pinned",
        f"pinned to {first[:7]} by ana: the loader broke",
    )


def test_a_pinned_source_applies_nothing_and_says_how_far_behind_it_is(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a")})
    world.sync()
    world.clock.forward(minutes=1)
    repository.commit({"a.yml": flow("a", "# two\n")})
    world.sync()
    rollback(world, first[:10])
    poll(world)
    assert world.service.status("main")["observed"]["behind"] == 1
    head = repository.commit({"a.yml": flow("a", "# three\n")})
    poll(world)

    status = world.service.status("main")
    assert (status["status"], status["applied"]["commit"]) == ("Suspended", first)
    assert (status["observed"]["commit"], status["observed"]["behind"]) == (head, 2)
    assert world.text("a") == flow("a")
    assert world.sync()["phase"] == "noop"
    assert world.text("a") == flow("a")


def test_resuming_applies_what_the_repository_has_now(repository: Repository, world: World) -> None:
    first = repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    world.sync()
    world.clock.forward(minutes=1)
    head = repository.commit({"a.yml": flow("a", "# two\n"), "b.yml": None})
    world.sync()
    rollback(world, first)
    poll(world)
    result = resume(world)
    assert (result["phase"], result["commit"]) == ("succeeded", head)
    assert world.service.status("main")["status"] == "Synced"
    assert world.service.status("main")["conditions"] == []
    assert (world.text("a"), set(world.heads())) == (flow("a", "# two\n"), {"a"})
    with pytest.raises(NotPinned):
        world.service.resume("main")


def test_a_rollback_ends_by_itself_when_it_was_given_a_time(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a")})
    world.sync()
    world.clock.forward(minutes=1)
    head = repository.commit({"a.yml": flow("a", "# two\n")})
    world.sync()
    until = world.clock.now() + timedelta(hours=1)
    rollback(world, first, until=until)
    poll(world)
    assert world.service.status("main")["applied"]["commit"] == first
    world.start(url=f"file://{repository.path}")
    world.clock.at = until
    poll(world)
    status = world.service.status("main")
    assert (status["status"], status["applied"]["commit"]) == ("Synced", head)
    with pytest.raises(BadMoment):
        rollback(world, first, until=until)


def test_a_rollback_starts_nothing_that_waits_for_pushes(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a", PUSH)})
    world.sync()
    world.clock.forward(minutes=1)
    repository.commit({"x": "y"})
    world.sync()
    assert len(world.starter.started) == 1
    rollback(world, first)
    poll(world)
    resume(world)
    assert len(world.starter.started) == 1


def test_a_history_that_ends_earlier_now_starts_nothing(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a", PUSH + "    initial: true\n")})
    repository.commit({"x": "y"})
    world.sync()
    before = len(world.starter.started)
    repository.reset(first)
    assert world.sync()["commit"] == first
    assert len(world.starter.started) == before


def test_an_old_commit_that_would_not_be_taken_today_is_refused(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a")})
    world.sync()
    world.clock.forward(minutes=1)
    second = repository.commit({"a.yml": flow("a", "# two\n")})
    world.sync()
    world.start(url=f"file://{repository.path}", namespaces=["other.*"])
    result = rollback(world, first)
    assert (result["phase"], result["errors"][0]["code"]) == ("failed", "NAMESPACE_NOT_ALLOWED")
    status = world.service.status("main")
    assert (status["status"], status["applied"]["commit"]) == ("Synced", second)


def test_a_rollback_that_deletes_much_waits_for_a_person(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a")})
    world.sync()
    world.clock.forward(minutes=1)
    repository.commit({f"f{n}.yml": flow(f"f{n}") for n in range(20)})
    world.sync()
    refused = rollback(world, first)
    assert refused["phase"] == "refused"
    assert world.service.status("main")["status"] == "Synced"
    assert rollback(world, first, confirm=refused["digest"])["phase"] == "succeeded"
    assert set(world.heads()) == {"a"}


def test_a_commit_that_was_never_applied_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    repository = Repository(tmp_path / "served" / "flows.git")
    with serve_git(tmp_path / "served") as server:
        world = World(tmp_path, url=server.url_of(repository), allowHttp=True)
        old = repository.commit({"a.yml": flow("a")})
        repository.commit({"a.yml": flow("a", "# two\n")})
        world.sync()
        result = rollback(world, old)
        assert (result["phase"], result["commit"]) == ("succeeded", old)
        assert world.text("a") == flow("a")
        missing = rollback(world, "f" * 40)
        assert (missing["phase"], missing["code"]) == ("failed", "COMMIT_UNREACHABLE")
        assert world.service.status("main")["failures"] == 0
        assert world.service.status("main")["applied"]["commit"] == old
        world.close()
