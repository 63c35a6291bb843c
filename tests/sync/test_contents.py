"""Contents of namespace files that nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_runner.tasks.namespace_files import CONTENTS
from penstock_server.core.contents import collect
from penstock_server.store import sources


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def kept(world: World) -> list[str]:
    found = (world.storage.read_bytes(one.uri).decode() for one in world.storage.walk(CONTENTS))
    return sorted(found)


def collected(world: World, **later: int) -> int:
    return collect(world.database, world.storage, datetime.now(UTC) + timedelta(**later))


def test_what_a_row_or_a_remembered_commit_names_stays(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1"})
    world.sync()
    repository.commit({"files/x": "2"})
    world.sync()
    assert collected(world, days=30) == 0
    assert kept(world) == ["1", "2"]


def test_what_nobody_names_goes_after_a_day(repository: Repository, world: World) -> None:
    repository.commit({"bad.yml": "id: a\nnamespace: team\n", "files/x": "never applied"})
    assert world.sync()["phase"] == "failed"
    assert collected(world, hours=23) == 0
    assert kept(world) == ["never applied"]
    assert collected(world, hours=25) == 1
    assert kept(world) == []


def test_an_empty_storage_has_nothing_to_collect(world: World) -> None:
    assert collected(world, days=1) == 0


def test_a_file_left_by_a_removed_source_keeps_its_content(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1"})
    world.sync()
    with world.database.begin() as tx:
        sources.remove_source(tx.connection, "main", now=world.clock.now())
    assert collected(world, days=30) == 0
    assert kept(world) == ["1"]
