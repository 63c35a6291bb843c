"""Files that arrive in a folder start an execution, each once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.context import REGISTRY, Context, Templates

from penstock_runner.jobs.local_paths import NotAllowed, local_path
from penstock_runner.jobs.settings import RunAs, RunnerSettings
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.binding import bind
from penstock_runner.tasks.polling import hear

NAME = "io.kestra.plugin.fs.local.Trigger"


class Folder:
    """A folder that a trigger looks at."""

    def __init__(self, folder: Path) -> None:
        self.ctx: Any = Context(folder)
        self.top = folder / "in"
        self.top.mkdir()
        self.archive = folder / "archive"

    def put(self, name: str, text: str = "x", at: int = 1) -> Path:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (at, at))
        return path

    def trigger(self, **properties: Any) -> Any:
        given = {"from": str(self.top), **properties}
        return bind(REGISTRY.load(NAME), given, Templates({}))

    def look(self, **properties: Any) -> Any:
        return self.trigger(**properties).run(self.ctx)["found"]

    def taken(self, found: Any, **properties: Any) -> None:
        hear(self.trigger(**properties), self.ctx, {"is": "taken", "found": found})

    def names(self) -> list[str]:
        return sorted(str(p.relative_to(self.top)) for p in self.top.rglob("*") if p.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def names(found: Any) -> list[str]:
    return [one["name"] for one in found["files"]]


def test_an_empty_folder_is_nothing_and_files_are_given_oldest_first(folder: Folder) -> None:
    assert folder.look() is None
    folder.put("b.csv", "old", at=1)
    folder.put("a.csv", "newer", at=2)
    found = folder.look()
    assert names(found) == ["b.csv", "a.csv"]
    assert found["count"] == 2
    first = found["files"][0]
    assert first["localPath"] == first["path"] == str(folder.top / "b.csv")
    assert first["size"] == 3
    assert first["modifiedDate"] == "1970-01-01T00:00:01Z"
    assert first["changeType"] == "CREATE"
    assert "/executions/x1/trigger/task/" in first["uri"]
    assert folder.ctx.storage.read_bytes(first["uri"]) == b"old"


def test_nothing_is_taken_away_before_the_execution_exists(folder: Folder) -> None:
    folder.put("a.csv")
    for _ in range(2):
        found = folder.look(action="DELETE")
        assert folder.names() == ["a.csv"]
    folder.taken(found, action="DELETE")
    folder.taken(found, action="DELETE")
    assert folder.names() == []
    assert folder.ctx.storage.read_bytes(found["files"][0]["uri"]) == b"x"


def test_moved_files_keep_their_place_below_the_folder(folder: Folder) -> None:
    folder.put("a.csv")
    folder.put("sub/a.csv")
    how = {"action": "MOVE", "moveDirectory": str(folder.top / "done"), "recursive": True}
    folder.taken(folder.look(**how), **how)
    assert folder.names() == ["done/a.csv", "done/sub/a.csv"]
    assert folder.look(**how) is None


def test_a_file_that_has_changed_since_is_another_arrival(folder: Folder) -> None:
    folder.put("a.csv", "first", at=1)
    found = folder.look(action="DELETE")
    folder.put("a.csv", "second", at=2)
    folder.taken(found, action="DELETE")
    again = folder.look(action="DELETE")
    assert folder.ctx.storage.read_bytes(again["files"][0]["uri"]) == b"second"


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("CREATE", [["a.csv"], None, None, ["b.csv"]]),
        ("UPDATE", [None, None, ["a.csv"], None]),
        ("CREATE_OR_UPDATE", [["a.csv"], None, ["a.csv"], ["b.csv"]]),
    ],
)
def test_a_file_that_stays_counts_when_it_is_new_or_has_changed(
    folder: Folder, on: str, expected: list[list[str] | None]
) -> None:
    given: list[list[str] | None] = []
    for change in (("a.csv", 1), ("a.csv", 1), ("a.csv", 2), ("b.csv", 1)):
        folder.put(change[0], at=change[1])
        found = folder.look(on=on)
        given.append(None if found is None else names(found))
        if found is not None:
            folder.taken(found, on=on)
    assert given == expected
    assert folder.names() == ["a.csv", "b.csv"]


def test_until_it_is_said_that_a_file_was_taken_it_is_found_again(folder: Folder) -> None:
    folder.put("a.csv")
    assert folder.look() is not None
    assert folder.look() is not None


def test_only_names_that_fit_count_and_folders_below_when_asked_for(folder: Folder) -> None:
    for name in ("a.csv", "a.txt", "sub/b.csv"):
        folder.put(name)
    assert names(folder.look(regExp=r".*\.csv")) == ["a.csv"]
    assert names(folder.look(regExp=r".*\.csv", recursive=True)) == ["a.csv", "b.csv"]
    assert names(folder.look(regExp=r".*/sub/.*", recursive=True)) == ["b.csv"]
    assert names(folder.look(maxFiles=1)) == ["a.csv"]


def test_links_are_left_alone(folder: Folder, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    (folder.top / "link").symlink_to(secret)
    (folder.top / "below").symlink_to(tmp_path)
    assert folder.look(recursive=True) is None


def test_files_of_an_execution_that_never_came_are_removed(folder: Folder) -> None:
    folder.put("a.csv")
    found = folder.look()
    hear(folder.trigger(), folder.ctx, {"is": "dropped", "found": found})
    assert not folder.ctx.storage.exists(found["files"][0]["uri"])


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"from": "in"}, "no absolute path"),
        ({"from": "/nowhere/at/all"}, "no folder"),
        ({"action": "MOVE"}, "`moveDirectory` is required"),
        ({"regExp": "("}, "no regular expression"),
    ],
)
def test_what_cannot_be_looked_at_is_said(
    folder: Folder, properties: dict[str, Any], message: str
) -> None:
    with pytest.raises(TaskFailed, match=message):
        folder.look(**properties)


def settings(tmp_path: Path, **more: Any) -> RunnerSettings:
    home = tmp_path / "home"
    return RunnerSettings(home=home, workspaces=home / "w", storage=tmp_path / "storage", **more)


def test_flows_may_name_any_folder_but_those_of_the_service(tmp_path: Path) -> None:
    assert local_path(str(tmp_path / "in"), settings(tmp_path)) == tmp_path / "in"
    for name in ("home/penstock.db", "storage/company", "in/../home"):
        with pytest.raises(NotAllowed, match="belongs to the service"):
            local_path(str(tmp_path / name), settings(tmp_path))


def test_folders_that_the_settings_name_are_the_only_ones(tmp_path: Path) -> None:
    given = settings(tmp_path, folders=(str(tmp_path / "in"),))
    assert local_path(str(tmp_path / "in" / "a"), given) == tmp_path / "in" / "a"
    for name in ("other", "in/../other", "inside"):
        with pytest.raises(NotAllowed, match=r"runner\.folders"):
            local_path(str(tmp_path / name), given)


def test_with_a_user_of_their_own_flows_may_name_nothing_that_the_settings_do_not(
    tmp_path: Path,
) -> None:
    apart = settings(tmp_path, run_as=RunAs(user=1234, group=1234))
    with pytest.raises(NotAllowed, match=r"name it in `runner\.folders`"):
        local_path(str(tmp_path / "in"), apart)
