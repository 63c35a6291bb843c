"""A real daemon that is out of reach for a while, or for good."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import Runner, runner
from tests.taskrunners.real_docker import client, containers, daemon, in_container

from penstock_runner.jobs.protocol import Job
from penstock_runner.taskrunners.docker_access import DockerAccess

pytestmark = pytest.mark.docker


class Way:
    """A socket that leads to the daemon's, until it is cut."""

    def __init__(self, here: Path, there: str) -> None:
        self.host = f"unix://{here}"
        self._there = there
        self._open = True
        self._joined: list[socket.socket] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(here))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break what is connected; nothing connects until `mend`."""
        self._open = False
        for one in self._joined:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._joined.clear()

    def mend(self) -> None:
        self._open = True

    def close(self) -> None:
        self.cut()
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listening.accept()
                if not self._open:
                    ours.close()
                    continue
                theirs = socket.socket(socket.AF_UNIX)
                theirs.connect(self._there)
                self._joined += [ours, theirs]
                for pair in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    found = daemon()
    if not found.host.startswith("unix://"):
        pytest.skip("the daemon listens on no socket that could be led around")
    here = tmp_path_factory.mktemp("p") / "d.sock"
    way = Way(here, found.host.removeprefix("unix://"))
    yield way
    way.close()


def through(way: Way, patience: float) -> DockerAccess:
    return DockerAccess(hosts=(way.host,), patience=patience)


def let_go(folder: Path) -> None:
    [one] = containers(daemon(), folder)
    client(daemon()).containers.get(one["Id"]).exec_run(["touch", "/tmp/go"])


def begun(core: Runner, wanted: Job) -> None:
    core.start(wanted)
    core.line("ready")


WAITS = "until [ -f /tmp/go ]; do sleep 0.05; done"


@pytest.mark.parametrize("ends", ["after the cut", "during the cut"])
def test_nothing_is_missing_or_doubled_when_the_connection_breaks(
    tmp_path: Path, way: Way, ends: str
) -> None:
    wanted = in_container(
        "seq 3000; seq 3001 3500 >&2; echo ready",
        WAITS,
        "seq 3501 4000; echo done > out.txt; exit 3",
        outputFiles=["out.txt"],
    )
    with runner(tmp_path, docker=through(way, 60)) as core:
        begun(core, wanted)
        way.cut()
        if ends == "during the cut":
            [one] = containers(daemon(), tmp_path)
            let_go(tmp_path)
            client(daemon()).containers.get(one["Id"]).wait(timeout=20)
            way.mend()
        else:
            way.mend()
            let_go(tmp_path)
        report = core.report(wanted)
        numbers = [int(text) for text in core.texts(wanted) if text.isdigit()]
    assert (report["state"], report["exit_code"]) == ("FAILED", 3)
    assert sorted(numbers) == list(range(1, 4001))
    assert list(report["outputs"]["outputFiles"]) == ["out.txt"]
    assert containers(daemon(), tmp_path) == []


def test_a_daemon_that_stays_away_fails_the_task_with_the_name_of_its_container(
    tmp_path: Path, way: Way
) -> None:
    wanted = in_container("echo ready", "sleep 600")
    try:
        with runner(tmp_path, docker=through(way, 0.5)) as core:
            begun(core, wanted)
            [one] = containers(daemon(), tmp_path)
            way.cut()
            report = core.report(wanted)
        assert (report["state"], report["reason"]) == ("FAILED", "setup")
        assert "does not answer since 0.5 seconds" in report["error"]
        assert one["Id"][:12] in report["error"]
    finally:
        remove_all(tmp_path)


def test_a_kill_does_not_wait_for_a_daemon_that_is_away(tmp_path: Path, way: Way) -> None:
    wanted = in_container("echo ready", "sleep 600")
    try:
        with runner(tmp_path, docker=through(way, 600)) as core:
            begun(core, wanted)
            way.cut()
            core.cancel(wanted)
            assert core.report(wanted)["state"] == "KILLED"
    finally:
        remove_all(tmp_path)


def test_a_container_that_somebody_removes_is_told(tmp_path: Path) -> None:
    found: Any = daemon()
    wanted = in_container("echo ready", "sleep 600")
    with runner(tmp_path, docker=DockerAccess(hosts=(found.host,))) as core:
        begun(core, wanted)
        [one] = containers(found, tmp_path)
        client(found).api.remove_container(one["Id"], force=True)
        report = core.report(wanted)
    assert (report["state"], bool(report["error"])) == ("FAILED", True)


def remove_all(folder: Path) -> None:
    for left in containers(daemon(), folder):
        client(daemon()).api.remove_container(left["Id"], force=True)
