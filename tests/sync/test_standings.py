"""One word a flow: how it stands beside what its source has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_server.api.git_flows import standings, status_of_flow
from penstock_server.store import flows, queries


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}", edits="allow")
    yield made
    made.close()


def told(world: World) -> dict[str, str]:
    with world.database.read() as connection:
        return {one.id: one.status for one in standings(connection, "main")}


def test_flows_are_in_sync_out_of_sync_invalid_or_missing(
    repository: Repository, world: World
) -> None:
    repository.commit({f"{name}.yml": flow(name) for name in ("a", "b", "c", "d")})
    world.sync()
    assert set(told(world).values()) == {"InSync"}
    with world.database.begin() as tx:
        now = world.clock.now()
        edit = flows.Save(namespace="team", id="b", source=flow("b", "# by hand\n"))
        flows.save_revision(tx.connection, edit, now=now, drifted=True)
        flows.mark_deleted(tx.connection, [("team", "d")], now=now)
    repository.commit({"c.yml": flow("c").replace("log.Log", "log.Logg")})
    world.sync()
    assert told(world) == {
        "a": "InSync",
        "b": "OutOfSync",
        "c": "Invalid in Git",
        "d": "Missing",
    }


def test_a_flow_of_nobody_is_unmanaged(world: World) -> None:
    with world.database.begin() as tx:
        save = flows.Save(namespace="team", id="mine", source=flow("mine"))
        flows.save_revision(tx.connection, save, now=world.clock.now())
        record = queries.flow(tx.connection, "team", "mine")
        assert record is not None
        assert status_of_flow(tx.connection, record) == "Unmanaged"
