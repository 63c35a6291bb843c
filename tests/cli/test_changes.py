from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_server.cli.changes import Changes


@pytest.fixture(params=[False, True], ids=["told by the kernel", "looked for"])
def changes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Changes]:
    (tmp_path / "a.yml").write_text("a")
    made = Changes(tmp_path, quiet=0.05, poll=request.param)
    yield made
    made.close()


def after(seconds: float, act: object) -> threading.Timer:
    assert callable(act)
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_a_file_that_is_written_renamed_into_place_or_deleted_is_a_change(
    changes: Changes, tmp_path: Path
) -> None:
    def renamed() -> None:
        (tmp_path / ".a.yml.swp").write_text("changed")
        (tmp_path / ".a.yml.swp").rename(tmp_path / "a.yml")

    def folder() -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "b.yml").write_text("b")

    steps = (
        lambda: (tmp_path / "a.yml").write_text("longer"),
        renamed,
        folder,
        lambda: (tmp_path / "deep" / "b.yml").write_text("longer"),
        (tmp_path / "a.yml").unlink,
    )
    for step in steps:
        timer = after(0.05, step)
        assert changes.wait(20)
        timer.join()


def test_nothing_new_is_no_change_and_neither_is_what_git_does(
    changes: Changes, tmp_path: Path
) -> None:
    assert not changes.wait(0.1)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("x")
    assert not changes.wait(0.1)


def test_a_change_is_told_once_the_files_are_left_in_peace(
    changes: Changes, tmp_path: Path
) -> None:
    def write_slowly() -> None:
        for number in range(8):
            (tmp_path / "a.yml").write_text("x" * (number + 10))
            threading.Event().wait(0.02)

    timer = after(0.01, write_slowly)
    assert changes.wait(20)
    timer.join()
    assert (tmp_path / "a.yml").read_text() == "x" * 17
    assert not changes.wait(0.2)
