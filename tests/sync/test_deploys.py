from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sync.world import NOON, REGISTRY, World, flow

from penstock_server.api.deploys import read
from penstock_server.store import flows, sources, syncs
from penstock_server.sync.deploys import Deploy, DeployRefused

PUSH = """triggers:
  - id: pushed
    type: io.penstock.trigger.Push
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{tmp_path / 'none.git'}")
    yield made
    made.close()


def deploy(
    world: World, files: dict[str, str], *, sha: str = "a", source: str = "ci", **more: Any
) -> dict[str, Any]:
    """Deploy as the web process and core do together; what the deployer is told."""
    body = {"source": source, "commit": sha * 40, "ref": "refs/heads/main"}
    sent = read(body, files, catalogue=REGISTRY, actor="ana", now=NOON, strict=False)
    results: list[Any] = []
    asked = Deploy(source=sent.source, found=sent.found, url=sent.url, actor="ana", **more)
    world.service.apply_files(asked, results.append)
    [result] = results
    assert isinstance(result, dict), result
    return result


def test_a_deploy_is_written_with_its_run_its_commit_and_its_owner(world: World) -> None:
    result = deploy(world, {"a.yml": flow("a"), "b.yml": flow("b")})
    assert (result["counts"], result["changed"]) == ({"added": 2}, True)
    with world.database.read() as connection:
        run = syncs.run(connection, result["run"])
        revision = flows.revision(connection, "team", "a")
        source = sources.source(connection, "ci")
    assert run is not None
    assert (run.trigger, run.actor, run.phase, run.dry_run) == ("ci", "ana", "succeeded", False)
    assert revision is not None
    assert revision.commit is not None
    assert (revision.commit.sha, revision.commit.path) == ("a" * 40, "a.yml")
    assert source is not None
    assert (source.applied_commit, source.origin, source.status) == ("a" * 40, "deploy", "Synced")
    assert {head.managed_by for head in world.heads().values()} == {"ci"}


def test_a_dry_run_writes_its_run_and_nothing_else(world: World) -> None:
    result = deploy(world, {"a.yml": flow("a")}, dry_run=True)
    assert (result["dryRun"], result["counts"]) == (True, {"added": 1})
    assert world.heads() == {}
    with world.database.read() as connection:
        run = syncs.run(connection, result["run"])
        assert run is not None
        assert run.dry_run
        assert sources.source(connection, "ci") is None


def test_only_what_the_same_source_has_sent_is_deleted(world: World) -> None:
    deploy(world, {"a.yml": flow("a"), "b.yml": flow("b")}, source="one")
    deploy(world, {"c.yml": flow("c")}, source="two")
    assert deploy(world, {"a.yml": flow("a")}, source="one", sha="b")["counts"] == {
        "kept": 1,
        "unchanged": 1,
    }
    pruned = deploy(world, {"a.yml": flow("a")}, source="one", sha="c", prune=True)
    assert pruned["counts"] == {"pruned": 1, "unchanged": 1}
    assert {name for name, head in world.heads().items() if not head.deleted} == {"a", "c"}
    assert world.triggers.deleted == [("team", "b")]


def test_a_flow_that_waits_for_pushes_starts_with_the_next_deploy(world: World) -> None:
    deploy(world, {"a.yml": flow("a", PUSH)})
    assert world.starter.started == []
    deploy(world, {"a.yml": flow("a", PUSH)}, sha="b")
    deploy(world, {"a.yml": flow("a", PUSH)}, sha="b")
    [start] = world.starter.started
    assert start.trigger is not None
    assert start.trigger.variables["commit"] == "b" * 40


def test_a_source_that_is_synced_takes_no_deploys(world: World) -> None:
    with pytest.raises(DeployRefused, match="synced from Git"):
        deploy(world, {"a.yml": flow("a")}, source="main")


def test_a_flow_sent_twice_names_both_files(world: World) -> None:
    with pytest.raises(DeployRefused) as refused:
        deploy(world, {"a.yml": flow("a"), "b.yml": flow("a")})
    [fault] = refused.value.faults
    assert (refused.value.status, fault.code) == (422, "DUPLICATE_FLOW")
    assert "a.yml" in fault.message
    assert world.heads() == {}
