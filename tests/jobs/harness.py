"""A runner process of its own for a test, spoken to over a real socket."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock_runner.jobs.frames import Channel
from penstock_runner.jobs.parts import Parts, default_parts
from penstock_runner.jobs.protocol import Job
from penstock_runner.jobs.settings import Limits, RunnerSettings, pick_environment
from penstock_runner.jobs.supervisor import Supervisor
from penstock_runner.taskrunners.docker_access import DockerAccess

DEADLINE = 20.0
COMMANDS = "io.kestra.plugin.scripts.shell.Commands"
QUICK = Limits(kill_grace=0.5, answer_grace=0.5)


def now() -> datetime:
    return datetime.now(UTC)


def settings(folder: Path, **changes: Any) -> RunnerSettings:
    given: dict[str, Any] = {
        "home": folder,
        "workspaces": folder / "work",
        "storage": folder / "storage",
        "slots": 4,
        "environment": pick_environment(os.environ),
        "task_runner": "process",
        "docker": DockerAccess(hosts=()),
        "limits": QUICK,
    }
    return RunnerSettings(**{**given, **changes})


def job(task: Mapping[str, Any], *, key: str = "t", attempt: int = 1, **more: Any) -> Job:
    given: dict[str, Any] = {
        "execution_id": "x1",
        "taskrun_id": f"run-{key}",
        "namespace": "team.app",
        "flow_id": "build",
        "flow_revision": 7,
        "variables": {},
    }
    return Job(key=key, attempt=attempt, task={"id": key, **task}, **{**given, **more})


def commands(*lines: str, key: str = "t", timeout: str | None = None, **properties: Any) -> Job:
    task: dict[str, Any] = {"type": COMMANDS, "properties": {"commands": list(lines), **properties}}
    if timeout:
        task["timeout"] = timeout
    return job(task, key=key)


class Runner:
    """The core side of one runner process."""

    def __init__(self, channel: Channel, pid: int) -> None:
        self.channel = channel
        self.pid = pid
        self.seen: list[dict[str, Any]] = []
        self._read = 0

    def send(self, *messages: Mapping[str, Any]) -> None:
        self.channel.send(*messages)
        assert self.channel.flush()

    def start(self, wanted: Job) -> None:
        self.send(wanted.to_wire())

    def cancel(self, wanted: Job, *, force: bool = False) -> None:
        execution_id, key, attempt = wanted.id
        name = {"execution_id": execution_id, "key": key, "attempt": attempt}
        self.send({"type": "cancel", **name, "force": force})

    def until(self, what: str, check: Any) -> dict[str, Any]:
        """The first message, seen or to come, that fits."""
        index = 0
        until = time.monotonic() + DEADLINE
        while True:
            while index < len(self.seen):
                if check(self.seen[index]):
                    return self.seen[index]
                index += 1
            left = until - time.monotonic()
            assert left > 0, f"no {what}; seen: {self.seen[-5:]}"
            select.select([self.channel], [], [], left)
            self.seen.extend(self.channel.receive())

    def report(self, of: Job) -> dict[str, Any]:
        return self.until(
            f"report of {of.key}", lambda m: m["type"] == "report" and m["key"] == of.key
        )

    def line(self, text: str) -> list[Any]:
        """The first log line with this text in it."""
        message = self.until(
            f"line {text!r}",
            lambda m: m["type"] == "logs" and any(text in line[3] for line in m["lines"]),
        )
        return next(line for line in message["lines"] if text in line[3])

    def lines(self, of: Job) -> list[list[Any]]:
        """All lines of a job so far: number, instant, level, text, stream."""
        logs = [m for m in self.seen if m["type"] == "logs" and m["key"] == of.key]
        return [line for message in logs for line in message["lines"]]

    def texts(self, of: Job) -> list[str]:
        return [line[3] for line in self.lines(of)]

    def do(self, wanted: Job) -> dict[str, Any]:
        self.start(wanted)
        return self.report(wanted)


@contextmanager
def runner(folder: Path, parts: Parts | None = None, **changes: Any) -> Iterator[Runner]:
    """A running runner process; ends with its channel."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        try:
            chosen = parts or default_parts(settings(folder, **changes), now)
            Supervisor(Channel(theirs), chosen).run()
        except BaseException:  # noqa: BLE001 - a forked child must not return into pytest
            traceback.print_exc(file=sys.stderr)
            os._exit(1)
        os._exit(0)
    theirs.close()
    runner = Runner(Channel(ours), pid)
    try:
        yield runner
    finally:
        runner.channel.close()
        _wait(pid)


def _wait(pid: int) -> None:
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        select.select([], [], [], 0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the runner did not end with its channel")


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def gone(pid: int) -> bool:
    """Whether a process goes away before the deadline."""
    until = time.monotonic() + DEADLINE
    while alive(pid):
        if time.monotonic() > until:
            return False
        select.select([], [], [], 0.01)
    return True
