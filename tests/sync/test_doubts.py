"""Names that nothing has: unknown subflows, cycles and secrets, over the commit and the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_server.store import flows, syncs

CALL = """  - id: call-{flow_id}
    type: io.kestra.plugin.core.flow.Subflow
    namespace: {namespace}
    flowId: {flow_id}
"""
READ = """  - id: read
    type: io.kestra.plugin.core.log.Log
    message: "{{ secret('%s') }}"
"""


def calling(flow_id: str, *called: str, namespace: str = "team") -> str:
    return flow(flow_id, "".join(CALL.format(namespace=namespace, flow_id=one) for one in called))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def told(run: dict[str, Any]) -> list[str]:
    """Place, code and message of each warning."""
    return [
        f"{one['path']}:{one['line']}:{one['column']} {one['code']} {one['message']}"
        for one in run["warnings"]
    ]


def test_a_subflow_that_is_nowhere_is_a_warning_at_its_place(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": calling("a", "b", "bb"), "b.yml": flow("b")})
    run = world.sync()
    assert run["phase"] == "succeeded"
    assert told(run) == ["a.yml:14:13 UNKNOWN_SUBFLOW there is no flow team.bb"]
    with world.database.read() as connection:
        row = syncs.run(connection, run["run"])
    assert row is not None
    assert [one["code"] for one in row.warnings] == ["UNKNOWN_SUBFLOW"]
    assert row.errors is None


def test_a_subflow_may_be_in_the_store_alone(repository: Repository, world: World) -> None:
    with world.database.begin() as tx:
        save = flows.Save(namespace="other", id="there", source=flow("there"))
        flows.save_revision(tx.connection, save, now=world.clock.now())
    repository.commit({"a.yml": calling("a", "there", namespace="other")})
    assert told(world.sync()) == []


def test_an_unchanged_flow_is_checked_again_when_what_it_calls_is_taken_away(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": calling("a", "b"), "b.yml": flow("b")})
    assert told(world.sync()) == []
    repository.commit({"b.yml": None})
    assert told(world.sync()) == ["a.yml:10:13 UNKNOWN_SUBFLOW there is no flow team.b"]


def test_a_flow_of_others_that_calls_what_is_deleted_is_named(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "gone.yml": flow("gone")})
    world.sync()
    with world.database.begin() as tx:
        save = flows.Save(namespace="team", id="mine", source=calling("mine", "gone"))
        flows.save_revision(tx.connection, save, now=world.clock.now())
    repository.commit({"gone.yml": None})
    [warning] = world.sync()["warnings"]
    assert warning["message"] == "team.mine calls team.gone, which is deleted"


def test_flows_that_call_each_other_in_a_circle_are_a_warning_at_each_call(
    repository: Repository, world: World
) -> None:
    files = {"a.yml": calling("a", "b"), "b.yml": calling("b", "c"), "c.yml": calling("c", "a")}
    repository.commit({**files, "d.yml": calling("d", "a")})
    assert told(world.sync()) == [
        "a.yml:10:13 SUBFLOW_CYCLE team.b calls back to team.a",
        "b.yml:10:13 SUBFLOW_CYCLE team.c calls back to team.b",
        "c.yml:10:13 SUBFLOW_CYCLE team.a calls back to team.c",
    ]


def test_a_circle_through_a_flow_of_the_store_is_found(
    repository: Repository, world: World
) -> None:
    with world.database.begin() as tx:
        save = flows.Save(namespace="team", id="mine", source=calling("mine", "a"))
        flows.save_revision(tx.connection, save, now=world.clock.now())
    repository.commit({"a.yml": calling("a", "mine")})
    assert told(world.sync()) == ["a.yml:10:13 SUBFLOW_CYCLE team.mine calls back to team.a"]


def test_a_secret_that_nobody_has_set_is_a_warning_until_it_is_there(
    repository: Repository, world: World
) -> None:
    world.names = {"THERE"}
    repository.commit({"a.yml": flow("a", READ % "THERE" + READ.replace("read", "r") % "NOT")})
    assert told(world.sync()) == [
        "a.yml:12:26 UNKNOWN_SECRET there is no secret 'NOT' that team may read"
    ]
    world.names |= {"NOT"}
    assert told(world.sync(force=True)) == []


def test_warnings_stop_a_source_that_is_strict(repository: Repository, world: World) -> None:
    world.start(url=f"file://{repository.path}", strict=True)
    sha = repository.commit({"a.yml": calling("a", "nowhere")})
    run = world.sync()
    assert (run["phase"], run["code"]) == ("failed", "UNKNOWN_SUBFLOW")
    assert world.heads() == {}
    repository.commit({"b.yml": flow("nowhere")})
    assert world.sync()["phase"] == "succeeded"
    assert sha


def test_names_in_included_files_are_told_at_their_lines(
    repository: Repository, world: World
) -> None:
    included = CALL.format(namespace="team", flow_id="nowhere")
    repository.commit({"a.yml": flow("a", "[[> tasks.txt]]\n"), "tasks.txt": included})
    assert told(world.sync()) == ["tasks.txt:4:13 UNKNOWN_SUBFLOW there is no flow team.nowhere"]
