"""`checkout: true`: the tree of a commit out of the store of its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.git_http import EXECUTABLE, FILE, LINK, Repository, serve_git

from penstock_runner.git.remote import Rules, remote_of
from penstock_runner.git.store import BareStore
from penstock_runner.jobs.checkout import check_out
from penstock_runner.tasks.api import TaskFailed


def synced(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A home with the store of a source that has looked at a commit."""
    made = Repository(tmp_path / "served" / "flows.git")
    sha = made.commit_tree(
        made.tree(
            (b"a.txt", FILE, made.blob(b"a\n")),
            (b"in", LINK, made.blob(b"a.txt")),
            (b"out", LINK, made.blob(b"/etc/passwd")),
            (b"run.sh", EXECUTABLE, made.blob(b"ls\n")),
        )
    )
    home = tmp_path / "home"
    with serve_git(made.path.parent) as server, BareStore(home / "git" / "main") as store:
        store.fetch(remote_of(server.url_of(made), rules=Rules(allow_http=True)))
    return home, {"source": "main", "commit": sha}


def test_the_tree_of_the_commit_is_written_without_a_network(tmp_path: Path) -> None:
    home, git = synced(tmp_path)
    target = tmp_path / "work"
    made = check_out(git, home, target)
    assert [path.name for path in made] == ["a.txt", "in", "run.sh"]
    assert (target / "in").read_text() == "a\n"
    assert (target / "run.sh").stat().st_mode & 0o111
    assert not (target / ".git").exists()


def test_what_cannot_be_checked_out_says_why(tmp_path: Path) -> None:
    home, git = synced(tmp_path)
    for broken, told in (
        ({}, "does not come from a Git source"),
        ({**git, "source": "other"}, "the Git source 'other' does not have commit"),
        ({**git, "commit": "1" * 40}, "does not have commit 1111111"),
    ):
        with pytest.raises(TaskFailed, match=told):
            check_out(broken, home, tmp_path / "work")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(TaskFailed, match="not empty"):
        check_out(git, home, tmp_path / "full")
