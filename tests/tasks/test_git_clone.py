"""Cloning a real repository over HTTP into a working directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.git_http import EXECUTABLE, FILE, FOLDER, LINK, MODULE, Repository, serve_git
from tests.tasks.context import Context, run

from penstock_runner.tasks.api import TaskFailed

CLONE = "io.kestra.plugin.git.Clone"


def job(tmp_path: Path) -> Context:
    folder = tmp_path / "job"
    folder.mkdir()
    return Context(folder)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "flows.git")
    first = made.commit({"src/load.py": "print('one')\n", "README.md": "first\n"})
    made.tag("v1", first)
    made.commit({"README.md": "second\n"})
    return made


def test_the_files_of_a_branch_are_in_the_working_directory(
    repository: Repository, tmp_path: Path
) -> None:
    with serve_git(repository.path.parent) as server:
        ctx = job(tmp_path)
        outputs = run(ctx, CLONE, url=server.url_of(repository), branch="main")
    assert (ctx.workspace / "README.md").read_text() == "second\n"
    assert (ctx.workspace / "src" / "load.py").is_file()
    assert not (ctx.workspace / ".git").exists()
    assert outputs["directory"] == str(ctx.workspace)


def test_a_tag_is_cloned_below_a_directory(repository: Repository, tmp_path: Path) -> None:
    with serve_git(repository.path.parent) as server:
        ctx = job(tmp_path)
        run(ctx, CLONE, url=server.url_of(repository), tag="v1", directory="code")
    assert (ctx.workspace / "code" / "README.md").read_text() == "first\n"


def test_a_commit_is_cloned_whatever_the_branch_has_now(
    repository: Repository, tmp_path: Path
) -> None:
    third = repository.commit({"README.md": "third\n"}, branch="other")
    with serve_git(repository.path.parent) as server:
        ctx = job(tmp_path)
        outputs = run(ctx, CLONE, url=server.url_of(repository), commit=third, depth=5, cache=True)
    assert (ctx.workspace / "README.md").read_text() == "third\n"
    assert outputs["commitId"] == third


def test_a_password_without_a_user_is_a_token(repository: Repository, tmp_path: Path) -> None:
    with serve_git(repository.path.parent, "git", "t0ken") as server:
        ctx = job(tmp_path)
        run(ctx, CLONE, url=server.url_of(repository), password="t0ken")
        assert (ctx.workspace / "README.md").is_file()
        with pytest.raises(TaskFailed, match="credentials") as failed:
            run(ctx, CLONE, url=server.url_of(repository), password="wr0ng", directory="x")
    assert "wr0ng" not in str(failed.value)
    assert "t0ken" not in str(ctx.lines)


def test_what_git_would_run_or_filter_is_only_files(tmp_path: Path) -> None:
    made = Repository(tmp_path / "served" / "flows.git")
    inner = made.tree((b"post-checkout", EXECUTABLE, made.blob(b"#!/bin/sh\ntouch /tmp/ran\n")))
    out, inside = made.blob(b"../../../etc/passwd"), made.blob(b"a.txt")
    made.commit_tree(
        made.tree(
            (b".gitattributes", FILE, made.blob(b"* filter=evil\n")),
            (b".gitmodules", FILE, made.blob(b'[submodule "s"]\n\tpath = s\n\turl = ext::id\n')),
            (b"a.txt", FILE, made.blob(b"a\n")),
            (b"hooks", FOLDER, inner),
            (b"in", LINK, inside),
            (b"out", LINK, out),
            (b"s", MODULE, out),
        )
    )
    with serve_git(made.path.parent) as server:
        ctx = job(tmp_path)
        run(ctx, CLONE, url=server.url_of(made), clone_submodules=True)
    found = sorted(path.name for path in ctx.workspace.iterdir())
    assert found == [".gitattributes", ".gitmodules", "a.txt", "hooks", "in"]
    assert (ctx.workspace / "in").read_text() == "a\n"
    assert any("submodules" in line for level, line in ctx.lines if level == "WARN")


def test_a_tree_with_a_hostile_name_is_not_cloned(tmp_path: Path) -> None:
    made = Repository(tmp_path / "served" / "flows.git")
    blob = made.blob(b"x")
    made.commit_tree(made.tree((b"..", FILE, blob), (b"a.txt", FILE, blob)))
    with serve_git(made.path.parent) as server:
        ctx = job(tmp_path)
        with pytest.raises(TaskFailed, match="cannot be written"):
            run(ctx, CLONE, url=server.url_of(made))
    assert list(ctx.workspace.iterdir()) == []


def test_a_branch_that_does_not_exist_is_an_error(repository: Repository, tmp_path: Path) -> None:
    with serve_git(repository.path.parent) as server, pytest.raises(TaskFailed, match="nowhere"):
        run(job(tmp_path), CLONE, url=server.url_of(repository), branch="nowhere")


def test_a_directory_outside_the_workspace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="outside the working directory"):
        run(job(tmp_path), CLONE, url="https://localhost/x.git", directory="../up")


def test_a_local_path_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="file"):
        run(job(tmp_path), CLONE, url="file:///etc")
