"""What becomes of children whose parent is killed: the kernel ends them, and the port is free."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from tests.e2e import processes
from tests.live import live_service, wait_for

from penstock_server.processes import Child, Processes

pytestmark = pytest.mark.e2e


def stubborn(path: Path) -> None:
    """Ignore a polite stop, and say who one is."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    path.write_text(str(os.getpid()))
    while True:
        signal.pause()


def test_a_child_that_makes_room_at_once_ends_with_its_parent(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    child = Child(name="web0", main=lambda: stubborn(file), orphaned=signal.SIGKILL)
    parent = os.fork()
    if parent == 0:
        try:
            Processes([child]).run(lambda: None)
        finally:
            os._exit(1)
    pid = int(wait_for(lambda: file.read_text() if file.exists() else "", bool))
    assert processes.alive(pid)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    wait_for(lambda: processes.alive(pid), lambda still: not still)


def test_a_service_whose_parent_was_killed_starts_again_at_its_port(tmp_path: Path) -> None:
    with live_service(tmp_path) as service:
        assert service.process is not None
        everybody = processes.below(service.process.pid)
        processes.crash(service.process.pid)
        service.process.wait(10)
        wait_for(lambda: [pid for pid in everybody if processes.alive(pid)], lambda left: not left)
        with socket.create_server(("127.0.0.1", service.port)):
            pass
        service.kill()
        service.start()
        assert service.get("/health/ready").status_code == 200
        assert "Traceback" not in service.said()
