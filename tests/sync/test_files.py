"""Files of namespaces in a sync: written with the flows, owned, and pruned behind guards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.git_http import EXECUTABLE, FOLDER, Repository
from tests.sync.world import World, flow

from penstock_runner.tasks.namespace_files import FileRow, ManagedByGit, NamespaceStorage
from penstock_runner.tasks.places import namespace_file, namespace_files
from penstock_runner.tasks.storage import FileMissing
from penstock_server.store import namespace_files as stored
from penstock_server.store import sources, syncs
from penstock_server.store.flow_batches import Outdated
from penstock_server.sync.asked import Pin
from penstock_server.sync.desired import Contents, FileContent
from penstock_server.sync.file_changes import write_files
from penstock_server.sync.plan import Action, Desired, Item, SyncPlan


class Rows:
    """The rows as the API sees them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def files(self, namespace: str) -> Mapping[str, FileRow]:
        with self._world.database.read() as connection:
            found = stored.of_namespace(connection, namespace)
        return {file.path: file.row for file in found}

    def release(self, namespace: str, path: str) -> None:
        with self._world.database.begin() as tx:
            stored.release(tx.connection, namespace, path)


def seen(world: World) -> NamespaceStorage:
    return NamespaceStorage(world.storage, Rows(world))


def paths(world: World, namespace: str = "team") -> dict[str, str]:
    """Path -> content of all that is in a namespace."""
    storage, top = seen(world), namespace_files(namespace)
    return {
        one.uri.removeprefix(top): storage.read_bytes(one.uri).decode() for one in storage.walk(top)
    }


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def items(world: World, run: str) -> list[tuple[str, str, str]]:
    with world.database.read() as connection:
        found = syncs.items(connection, run)
    return [(one.kind, one.action, one.name) for one in found]


def test_files_are_there_with_the_flows_of_their_commit(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "files/lib/x.py": "x = 1", "files/y.sql": "select 1"})
    result = world.sync()
    assert (result["phase"], result["counts"]) == ("succeeded", {"added": 3})
    assert paths(world) == {"/lib/x.py": "x = 1", "/y.sql": "select 1"}
    assert items(world, result["run"]) == [
        ("file", "ADDED", "/lib/x.py"),
        ("file", "ADDED", "/y.sql"),
        ("flow", "ADDED", "a"),
    ]


def test_a_dry_run_tells_of_files_and_points_at_nothing(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1"})
    told = world.sync(aim="plan")
    [file, _] = told["items"]
    assert file == {
        "kind": "file",
        "action": "ADDED",
        "namespace": "team",
        "id": "/x",
        "path": "files/x",
        "fromRevision": None,
        "toRevision": None,
        "drifted": False,
        "movedTo": None,
    }
    assert paths(world) == {}


def test_a_later_commit_changes_adds_and_removes_files(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1", "files/y": "1", "files/z": "1"})
    world.sync()
    repository.commit({"files/x": "2", "files/y": None, "files/new": "n"})
    result = world.sync()
    assert result["counts"] == {"added": 1, "pruned": 1, "unchanged": 2, "updated": 1}
    assert paths(world) == {"/x": "2", "/z": "1", "/new": "n"}
    assert world.sync(force=True)["counts"] == {"unchanged": 4}


def test_one_bad_flow_keeps_the_files_of_its_commit_away(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1"})
    world.sync()
    repository.commit({"a.yml": "id: a\nnamespace: team\n", "files/x": "2", "files/y": "2"})
    assert world.sync()["phase"] == "failed"
    assert paths(world) == {"/x": "1"}


def test_a_bad_file_keeps_the_flows_of_its_commit_away(
    repository: Repository, world: World
) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    repository.commit({"a.yml": flow("a"), "files/x": pointer})
    result = world.sync()
    assert (result["phase"], result["errors"][0]["code"]) == ("failed", "LFS_POINTER")
    assert dict(world.heads()) == {}


def test_a_file_whose_new_state_cannot_be_read_keeps_its_old_one(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", onInvalid="SKIP_FILE")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    repository.commit({"a.yml": flow("a"), "files/x": "1", "files/y": "1"})
    world.sync()
    repository.commit({"files/x": pointer, "files/y": "2"})
    assert world.sync()["counts"] == {"unchanged": 1, "updated": 1, "kept_invalid": 1}
    assert paths(world) == {"/x": "1", "/y": "2"}
    world.close()


def test_deleting_most_of_the_files_needs_a_person(repository: Repository, world: World) -> None:
    many = {f"files/{n:02}": str(n) for n in range(20)}
    repository.commit({"a.yml": flow("a"), **many})
    world.sync()
    repository.commit(dict.fromkeys(list(many)[:15]))
    refused = world.sync()
    assert refused["phase"] == "refused"
    assert len(paths(world)) == 20
    assert world.sync(confirm=refused["digest"])["counts"]["pruned"] == 15
    assert len(paths(world)) == 5


def test_the_last_file_of_a_source_with_flows_may_go(repository: Repository, world: World) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1"})
    world.sync()
    repository.commit({"files/x": None})
    assert world.sync()["counts"] == {"pruned": 1, "unchanged": 1}
    assert paths(world) == {}


def test_files_do_not_hide_that_all_flows_are_gone(repository: Repository, world: World) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1"})
    world.sync()
    repository.commit({"a.yml": None})
    assert "no flow" in world.sync()["message"]


def test_a_managed_file_is_changed_in_git_only_and_others_freely(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "files/lib/x": "1"})
    world.sync()
    storage = seen(world)
    for change in (
        lambda: storage.put_bytes(namespace_file("team", "lib/x"), b"mine"),
        lambda: storage.delete(namespace_file("team", "lib/x")),
        lambda: storage.delete(namespace_file("team", "lib")),
        lambda: storage.delete_below(namespace_files("team")),
    ):
        with pytest.raises(ManagedByGit, match="kept by Git source 'main'"):
            change()
    storage.put_bytes(namespace_file("team", "lib/mine"), b"mine")
    assert paths(world) == {"/lib/mine": "mine", "/lib/x": "1"}
    assert storage.delete(namespace_file("team", "lib/mine"))


def test_a_folder_of_managed_files_is_a_folder(repository: Repository, world: World) -> None:
    repository.commit({"a.yml": flow("a"), "files/lib/x": "12"})
    world.sync()
    storage = seen(world)
    assert storage.facts(namespace_file("team", "lib")).directory
    assert storage.facts(namespace_file("team", "lib/x")).size == 2
    assert storage.exists(namespace_file("team", "lib"))
    assert not storage.exists(namespace_file("team", "li"))
    with pytest.raises(FileMissing):
        storage.facts(namespace_file("team", "li"))


def test_an_executable_file_is_executable_where_it_is_fetched_to(
    tmp_path: Path, repository: Repository, world: World
) -> None:
    folder = repository.tree((b"run.sh", EXECUTABLE, repository.blob(b"ls")))
    repository.commit_tree(repository.tree((b"files", FOLDER, folder)))
    world.start(url=f"file://{repository.path}", namespaces=["team"])
    world.sync()
    seen(world).fetch(namespace_file("team", "run.sh"), tmp_path / "run.sh")
    assert (tmp_path / "run.sh").stat().st_mode & 0o111


def test_two_sources_cannot_have_one_file(tmp_path: Path, repository: Repository) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", namespaces=["team"])
    repository.commit({"files/x": "1"})
    world.sync()
    with world.database.begin() as tx:
        [file] = stored.of_source(tx.connection, "main")
        from dataclasses import replace

        stored.put(tx.connection, [replace(file, managed_by="other")])
    repository.commit({"files/x": "2"})
    result = world.sync()
    assert (result["phase"], result["errors"][0]["code"]) == ("failed", "OWNED_BY_OTHER")
    assert "file /x of team belongs to source 'other'" in result["errors"][0]["message"]
    assert paths(world) == {"/x": "1"}
    world.close()


def test_files_without_a_namespace_go_where_the_flows_are_and_stay_there(
    repository: Repository, world: World
) -> None:
    other = flow("b").replace("namespace: team", "namespace: lab")
    repository.commit({"a.yml": flow("a"), "b.yml": other, "files/x": "1"})
    world.sync()
    assert paths(world) == {}
    repository.commit({"b.yml": None})
    world.sync()
    assert paths(world) == {"/x": "1"}
    repository.commit({"b.yml": other, "files/y": "2"})
    world.sync()
    assert paths(world) == {"/x": "1", "/y": "2"}
    assert paths(world, "lab") == {}


def test_a_file_that_has_changed_since_the_plan_is_not_overwritten(world: World) -> None:
    one = Desired(namespace="team", id="/x", path="files/x", digest="1" * 64)
    content = FileContent(
        desired=one, commit="c", sha256="1" * 64, size=1, executable=False, home=False
    )
    contents = Contents(flows=(), faults=(), blobs={}, files=(content,))
    item = Item(action=Action.ADDED, namespace="team", id="/x", desired=one)
    theirs = stored.NamespaceFile(
        namespace="team",
        path="/x",
        sha256="0" * 64,
        size=1,
        modified=world.clock.now(),
        managed_by="other",
    )
    now = world.clock.now()
    with world.database.begin() as tx:
        stored.put(tx.connection, [theirs])
        with pytest.raises(Outdated, match="has changed meanwhile"):
            write_files(tx, SyncPlan(items=(item,)), contents, owner="main", run_id="r", now=now)
        assert stored.at(tx.connection, [("team", "/x")]) == [theirs]


def test_a_removed_source_leaves_its_files_to_nobody(repository: Repository, world: World) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1"})
    world.sync()
    with world.database.begin() as tx:
        sources.remove_source(tx.connection, "main", now=world.clock.now())
    storage = seen(world)
    storage.put_bytes(namespace_file("team", "x"), b"mine")
    assert paths(world) == {"/x": "mine"}
    assert not Rows(world).files("team")


def test_going_back_to_a_commit_brings_its_files_back_without_a_network(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1", "files/gone": "g"})
    world.sync()
    repository.commit({"files/x": "2", "files/gone": None, "files/new": "n"})
    world.sync()
    repository.path.rename(repository.path.with_name("away"))
    results: list[dict[str, object]] = []
    world.service.rollback("main", "~1", Pin(by="ana"), wait=results.append)
    world.answer()
    assert results[0]["phase"] == "succeeded"
    assert paths(world) == {"/x": "1", "/gone": "g"}


def test_a_second_service_knows_the_files_of_the_first(
    tmp_path: Path, repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "files/x": "1"})
    world.sync()
    world.start(url=f"file://{repository.path}")
    repository.commit({"files/y": "2"})
    assert world.sync()["counts"] == {"added": 1, "unchanged": 2}
    assert paths(world) == {"/x": "1", "/y": "2"}
