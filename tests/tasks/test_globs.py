"""Globs match whole paths as flow files mean them."""

from __future__ import annotations

import pytest

from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.globs import normalised, rule, selection


@pytest.mark.parametrize(
    ("pattern", "folder", "expected"),
    [
        (r"regex:.*\.json", None, r"regex:.*\.json"),
        ("glob:*.txt", "/base", "glob:*.txt"),
        ("test.txt", None, "glob:**/test.txt"),
        ("**/*", None, "glob:**/*"),
        ("/a/**", None, "glob:/a/**"),
        ("test.txt", "/base", "glob:/base/test.txt"),
        ("./test.txt", "/base/", "glob:/base/test.txt"),
    ],
)
def test_patterns_are_normalised(pattern: str, folder: str | None, expected: str) -> None:
    assert normalised(pattern, folder) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**/*.txt", "/a/b.txt", True),
        ("b.txt", "/a/b.txt", True),
        ("*.txt", "/b.txt", False),
        ("/*.txt", "/b.txt", True),
        ("/*.txt", "/a/b.txt", False),
        ("/**.txt", "/a/b.txt", True),
        ("/a/?.txt", "/a/b.txt", True),
        ("/a/{b,c}.txt", "/a/c.txt", True),
        ("/a/{b,c}.txt", "/a/d.txt", False),
        ("/a/[bc].txt", "/a/c.txt", True),
        ("/a/[!bc].txt", "/a/c.txt", False),
        (r"/a/\*.txt", "/a/*.txt", True),
        (r"/a/\*.txt", "/a/b.txt", False),
        ("/a.b", "/axb", False),
        ("/a{b", "/ab", True),
        (r"regex:.*\.(csv|txt)", "/x/a.csv", True),
    ],
)
def test_paths_match(pattern: str, path: str, expected: bool) -> None:
    assert rule([pattern])(path) is expected


def test_all_are_chosen_when_nothing_is_said() -> None:
    assert selection(None)("/a")
    assert not selection([], ["/a"])("/a")


def test_included_paths_are_chosen_unless_excluded() -> None:
    chosen = selection(["/a/**", "c/**"], ["**/2"])
    paths = ["/a/b/c/1", "/a/2", "/b/c/d/3", "/b/d/4", "/c/5"]
    assert [path for path in paths if chosen(path)] == ["/a/b/c/1", "/b/c/d/3", "/c/5"]


@pytest.mark.parametrize("pattern", ["regex:[", "regex:(", "glob:[z-a]"])
def test_a_pattern_that_cannot_be_read_says_so(pattern: str) -> None:
    with pytest.raises(TaskFailed, match="cannot be read"):
        rule([pattern])
