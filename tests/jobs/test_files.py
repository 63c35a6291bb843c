"""Files into and out of a working directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from penstock_runner.jobs import files
from penstock_runner.jobs.trees import remove_by_force, sweep
from penstock_runner.jobs.workspace import Workspace
from penstock_runner.tasks import places
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.storage import LocalStorage


def same(value: object) -> object:
    return value


def workspace(folder: Path) -> Workspace:
    made = Workspace(folder / "jobs" / "one-1")
    made.make()
    return made


def place(folder: Path, spec: object, where: Workspace) -> list[str]:
    return files.place_input_files(
        spec,
        workspace=where,
        storage=LocalStorage(folder / "storage"),
        namespace="team.app",
        render=same,
    )


def collected(folder: Path, where: Workspace, *patterns: str) -> tuple[list[str], list[str]]:
    refused: list[str] = []
    kept = files.collect(
        patterns,
        workspace=where,
        storage=LocalStorage(folder / "storage"),
        address=lambda name: f"kestra:///kept/{name}",
        refused=refused.append,
    )
    return sorted(kept), refused


def test_a_workspace_is_private_and_goes_away(tmp_path: Path) -> None:
    where = workspace(tmp_path)
    assert stat.S_IMODE(where.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(where.path.stat().st_mode) == 0o700
    locked = where.write("a/b.txt", "x").parent
    locked.chmod(0)
    where.remove()
    assert not where.folder.exists()


def test_left_over_workspaces_are_swept_and_links_are_not_followed(tmp_path: Path) -> None:
    where = workspace(tmp_path)
    outside = tmp_path / "outside.txt"
    outside.write_text("keep")
    (where.path / "link").symlink_to(outside)
    (tmp_path / "jobs" / "folder-link").symlink_to(tmp_path)
    assert sweep(tmp_path / "jobs") == 2
    assert outside.read_text() == "keep"
    assert list((tmp_path / "jobs").iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "", "."])
def test_a_path_that_leaves_the_working_directory_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TaskFailed, match="relative path inside"):
        workspace(tmp_path).write(name, "x")


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    where = workspace(tmp_path)
    (where.path / "out").symlink_to(tmp_path)
    with pytest.raises(TaskFailed, match="relative path inside"):
        where.write("out/x", "x")


def test_input_files_are_texts_stored_files_and_json(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    uri = storage.put_bytes("kestra:///some/where.bin", b"\x00\x01")
    storage.put_bytes(places.namespace_file("team.app", "lib/a.py"), b"a = 1")
    where = workspace(tmp_path)
    spec = {
        "plain.txt": "text",
        "deep/er/bin": uri,
        "data.json": {"a": [1]},
        "lib.py": "nsfile:///lib/a.py",
        "none": None,
    }
    assert place(tmp_path, spec, where) == ["plain.txt", "deep/er/bin", "data.json", "lib.py"]
    assert (where.path / "deep/er/bin").read_bytes() == b"\x00\x01"
    assert (where.path / "data.json").read_text() == '{"a":[1]}'
    assert (where.path / "lib.py").read_text() == "a = 1"


def test_input_files_may_be_json_text_in_which_null_is_an_empty_file(tmp_path: Path) -> None:
    where = workspace(tmp_path)
    assert place(tmp_path, '{"a.txt": "x", "b.txt": null}', where) == ["a.txt", "b.txt"]
    assert (where.path / "b.txt").read_text() == ""


def test_input_files_may_be_a_list_of_addresses(tmp_path: Path) -> None:
    uri = LocalStorage(tmp_path / "storage").put_bytes("kestra:///some/a%20b.csv", b"1")
    where = workspace(tmp_path)
    assert place(tmp_path, [uri], where) == ["a b.csv"]


def test_an_input_file_that_is_not_stored_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="kestra:///no/such"):
        place(tmp_path, {"a": "kestra:///no/such"}, workspace(tmp_path))


def test_namespace_files_are_chosen_by_globs(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    for name in ("a.py", "dir/b.py", "dir/c.sql", "ignore/d.py"):
        storage.put_bytes(places.namespace_file("team.app", name), b"x")
    placed = files.place_namespace_files(
        {"include": ["*.py"], "exclude": ["/ignore/**"]},
        workspace=workspace(tmp_path),
        storage=storage,
        namespace="team.app",
        render=same,
    )
    assert sorted(placed) == ["a.py", "dir/b.py"]


def test_output_globs_are_anchored_at_the_working_directory(tmp_path: Path) -> None:
    where = workspace(tmp_path)
    for name in ("a.csv", "b.txt", "sub/c.csv", "sub/dir/d.csv"):
        where.write(name, "x")
    assert collected(tmp_path, where, "*.csv")[0] == ["a.csv"]
    for name in ("a.csv",):
        where.write(name, "x")
    assert collected(tmp_path, where, "**/*.csv")[0] == ["sub/c.csv", "sub/dir/d.csv"]
    for name in ("sub/c.csv", "sub/dir/d.csv"):
        where.write(name, "x")
    assert collected(tmp_path, where, "**.csv", "./b.txt")[0] == [
        "a.csv",
        "b.txt",
        "sub/c.csv",
        "sub/dir/d.csv",
    ]


def test_a_link_out_of_the_working_directory_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("root")
    where = workspace(tmp_path)
    (where.path / "link.txt").symlink_to(tmp_path / "passwd")
    kept, refused = collected(tmp_path, where, "*.txt", "../passwd")
    assert kept == []
    assert len(refused) == 2


def test_a_pipe_is_no_output_file_and_is_not_waited_for(tmp_path: Path) -> None:
    where = workspace(tmp_path)
    os.mkfifo(where.path / "pipe.txt")
    assert collected(tmp_path, where, "pipe.txt", "*.txt") == ([], [])


def test_an_address_in_a_command_is_fetched_once(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    uri = storage.put_bytes("kestra:///some/data.csv", b"1,2")
    where = workspace(tmp_path)
    text = files.localise(f"cp {uri} x && cp {uri} y", workspace=where, storage=storage)
    first, second = text.split()[1], text.split()[5]
    assert first == second
    assert Path(first).read_bytes() == b"1,2"
    assert first.endswith("/data.csv")


def test_a_folder_that_goes_away_while_it_is_removed_is_removed(tmp_path: Path) -> None:
    for function in (os.open, os.scandir, os.lstat, os.unlink, os.rmdir):
        remove_by_force(function, str(tmp_path / "gone"), None)
    (tmp_path / "left").touch()
    remove_by_force(os.unlink, str(tmp_path / "left"), None)
    assert list(tmp_path.iterdir()) == []
