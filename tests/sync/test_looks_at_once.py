"""How many repositories the git process looks at together, and how many of them on one host."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import Repository, serve_git
from tests.sync.test_looker import FLOW, request

from penstock_runner.jobs.frames import Channel
from penstock_runner.tasks.registry import Registry
from penstock_server.sync.looker import LookerSettings, run

DEADLINE = 20.0


@contextmanager
def git_process(settings: LookerSettings) -> Iterator[tuple[int, Channel]]:
    """A git process: its number, and core's side of its channel."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            run(Channel(theirs), settings)
        finally:
            os._exit(0)
    theirs.close()
    channel = Channel(ours)
    try:
        yield pid, channel
    finally:
        channel.close()
        os.waitpid(pid, 0)


def answer(channel: Channel) -> dict[str, Any]:
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while selector.select(DEADLINE):
            for message in channel.receive():
                return message
    raise AssertionError("the git process did not answer")


@pytest.mark.parametrize(("at_once", "per_host"), [(4, 2), (2, 1), (4, 3)])
def test_a_host_that_hangs_gets_few_looks_and_holds_up_no_other(
    tmp_path: Path, at_once: int, per_host: int
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    repository = Repository(served / "flows.git")
    sha = repository.commit({"flows/hello.yml": FLOW.format(id="hello")})
    settings = LookerSettings(
        home=tmp_path / "home", catalogue=Registry, at_once=at_once, per_host=per_host
    )
    with (
        serve_git(served) as server,
        socket.create_server(("127.0.0.1", 0)) as silent,
        git_process(settings) as (pid, channel),
    ):
        hung = f"http://localhost:{silent.getsockname()[1]}/flows.git"
        channel.send(*[request(hung, f"hung-{n}") for n in range(per_host + 3)])
        channel.send(request(server.url_of(repository), "well"))
        assert channel.flush()
        # What waits has had its chance before the one that answers was begun.
        found = answer(channel)
        assert (found["source"], found["commit"]["sha"]) == ("well", sha)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert per_host <= len(children) <= per_host + 1


def test_no_more_looks_run_than_there_may(tmp_path: Path) -> None:
    settings = LookerSettings(home=tmp_path / "home", catalogue=Registry, at_once=1, per_host=2)
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
        git_process(settings) as (pid, channel),
    ):
        first.settimeout(DEADLINE)
        for name, server in (("localhost", first), ("127.0.0.1", second)):
            channel.send(
                request(f"http://{name}:{server.getsockname()[1]}/flows.git", f"source-{name[0]}")
            )
        assert channel.flush()
        asked, _ = first.accept()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert len(children) == 1
        asked.close()
        second.settimeout(DEADLINE)
        second.accept()[0].close()
