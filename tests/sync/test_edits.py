"""Flows of a source that somebody edits here, and conditions that settings alone bring about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_server.store import flows, sources

TITLED = "labels: {team: one}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}", edits="allow")
    yield made
    made.close()


def edit(world: World, flow_id: str, text: str) -> None:
    """What core does when a person saves a flow of a source that allows it."""
    with world.database.begin() as tx:
        saved = flows.Save(namespace="team", id=flow_id, source=text, via="ui")
        flows.save_revision(tx.connection, saved, now=world.clock.now(), drifted=True)
    world.service.edited("main")


def conditions(world: World) -> list[str]:
    return [one["type"] for one in world.service.status("main")["conditions"]]


def test_an_edit_is_shown_as_drift_and_undone_by_the_next_look(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a", TITLED), "b.yml": flow("b")})
    world.sync()
    edit(world, "a", flow("a", "# by hand\n"))
    status = world.service.status("main")
    assert (status["status"], conditions(world)) == ("OutOfSync", ["DriftDetected"])
    assert "team.a" in status["conditions"][0]["message"]

    world.service.tick(world.clock.forward(minutes=2))
    assert world.answer() == "found"

    head = world.heads()["a"]
    assert (world.text("a"), head.labels, head.drifted) == (
        flow("a", TITLED),
        {"team": "one"},
        False,
    )
    assert "by hand" in world.text("a", 2)
    assert (world.service.status("main")["status"], conditions(world)) == ("Synced", [])
    with world.database.read() as connection:
        row = sources.source(connection, "main")
    assert row is not None
    assert row.status == "Synced"


def test_without_healing_an_edit_stays_until_the_file_itself_changes(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", edits="allow", selfHeal=False)
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    world.sync()
    edit(world, "a", flow("a", "# by hand\n"))
    repository.commit({"b.yml": flow("b", "# next\n")})
    result = world.sync()
    assert result["counts"] == {"kept": 1, "drifted": 1, "updated": 1}
    assert "by hand" in world.text("a")
    assert (world.service.status("main")["status"], conditions(world)) == (
        "OutOfSync",
        ["DriftDetected"],
    )
    repository.commit({"a.yml": flow("a", "# in Git\n")})
    world.sync()
    assert world.text("a") == flow("a", "# in Git\n")
    world.sync()
    assert (world.service.status("main")["status"], conditions(world)) == ("Synced", [])
    world.close()


def test_a_dry_run_says_which_edits_a_sync_would_undo(repository: Repository, world: World) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    edit(world, "a", flow("a", "# by hand\n"))
    [item] = world.sync(aim="plan")["items"]
    assert (item["action"], item["drifted"], item["fromRevision"], item["toRevision"]) == (
        "UPDATED",
        True,
        2,
        3,
    )
    assert item["text"] == flow("a")
    assert "by hand" in world.text("a")


def test_a_flow_of_nobody_is_taken_over_or_left_as_the_source_says(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", adopt=False)
    with world.database.begin() as tx:
        saved = flows.Save(namespace="team", id="a", source=flow("a"))
        flows.save_revision(tx.connection, saved, now=world.clock.now())
    repository.commit({"a.yml": flow("a")})
    refused = world.sync()
    assert (refused["phase"], refused["errors"][0]["code"]) == ("failed", "OWNED_BY_OTHER")
    assert conditions(world) == ["OwnershipConflict"]

    world.start(url=f"file://{repository.path}")
    adopted = world.sync()
    assert adopted["counts"] == {"adopted": 1}
    head = world.heads()["a"]
    assert (head.managed_by, head.revision) == ("main", 1)
    world.close()


def test_a_rewritten_history_waits_for_a_person_where_the_source_says_so(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", forcePush="refuse")
    base = repository.commit({"a.yml": flow("a")})
    two = repository.commit({"a.yml": flow("a", "# two\n")})
    world.sync()
    repository.reset(base)
    repository.commit({"a.yml": flow("a", "# three\n")})
    for trigger in ("poll", "manual"):
        world.sync(trigger)
        status = world.service.status("main")
        assert (status["status"], status["applied"]["commit"]) == ("Degraded", two)
        assert conditions(world) == ["HistoryRewritten"]
        assert "--accept-rewrite" in status["conditions"][0]["message"]
    assert world.sync(accept_rewrite=True)["phase"] == "succeeded"
    assert "three" in world.text("a")
    repository.commit({"a.yml": flow("a", "# four\n")})
    world.sync()
    assert (world.service.status("main")["status"], conditions(world)) == ("Synced", [])
    world.close()


def test_a_source_that_checks_no_certificates_says_so_all_the_time(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", tls={"insecureSkipVerify": True})
    repository.commit({"a.yml": flow("a")})
    world.sync()
    assert (world.service.status("main")["status"], conditions(world)) == (
        "Synced",
        ["TlsUnverified"],
    )
    world.start(url=f"file://{repository.path}")
    assert conditions(world) == []
    world.close()


def test_a_source_that_is_not_to_sync_by_itself_shows_what_waits(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", auto=False)
    repository.commit({"a.yml": flow("a")})
    assert world.sync("poll")["phase"] == "noop"
    assert (world.service.status("main")["status"], world.heads()) == ("OutOfSync", {})
    assert world.sync("poll")["phase"] == "noop"
    assert world.sync()["phase"] == "succeeded"
    assert world.service.status("main")["status"] == "Synced"
    world.close()
