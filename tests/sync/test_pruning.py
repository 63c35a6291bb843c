"""What a commit may delete: each case is kept or refused, and how a person lets it through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_server.store import flows

TWELVE = {f"{name}.yml": flow(name) for name in "abcdefghijkl"}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def names(world: World) -> set[str]:
    return {name for name, head in world.heads().items() if not head.deleted}


def test_half_of_the_files_gone_waits_for_a_person(repository: Repository, world: World) -> None:
    repository.commit(TWELVE)
    world.sync()
    repository.commit({f"{name}.yml": None for name in "abcdefghijk"})
    refused = world.sync()
    assert (refused["phase"], refused["code"]) == ("refused", "PRUNE_BLOCKED")
    assert "11 of 12 flows would be deleted" in refused["message"]
    assert len(names(world)) == 12
    assert world.sync(confirm="0" * 16)["code"] == "PLAN_CHANGED"
    assert world.sync(confirm=refused["digest"])["counts"] == {"pruned": 11, "unchanged": 1}
    assert names(world) == {"l"}


def test_an_empty_tree_waits_for_a_person(repository: Repository, world: World) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    repository.commit({"a.yml": None, "README": "nothing"})
    refused = world.sync()
    assert (refused["phase"], names(world)) == ("refused", {"a"})
    assert world.sync(confirm=refused["digest"])["phase"] == "succeeded"
    assert names(world) == set()


def test_a_renamed_directory_moves_nothing_where_files_say_their_namespace(
    repository: Repository, world: World
) -> None:
    repository.commit({f"old/{path}": text for path, text in TWELVE.items()})
    world.sync()
    renamed = {f"old/{path}": None for path in TWELVE}
    repository.commit({**renamed, **{f"new/{path}": text for path, text in TWELVE.items()}})
    assert world.sync()["counts"] == {"unchanged": 12}


def test_a_renamed_directory_that_names_the_namespace_waits_for_a_person(
    repository: Repository, world: World
) -> None:
    mapping = {"mode": "directory", "prefix": "company"}
    world.start(url=f"file://{repository.path}", mapping=mapping)
    bare = {path: text.replace("namespace: team\n", "") for path, text in TWELVE.items()}
    repository.commit({f"old/{path}": text for path, text in bare.items()})
    world.sync()
    renamed = {f"old/{path}": None for path in bare}
    repository.commit({**renamed, **{f"new/{path}": text for path, text in bare.items()}})
    refused = world.sync()
    assert refused["phase"] == "refused"
    plan = world.sync(aim="plan")
    moved = [item["movedTo"] for item in plan["items"] if item["action"] == "PRUNED"]
    assert moved == [["company.new", name] for name in "abcdefghijkl"]
    assert world.sync(confirm=refused["digest"])["counts"] == {"added": 12, "pruned": 12}


def test_a_mistyped_branch_is_an_error_and_deletes_nothing(
    repository: Repository, world: World
) -> None:
    repository.commit(TWELVE)
    world.sync()
    world.start(url=f"file://{repository.path}", ref="mian")
    failed = world.sync()
    assert failed["code"] == "GIT_REF_NOT_FOUND"
    assert "main" in failed["message"]
    assert len(names(world)) == 12


def test_a_broken_file_keeps_its_flows_while_others_are_deleted(
    repository: Repository, world: World
) -> None:
    world.start(url=f"file://{repository.path}", onInvalid="SKIP_FILE")
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b"), "c.yml": flow("c")})
    world.sync()
    repository.commit({"a.yml": None, "b.yml": "id: b\nnamespace: team\ntasks: [\n"})
    run = world.sync()
    assert run["counts"] == {"pruned": 1, "kept_invalid": 1, "unchanged": 1}
    assert names(world) == {"b", "c"}


def test_protected_namespaces_lose_nothing(repository: Repository, world: World) -> None:
    watched = flow("watched").replace("namespace: team", "namespace: system")
    repository.commit({"a.yml": flow("a"), "s.yml": watched})
    world.sync()
    repository.commit({"s.yml": None})
    assert world.sync()["counts"] == {"protected": 1, "unchanged": 1}
    assert names(world) == {"a", "watched"}


def test_flows_of_others_and_of_nobody_are_never_deleted(
    repository: Repository, world: World
) -> None:
    with world.database.begin() as tx:
        for name, owner in (("theirs", "other"), ("free", None)):
            save = flows.Save(namespace="team", id=name, source=flow(name))
            flows.save_revision(tx.connection, save, now=world.clock.now())
            flows.set_managed(tx.connection, [("team", name)], owner, now=world.clock.now())
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    world.sync()
    repository.commit({"b.yml": None})
    assert world.sync()["counts"] == {"pruned": 1, "unchanged": 1}
    assert names(world) == {"a", "theirs", "free"}


@pytest.mark.parametrize(
    "change",
    [{"path": "one"}, {"include": ["one/**"]}, {"exclude": ["two/**"]}],
    ids=["path", "include", "exclude"],
)
def test_other_settings_delete_only_when_a_person_says_so(
    repository: Repository, world: World, change: dict[str, object]
) -> None:
    repository.commit({"one/a.yml": flow("a"), "two/b.yml": flow("b")})
    world.sync()
    world.start(url=f"file://{repository.path}", **change)
    refused = world.sync()
    assert (refused["phase"], names(world)) == ("refused", {"a", "b"})
    assert "reads something else than before" in refused["message"]
    assert world.sync(confirm=refused["digest"])["phase"] == "succeeded"
    assert names(world) == {"a"}
