"""Deliveries of webhooks as core hears them: looks, replays, and whether webhooks work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_server.store import syncs
from penstock_server.sync.hearing import Delivery

WEBHOOK = {"secretSecret": "HOOK"}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "flows.git")
    made.commit({"a.yml": flow("a")})
    return made


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}", webhook=WEBHOOK)
    made.service.tick(made.clock.now())
    assert made.answer() == "found"
    yield made
    made.close()


def deliver(world: World, delivery_id: str | None = None, **more: Any) -> dict[str, Any]:
    answers: list[Any] = []
    one = Delivery(source_id="main", forge="github", event="push", delivery_id=delivery_id, **more)
    world.service.heard(one, answers.append)
    [answer] = answers
    return answer


def conditions(world: World) -> list[str]:
    return [one["type"] for one in world.service.status("main")["conditions"]]


def wait(world: World) -> float:
    """Seconds until the next poll."""
    return (world.service.status("main")["next"] - world.clock.now()).total_seconds()


def poll(world: World) -> str:
    world.clock.at = max(world.clock.at, world.service.status("main")["next"])
    world.service.tick(world.clock.now())
    return world.answer()


def test_a_thousand_deliveries_of_one_second_make_two_looks(world: World) -> None:
    looks = 0
    for number in range(1000):
        assert deliver(world, f"d{number}") == {"queued": True}
        world.service.tick(world.clock.forward(milliseconds=1))
        if number % 50 == 0 and world.asked:
            world.answer()
            looks += 1
    while world.clock.at < world.service.status("main")["observed"]["at"].replace(minute=1):
        world.service.tick(world.clock.forward(milliseconds=100))
        if world.asked:
            world.answer()
            looks += 1
    assert looks == 2


def test_hints_that_never_end_make_one_look_in_two_seconds(world: World) -> None:
    looks = 0
    for number in range(100):
        deliver(world, f"d{number}")
        if world.asked:
            world.answer()
            looks += 1
        world.service.tick(world.clock.forward(milliseconds=100))
        if world.asked:
            world.answer()
            looks += 1
    assert looks in (5, 6)


def test_the_same_delivery_again_is_known_and_makes_no_look(world: World) -> None:
    assert deliver(world, "d1") == {"queued": True}
    world.answer()
    world.clock.forward(days=6)
    assert deliver(world, "d1") == {"duplicate": True}
    assert world.asked == []
    with world.database.read() as connection:
        [row] = syncs.deliveries(connection, "main")
    assert (row.delivery_id, row.forge, row.verdict) == ("d1", "github", "queued")


def test_deliveries_are_forgotten_after_a_week(world: World) -> None:
    deliver(world, "d1")
    world.answer()
    world.clock.forward(days=8)
    deliver(world, "d2")
    with world.database.read() as connection:
        assert [row.delivery_id for row in syncs.deliveries(connection, "main")] == ["d2"]


def test_a_ping_is_remembered_and_makes_no_look(world: World) -> None:
    deliver(world, "p1", ping=True)
    assert world.asked == []
    with world.database.read() as connection:
        [row] = syncs.deliveries(connection, "main")
    assert row.verdict == "pong"


def test_polls_become_rare_once_a_webhook_named_the_commit_that_was_found(
    repository: Repository, world: World
) -> None:
    assert wait(world) < 100
    deliver(world, "d1", after="f" * 40)
    assert world.answer() == "seen"
    assert wait(world) < 100, "a commit that is not there says nothing of webhooks"
    world.clock.forward(seconds=3)
    sha = repository.commit({"b.yml": flow("b")})
    deliver(world, "d2", after=sha)
    assert world.answer() == "found"
    assert wait(world) >= 480


def test_a_webhook_that_polls_outrun_three_times_is_silent_until_it_speaks(
    repository: Repository, world: World
) -> None:
    for name in "bc":
        repository.commit({f"{name}.yml": flow(name)})
        assert poll(world) == "found"
        assert conditions(world) == []
    repository.commit({"d.yml": flow("d")})
    poll(world)
    assert conditions(world) == ["WebhookSilent"]
    [condition] = world.service.status("main")["conditions"]
    assert "/api/v1/git/webhooks/main" in condition["message"]
    assert world.service.status("main")["status"] == "Synced"
    deliver(world, "d1")
    assert conditions(world) == []


def test_three_bad_signatures_in_an_hour_are_a_condition_that_ends_with_the_hour(
    world: World,
) -> None:
    world.service.rejected("main", 1)
    world.clock.forward(minutes=61)
    world.service.rejected("main", 2)
    assert conditions(world) == []
    world.service.rejected("main", 1)
    assert conditions(world) == ["WebhookRejected"]
    [condition] = world.service.status("main")["conditions"]
    assert "3 deliveries" in condition["message"]
    poll(world)
    assert conditions(world) == ["WebhookRejected"]
    world.clock.forward(hours=1)
    poll(world)
    assert conditions(world) == []
