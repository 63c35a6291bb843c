"""`kill -9` before any statement of an apply leaves the old commit or the new one, whole."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine
from tests.git_http import Repository, serve_git
from tests.sync.test_any_commits import kept
from tests.sync.world import World, flow

from penstock_server.store import sources

OLD = {"a.yml": flow("a"), "b.yml": flow("b"), "files/x": "1", "files/y": "1"}
NEW = {"a.yml": flow("a", "description: new\n"), "c.yml": flow("c"), "files/x": "2", "files/z": "2"}


def world_of(folder: Path, url: str, ids: int = 0) -> World:
    """A service over the store of a folder; `ids` keeps what it draws apart from those before."""
    world = World(folder, url=url, namespaces=["team"], allowHttp=True)
    for _ in range(ids):
        world.starter.new_id()
    return world


def attempt(folder: Path, url: str, last: int) -> int:
    """Sync in a process that dies before its statement `last`; how the process ended."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        world = world_of(folder, url, 10)
        world.service.look("main", trigger="manual")
        left = [last]

        def count(*_: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "before_cursor_execute", count)
        event.listen(Engine, "commit", count)
        world.answer()
    finally:
        os._exit(0)


def test_a_kill_before_any_statement_leaves_one_of_both_commits(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    repository = Repository(tmp_path / "served" / "flows.git")
    with serve_git(tmp_path / "served") as server:
        url = server.url_of(repository)
        first = repository.commit(OLD)
        world = world_of(base, url)
        assert world.sync()["phase"] == "succeeded"
        world.close()
        second = repository.commit({"b.yml": None, "files/y": None, **NEW})
        seen = []
        for last in range(100):
            folder = tmp_path / str(last)
            shutil.copytree(base, folder)
            status = attempt(folder, url, last)
            world = world_of(folder, url, 20)
            with world.database.read() as connection:
                row = sources.source(connection, "main")
            assert row is not None
            assert (kept(world), row.applied_commit) in ((OLD, first), (NEW, second))
            seen.append(row.applied_commit)
            assert world.sync()["phase"] in ("succeeded", "noop")
            assert kept(world) == NEW
            world.close()
            if status == 0:
                break
    print(f"{len(seen)} places to die at")
    assert len(seen) > 15
    assert set(seen) == {first, second}
