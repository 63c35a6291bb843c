"""`.penstock.yml`, and where files of namespaces are found; through real looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import EXECUTABLE, FILE, FOLDER, LINK
from tests.sync.trees import Looking, looking
from tests.sync.world import World, flow

TWO = {"a.yml": flow("a"), "old/b.yml": flow("b")}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Looking]:
    with looking(tmp_path) as made:
        yield made


def test_a_repository_narrows_what_is_read_and_never_widens_it(source: Looking) -> None:
    source.repository.commit(
        {**TWO, "c.txt": flow("c"), ".penstock.yml": "include: ['*.yml', '*.txt']"}
    )
    assert source.flows() == ["a.yml team.a"]
    source.repository.commit({".penstock.yml": "exclude: ['a.yml']"})
    assert source.flows() == ["old/b.yml team.b"]
    assert source.flows(exclude=["old/**"]) == []


def test_a_mapping_of_the_repository_counts_where_the_server_has_none(source: Looking) -> None:
    source.repository.commit(
        {"team/a.yml": flow("a"), ".penstock.yml": "mapping: {mode: rewrite, target: lab}"}
    )
    assert source.flows() == ["team/a.yml lab.team.a"]
    assert source.flows(namespaces=["team"]) == []
    found = source.look(mapping={"mode": "directory"})
    assert (found["type"], found["code"]) == ("failed", "GIT_SETTINGS")
    assert ".penstock.yml:1:1 BAD_VALUE the server sets `mapping`" in found["message"]


def test_labels_of_the_repository_are_on_its_flows_below_their_own(source: Looking) -> None:
    source.repository.commit(
        {
            "a.yml": flow("a", "labels: {tier: own}\n"),
            ".penstock.yml": "labels: {tier: repo, team: data, env: repo}",
        }
    )
    source.look(labels={"env": "server"})
    [item] = [item for file in source.answer["files"] for item in file["items"]]
    assert item["labels"] == {"tier": "own", "team": "data"}


@pytest.mark.parametrize("text", ["mapping: 3", "nosuch: 1", "- a", "a: [", "include: {a: b}"])
def test_settings_that_cannot_be_read_stop_the_look_with_their_place(
    source: Looking, text: str
) -> None:
    source.repository.commit({"f/a.yml": flow("a"), "f/.penstock.yml": f"# mine\n{text}\n"})
    found = source.look(path="f")
    assert (found["type"], found["code"]) == ("failed", "GIT_SETTINGS")
    assert found["message"].startswith("f/.penstock.yml:")


def test_changed_settings_have_every_file_read_again(source: Looking) -> None:
    source.repository.commit(TWO)
    source.look()
    source.repository.commit({".penstock.yml": "labels: {a: b}"})
    found = source.look(source.known())
    assert (found["reconfigured"], [file["known"] for file in found["files"]]) == (
        True,
        [False] * 3,
    )
    again = source.look(source.known())
    assert (again["reconfigured"], [file["known"] for file in again["files"]]) == (
        False,
        [False, True, True],
    )


def test_settings_that_send_flows_elsewhere_need_a_person(tmp_path: Path) -> None:
    with looking(tmp_path) as source:
        world = World(tmp_path, url=source.url, allowHttp=True)
        source.repository.commit({"team/a.yml": flow("a")})
        world.sync()
        source.repository.commit({".penstock.yml": "mapping: {mode: rewrite, target: lab}"})
        refused = world.sync()
        assert refused["phase"] == "refused"
        assert "reads something else than before" in refused["message"]
        assert world.sync(confirm=refused["digest"])["counts"] == {"added": 1, "pruned": 1}
        assert [head.namespace for head in world.heads().values()] == ["lab.team"]
        world.close()


FILES = {"files/lib/x.yml": "a: 1", "files/.gitkeep": "", "scripts/run.sh": "ls"}


def test_the_first_layout_that_is_there_holds_the_files(source: Looking) -> None:
    source.repository.commit({**FILES, "a.yml": flow("a")})
    assert source.files() == ["files/lib/x.yml None/lib/x.yml"]
    assert source.flows() == ["a.yml team.a"]
    source.repository.commit({"_files/y": "y"})
    assert source.files(namespaces=["team"]) == ["_files/y team/y"]
    assert source.files(files={"layout": "files"}) == ["files/lib/x.yml None/lib/x.yml"]
    assert source.files(files={"layout": "none"}) == []
    mapping = {"mode": "rewrite", "target": "prod"}
    assert source.files(mapping=mapping) == ["_files/y prod/y"]


def test_folders_that_are_named_go_to_their_namespace_below_a_prefix(source: Looking) -> None:
    source.repository.commit({**FILES, "scripts/deep/more.sh": "ls"})
    one = {"dir": "scripts", "namespace": "team", "prefix": "/bin"}
    assert source.files(files=one) == [
        "scripts/run.sh team/bin/run.sh",
        "scripts/deep/more.sh team/bin/deep/more.sh",
    ]
    two = [{**one, "children": False}, {"dir": "/files/", "namespace": "lab"}]
    assert source.files(files=two) == [
        "files/lib/x.yml lab/lib/x.yml",
        "scripts/run.sh team/bin/run.sh",
    ]


def test_contents_lie_in_the_storage_under_what_they_hold(source: Looking) -> None:
    from penstock_runner.tasks.namespace_files import content_address

    repository = source.repository
    folder = repository.tree(
        (b"link", LINK, repository.blob(b"/etc/passwd")),
        (b"run.sh", EXECUTABLE, repository.blob(b"\x00\xff binary")),
    )
    repository.commit_tree(repository.tree((b"files", FOLDER, folder)))
    source.look()
    [file] = source.answer["files"]
    assert file["file"]["executable"]
    address = content_address(file["file"]["sha256"])
    assert source.storage.read_bytes(address) == b"\x00\xff binary"
    assert source.faults == ["files/link:1 SYMLINK_SKIPPED"]


def test_files_that_no_namespace_can_hold_are_errors(source: Looking) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    source.repository.commit(
        {"files/_flows/a.yml": "x", "files/a..b": "x", "files/lfs.bin": pointer}
    )
    source.look()
    assert source.files() == []
    assert source.faults == [
        "files/a..b:1 BAD_PATH",
        "files/lfs.bin:1 LFS_POINTER",
        "files/_flows/a.yml:1 BAD_PATH",
    ]
    source.repository.commit({"files/ok": "x"})
    source.look(files={"dir": "files", "namespace": "lab"}, namespaces=["team"])
    assert "files/ok:1 NAMESPACE_NOT_ALLOWED" in source.faults


def test_a_changed_mode_is_a_change_of_the_file(source: Looking) -> None:
    repository = source.repository
    script = repository.blob(b"ls")
    for mode in (FILE, EXECUTABLE):
        known = source.known() if source.answer else {}
        folder = repository.tree((b"run.sh", mode, script))
        repository.commit_tree(repository.tree((b"files", FOLDER, folder)))
        source.look(known)
        assert [file["known"] for file in source.answer["files"]] == [False]
