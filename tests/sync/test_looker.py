from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import GitServer, Repository, serve_git

from penstock_runner.jobs.frames import Channel
from penstock_runner.tasks.registry import Registry
from penstock_server.sync.looker import LookerSettings, forget_tasks, run

FLOW = """id: {id}
namespace: team
tasks:
  - id: hello
    type: io.kestra.plugin.core.log.Log
    message: hello
"""


class GitProcess:
    """A forked git process and core's side of its channel."""

    def __init__(self, home: Path) -> None:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ours.close()
                run(Channel(theirs), LookerSettings(home=home, catalogue=Registry))
            finally:
                os._exit(0)
        theirs.close()
        self.channel = Channel(ours)

    def ask(self, *messages: dict[str, Any]) -> None:
        self.channel.send(*messages)
        while not self.channel.flush():
            pass

    def answer(self, seconds: float = 20) -> dict[str, Any]:
        with selectors.DefaultSelector() as selector:
            selector.register(self.channel, selectors.EVENT_READ)
            while selector.select(seconds):
                for message in self.channel.receive():
                    return message
        raise AssertionError("the git process did not answer")

    def close(self) -> None:
        self.channel.close()
        os.waitpid(self.pid, 0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "served").mkdir()
    with serve_git(tmp_path / "served") as running:
        yield running


@pytest.fixture
def process(tmp_path: Path) -> Iterator[GitProcess]:
    made = GitProcess(tmp_path / "home")
    yield made
    made.close()


def request(url: str, source: str = "main", **more: Any) -> dict[str, Any]:
    limits = {"file_bytes": 1 << 20, "blob_bytes": 10 << 20, "files": 20_000}
    limits |= {"pack_bytes": 1 << 29, "memory_bytes": 1 << 30}
    described = {
        "id": source,
        "url": url,
        "ref_kind": "branch",
        "ref": "HEAD",
        "path": "flows",
        "include": ["**/*.yml"],
        "limits": limits,
        "timeout": 20,
        **more.pop("described", {}),
    }
    return {"type": "look", "source": described, "observed": None, "applied": None, **more}


def test_a_look_finds_the_flows_of_a_commit(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    flow = FLOW.format(id="hello")
    sha = repository.commit({"flows/hello.yml": flow, "flows/note.yml": "a: 1", "x.txt": "x"})
    process.ask(request(server.url_of(repository)))
    found = process.answer()

    assert (found["type"], found["commit"]["sha"], found["ref"]) == (
        "found",
        sha,
        "refs/heads/main",
    )
    [hello, note] = found["files"]
    assert hello["path"] == "flows/hello.yml"
    assert [(item["namespace"], item["id"]) for item in hello["items"]] == [("team", "hello")]
    assert hello["items"][0]["text"] == flow
    assert (note["items"], note["faults"][0]["code"]) == ([], "NO_FLOW")

    process.ask(request(server.url_of(repository), observed=sha))
    assert process.answer() == {
        "type": "seen",
        "source": "main",
        "commit": sha,
        "ref": "refs/heads/main",
    }


def test_only_changed_files_are_read_again_and_carry_the_commit_that_changed_them(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    first = repository.commit({f"flows/{name}.yml": FLOW.format(id=name) for name in "abc"})
    process.ask(request(server.url_of(repository)))
    known = {file["path"]: file["blob"] for file in process.answer()["files"]}
    second = repository.commit({"flows/b.yml": FLOW.format(id="b") + "# more\n"})
    third = repository.commit({"flows/c.yml": None, "src/main.py": "x"}, "third")
    process.ask(request(server.url_of(repository), observed=first, applied=first, known=known))
    found = process.answer()

    assert [(file["path"], file["known"]) for file in found["files"]] == [
        ("flows/a.yml", True),
        ("flows/b.yml", False),
    ]
    assert found["files"][1]["commit"] == second
    assert [commit["sha"] for commit in found["commits"]] == [third, second]
    assert found["changed"] == ["flows/b.yml", "flows/c.yml", "src/main.py"]
    assert not found["rewritten"]


def test_a_brief_look_says_whether_the_ref_has_moved_and_reads_nothing(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    sha = repository.commit({"flows/a.yml": FLOW.format(id="a")})
    process.ask(request(server.url_of(repository), observed=sha, brief=True))
    assert process.answer()["type"] == "seen"
    new = repository.commit({"flows/a.yml": FLOW.format(id="a") + "# more\n"})
    process.ask(request(server.url_of(repository), observed=sha, brief=True))
    seen = {"commit": new, "ref": "refs/heads/main"}
    assert process.answer() == {"type": "moved", "source": "main", "seen": seen}
    assert not list((tmp_path / "home" / "git" / "main" / "objects" / "pack").glob("*.pack"))


def test_what_a_brief_look_has_seen_is_not_asked_for_again(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    sha = repository.commit({"flows/a.yml": FLOW.format(id="a")})

    def asked(**more: Any) -> int:
        server.requests.clear()
        process.ask(request(server.url_of(repository), **more))
        found = process.answer()
        assert (found["type"], found["commit"]["sha"]) == ("found", sha)
        return len(server.requests)

    assert asked() > 0
    assert asked(seen={"commit": sha, "ref": "refs/heads/main"}, force=True) < asked(force=True)


def test_faults_have_their_place_in_the_file(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    broken = FLOW.format(id="a").replace("core.log.Log", "core.log.Logg")
    repository.commit({"flows/a.yml": "# first\n" + broken})
    process.ask(request(server.url_of(repository)))
    [file] = process.answer()["files"]
    [fault] = [one for one in file["faults"] if one["severity"] == "error"]
    assert (fault["path"], fault["line"], fault["code"]) == (
        "flows/a.yml",
        6,
        "UNKNOWN_TASK_TYPE",
    )
    assert file["items"] == []


def test_a_look_that_is_asked_for_twice_is_done_once(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    repository.commit({"flows/a.yml": FLOW.format(id="a")})
    asked = request(server.url_of(repository))
    process.ask(asked, asked)
    other = request(f"{server.url}/none.git", "other")
    assert process.answer()["type"] == "found"
    for _ in range(20):
        process.ask(asked)
        assert process.answer()["type"] == "found"
    process.ask(other)
    assert process.answer()["source"] == "other"


def test_a_hung_host_does_not_hold_up_another_source(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    repository.commit({"flows/a.yml": FLOW.format(id="a")})
    (tmp_path / "hung").mkdir()
    with serve_git(tmp_path / "hung") as hung:
        hung.hanging = threading.Event()
        slow = request(f"{hung.url}/x.git", "slow", described={"timeout": 1})
        process.ask(slow, request(server.url_of(repository), "fast"))
        assert (process.answer()["source"]) == "fast"
        late = process.answer()
    assert (late["type"], late["source"], late["code"]) == ("failed", "slow", "GIT_TIMEOUT")


def test_a_host_that_drips_its_answer_is_given_up_when_the_time_is_over(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    repository.commit({"flows/a.yml": FLOW.format(id="a")})
    server.dripping = threading.Event()
    process.ask(request(server.url_of(repository), described={"timeout": 1}))
    assert process.answer()["code"] == "GIT_TIMEOUT"
    server.dripping = None
    process.ask(request(server.url_of(repository)))
    assert process.answer()["type"] == "found"


def test_a_pack_larger_than_its_limit_is_not_taken(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    repository.commit({"flows/a.yml": FLOW.format(id="a"), "big": os.urandom(3_000_000)})
    asked = request(server.url_of(repository))
    asked["source"]["limits"]["pack_bytes"] = 1_000_000
    process.ask(asked)
    answer = process.answer()
    assert (answer["code"], "limits.packBytes" in answer["message"]) == ("GIT_TOO_BIG", True)


def test_trouble_is_answered_with_its_code(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    repository.commit({"elsewhere/a.yml": "a"})
    process.ask(request(f"{server.url}/none.git"))
    assert process.answer()["code"] == "GIT_NOT_FOUND"
    process.ask(request(server.url_of(repository)))
    assert process.answer()["code"] == "GIT_PATH_NOT_FOUND"
    process.ask(request("ext::sh -c id"))
    assert process.answer()["code"] == "GIT_ADDRESS"


def test_a_damaged_store_is_made_again(
    tmp_path: Path, server: GitServer, process: GitProcess
) -> None:
    repository = Repository(tmp_path / "served" / "flows.git")
    repository.commit({"flows/a.yml": FLOW.format(id="a")})
    process.ask(request(server.url_of(repository)))
    process.answer()
    for pack in (tmp_path / "home" / "git" / "main" / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(b"rubbish")
    process.ask(request(server.url_of(repository), force=True))
    assert process.answer()["type"] == "found"


def test_stores_of_tasks_that_nobody_uses_are_removed_after_a_week(tmp_path: Path) -> None:
    week = 7 * 24 * 3600
    for name in ("task-old", "task-new", "main"):
        heads = tmp_path / name / "refs" / "heads"
        heads.mkdir(parents=True)
        age = 0 if name == "task-new" else week + 60
        os.utime(heads, (heads.stat().st_mtime - age,) * 2)
    forget_tasks(tmp_path, (tmp_path / "task-new" / "refs").stat().st_mtime)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["main", "task-new"]
