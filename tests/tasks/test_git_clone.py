"""Cloning a real repository over HTTP into a working directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.git_http import Repository, serve_git
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


def test_a_branch_that_does_not_exist_is_an_error(repository: Repository, tmp_path: Path) -> None:
    with serve_git(repository.path.parent) as server, pytest.raises(TaskFailed, match="nowhere"):
        run(job(tmp_path), CLONE, url=server.url_of(repository), branch="nowhere")


def test_a_directory_outside_the_workspace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="outside the working directory"):
        run(job(tmp_path), CLONE, url="https://localhost/x.git", directory="../up")


def test_a_local_path_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="file"):
        run(job(tmp_path), CLONE, url="file:///etc")
