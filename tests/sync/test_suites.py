"""Test suites of repositories: planned, applied, owned and pruned with the flows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_server.store import sources, syncs, test_suites
from penstock_server.store.test_suites import TestSuite
from penstock_server.sync.asked import Pin

SUITE = """id: {id}
namespace: team
flowId: a
testCases:
  - id: greets
    type: io.kestra.core.tests.flow.UnitTest
    assertions: [{{value: "{{{{ outputs.hello }}}}", equalTo: {expected}}}]
"""


def suite(name: str = "checks", expected: str = "hi") -> str:
    return SUITE.format(id=name, expected=expected)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def stored(world: World) -> dict[str, TestSuite]:
    with world.database.read() as connection:
        found, _ = test_suites.page(connection, limit=100)
    return {one.id: one for one in found}


def items(world: World, run: str) -> list[tuple[str, str, str]]:
    with world.database.read() as connection:
        return [(one.kind, one.name, one.action) for one in syncs.items(connection, run)]


def test_suites_come_with_the_flows_of_their_commit_and_go_with_their_file(
    repository: Repository, world: World
) -> None:
    sha = repository.commit({"a.yml": flow("a"), "tests/a.yml": suite()})
    run = world.sync()
    assert run["counts"] == {"added": 2}
    one = stored(world)["checks"]
    assert (one.flow_id, one.managed_by, one.commit_sha) == ("a", "main", sha)
    assert (one.git_path, one.source) == ("tests/a.yml", suite())
    assert items(world, run["run"]) == [("flow", "a", "ADDED"), ("test", "checks", "ADDED")]

    repository.commit({"tests/a.yml": suite(expected="hello")})
    assert world.sync()["counts"] == {"updated": 1, "unchanged": 1}
    assert "equalTo: hello" in stored(world)["checks"].source

    repository.commit({"tests/a.yml": None})
    run = world.sync()
    assert items(world, run["run"]) == [("test", "checks", "PRUNED")]
    assert stored(world) == {}
    assert set(world.heads()) == {"a"}


def test_a_suite_in_a_file_that_has_not_changed_stays(repository: Repository, world: World) -> None:
    repository.commit({"a.yml": flow("a"), "t.yml": suite()})
    world.sync()
    repository.commit({"b.yml": flow("b")})
    assert world.sync()["counts"] == {"added": 1, "unchanged": 2}
    assert set(stored(world)) == {"checks"}


def test_going_back_brings_the_suites_of_that_commit_back(
    repository: Repository, world: World
) -> None:
    first = repository.commit({"a.yml": flow("a"), "t.yml": suite(), "u.yml": suite("other")})
    world.sync()
    repository.commit({"t.yml": suite(expected="hello"), "u.yml": None})
    world.sync()
    world.service.rollback("main", first, Pin())
    world.answer()
    assert {name: one.source for name, one in stored(world).items()} == {
        "checks": suite(),
        "other": suite("other"),
    }


def test_a_suite_of_another_source_is_a_conflict(repository: Repository, world: World) -> None:
    with world.database.begin() as tx:
        theirs = TestSuite(
            namespace="team",
            id="checks",
            flow_id="a",
            source="",
            digest="",
            updated_at=world.clock.now(),
            managed_by="other",
        )
        test_suites.put(tx.connection, [theirs])
    repository.commit({"a.yml": flow("a"), "t.yml": suite()})
    run = world.sync()
    assert run["code"] == "OWNED_BY_OTHER"
    assert "test suite team.checks belongs to source 'other'" in run["message"]


def test_a_suite_with_faults_stops_the_commit_at_its_places(
    repository: Repository, world: World
) -> None:
    bad = suite().replace("flowId: a", "flowId: 7") + "  - id: greets\n"
    repository.commit({"a.yml": flow("a"), "t.yml": bad})
    run = world.sync()
    told = [(one["path"], one["line"], one["code"]) for one in run["errors"]]
    assert told == [("t.yml", 3, "BAD_ID"), ("t.yml", 8, "DUPLICATE_TEST_ID")]
    assert world.heads() == {}


def test_suites_are_left_alone_where_that_is_said(repository: Repository, world: World) -> None:
    world.start(url=f"file://{repository.path}", tests=False)
    repository.commit({"a.yml": flow("a"), "t.yml": suite()})
    assert world.sync()["counts"] == {"added": 1}
    assert stored(world) == {}


def test_a_repository_may_leave_its_suites_out(repository: Repository, world: World) -> None:
    files = {"a.yml": flow("a"), "t.yml": suite()}
    repository.commit({**files, ".penstock.yml": "tests: false\n"})
    assert world.sync()["counts"] == {"added": 1}
    repository.commit({".penstock.yml": "tests: true\n"})
    assert world.sync()["counts"] == {"added": 1, "unchanged": 1}


def test_a_mapping_moves_a_suite_with_its_flow(repository: Repository, world: World) -> None:
    mapping = {"mode": "rewrite", "target": "prod"}
    world.start(url=f"file://{repository.path}", mapping=mapping)
    repository.commit({"a.yml": flow("a"), "t.yml": suite()})
    world.sync()
    one = stored(world)["checks"]
    assert one.namespace == "prod"
    assert one.source == suite().replace("namespace: team", "namespace: prod")


def test_a_removed_source_leaves_its_suites_to_nobody(repository: Repository, world: World) -> None:
    repository.commit({"a.yml": flow("a"), "t.yml": suite()})
    world.sync()
    with world.database.begin() as tx:
        sources.remove_source(tx.connection, "main", now=world.clock.now())
    assert stored(world)["checks"].managed_by is None
