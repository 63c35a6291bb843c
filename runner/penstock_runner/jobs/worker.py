"""A worker: a forked process that does one job at a time, all of it that is Python.

The main thread runs the job; a second thread reads what the supervisor says (a cancel, an answer,
the end of a process) and sends waiting log lines five times a second. Processes are started by the
supervisor: a worker makes the pipes, passes their write ends and reads the lines itself.
"""

from __future__ import annotations

import itertools
import os
import queue
import select
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from penstock_runner.jobs.calls import answer_error
from penstock_runner.jobs.cancellation import Cancellation
from penstock_runner.jobs.execute import execute
from penstock_runner.jobs.frames import Channel, ChannelClosed
from penstock_runner.jobs.logs import FLUSH_SECONDS
from penstock_runner.jobs.parts import Parts
from penstock_runner.jobs.protocol import Job
from penstock_runner.jobs.spares import Spares
from penstock_runner.jobs.strays import kill_strays
from penstock_runner.jobs.trees import remove_tree
from penstock_runner.jobs.workspace import workspace_folder
from penstock_runner.taskrunners.api import Command, Ended, Spawner
from penstock_runner.tasks.api import Cancelled, TaskFailed

FIRST_OWN_DESCRIPTOR = 3


class Link:
    """The worker's end of its channel; any thread may send, only one reads."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._lock = threading.Lock()

    def send(self, *messages: Any, wait: bool = True) -> None:
        """Queue messages and write them; with `wait` until the last byte is out."""
        with self._lock:
            self.channel.send(*messages)
            done = self.channel.flush()
        while wait and not done:
            select.select([], [self.channel], [], 1.0)
            with self._lock:
                done = self.channel.flush()


class SpawnedChild:
    """A process that the supervisor started for this worker."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._ended: Ended | None = None

    def end(self, ended: Ended) -> None:
        """Called by the reading thread."""
        self._ended = ended
        self._over.set()

    def wait(self, timeout: float | None) -> Ended | None:
        """How it ended; None while it runs."""
        self._over.wait(timeout)
        return self._ended


class Worker:
    """Implements `Outside` and `Spawner` for the job that it has."""

    def __init__(self, channel: Channel, descriptors: socket.socket, parts: Parts) -> None:
        self._link = Link(channel)
        self._descriptors = descriptors
        self._parts = parts
        self._main = threading.main_thread()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._children: dict[int, SpawnedChild] = {}
        self._answers: dict[int, queue.SimpleQueue[Mapping[str, Any]]] = {}
        self._sessions: set[int] = set()
        self._job: Job | None = None
        self._flush: Callable[[], None] | None = None
        self._interruptible = False
        self._shielded = False
        self._sending = False
        self.cancellation = Cancellation()
        self.spares = Spares(parts.settings.workspaces, parts.settings.run_as)

    def run(self) -> None:
        """Do jobs until the supervisor closes the channel."""
        signal.signal(signal.SIGUSR1, self._interrupt)
        threading.Thread(target=self._read, daemon=True, name="supervisor").start()
        try:
            while True:
                job = self._jobs.get()
                report = execute(job, self._parts, self)
                self._flush = None
                self._job = None
                self._link.send(report.to_wire())
        except (ChannelClosed, BrokenPipeError):
            self._abandon()

    @property
    def spawner(self) -> Spawner:
        """The supervisor starts processes, through this worker."""
        return self

    def spawn(self, command: Command, stdout: int, stderr: int) -> SpawnedChild:
        """Ask the supervisor for a process that writes into these descriptors."""
        number = next(self._numbers)
        child = self._children[number] = SpawnedChild()
        socket.send_fds(self._descriptors, [number.to_bytes(8, "big")], [stdout, stderr])
        self._link.send(
            {
                "type": "spawn",
                "number": number,
                "argv": list(command.argv),
                "env": dict(command.env),
                "cwd": str(command.cwd),
                "limits": command.limits,
            }
        )
        return child

    def emit(self, lines: list[list[Any]], task_id: str | None = None) -> None:
        """Send log lines; a flood waits here until core has taken what came before."""
        job = self._job
        if job is None:
            return
        message = {**_name(job), "type": "logs", "lines": lines}
        if task_id is not None:
            message["task_id"] = task_id
        if threading.current_thread() is not self._main:
            self._link.send(message, wait=False)
            return
        self._sending = True
        try:
            self._link.send(message)
        finally:
            self._sending = False

    def flush_regularly(self, flush: Callable[[], None]) -> None:
        """Called by the reading thread while the job runs."""
        self._flush = flush

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Ask core and wait for its answer."""
        job = self._job
        if job is None:  # pragma: no cover - only a job's own code calls
            raise TaskFailed(f"{operation}: the job has ended")
        number = next(self._numbers)
        answers = self._answers[number] = queue.SimpleQueue()
        self._link.send(
            {
                "type": "call",
                "call": number,
                "execution_id": job.execution_id,
                "namespace": job.namespace,
                "flow_id": job.flow_id,
                "operation": operation,
                "arguments": dict(arguments),
            }
        )
        limit = self._parts.settings.limits.call
        try:
            answer = answers.get(timeout=limit)
        except queue.Empty:
            raise TaskFailed(f"{operation}: no answer within {limit:g} seconds") from None
        finally:
            del self._answers[number]
        if answer.get("error") is not None:
            raise answer_error(str(answer["error"]), answer.get("error_type"))
        return answer.get("value")

    def deadline(self, seconds: float) -> None:
        """The supervisor cancels the attempt after this time."""
        self._link.send({"type": "deadline", "seconds": seconds})

    def resumable(self) -> None:
        """The supervisor leaves what this attempt has started when it ends itself."""
        self._link.send({"type": "resumable"})

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A cancel raises `Cancelled` in the main thread while this is entered."""
        self._interruptible = True
        try:
            if self.cancellation.reason is not None:
                raise Cancelled
            yield
        finally:
            self._interruptible = False

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """A cancel ends the process in here; the task then goes on to its own end."""
        before, self._interruptible = self._interruptible, False
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
            self._interruptible = before and self.cancellation.reason is None

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._interruptible and not self._sending:
            self._interruptible = False
            raise Cancelled

    def _read(self) -> None:
        try:
            while True:
                busy = self._job is not None
                ready, _, _ = select.select(
                    [self._link.channel], [], [], FLUSH_SECONDS if busy else None
                )
                if ready:
                    for message in self._link.channel.receive():
                        self._heed(message)
                elif self._flush is not None:
                    self._flush()
                    self._link.send(wait=False)
                    self._press_on()
        except ChannelClosed:
            self._abandon()

    def _heed(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "job":
                job = Job.from_wire(message)
                self.cancellation = Cancellation()
                self._children.clear()
                self._sessions.clear()
                self._job = job
                self._jobs.put(job)
            case "cancel":
                self.cancellation.cancel(message["reason"])
                if message.get("force"):
                    self.cancellation.force()
                self._press_on()
            case "spawned":
                self._sessions.add(message["pid"])
            case "exited":
                child = self._children.pop(message["number"], None)
                if child is not None:
                    child.end(Ended(**message["ended"]))
            case "answer":
                answers = self._answers.get(message["call"])
                if answers is not None:
                    answers.put(message)
            case _:
                pass  # a newer supervisor may say more

    def _press_on(self) -> None:
        """Interrupt the task of a cancelled attempt, unless a process of it is about to end."""
        if self.cancellation.reason is not None and not self._shielded and self._main.ident:
            signal.pthread_kill(self._main.ident, signal.SIGUSR1)

    def _abandon(self) -> None:
        """The supervisor is gone: nothing of this job may stay."""
        job = self._job
        try:
            if job is not None:
                root = self._parts.settings.workspaces
                folder = workspace_folder(root, job.taskrun_id, job.attempt)
                kill_strays(folder, self._sessions)
                remove_tree(folder)
            self.spares.close()
        finally:
            os._exit(0)


def start(channel: Channel, descriptors: socket.socket, parts: Parts) -> None:
    """The life of a forked worker; never returns."""
    try:
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        _close_others({channel.fileno(), descriptors.fileno()})
        Worker(channel, descriptors, parts).run()
    except BaseException:  # noqa: BLE001 - the last chance to say why; the supervisor reports the job
        traceback.print_exc()
    finally:
        os._exit(1)


def _close_others(keep: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are numbers, not files
        descriptor = int(name)
        if descriptor >= FIRST_OWN_DESCRIPTOR and descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                continue


def _name(job: Job) -> dict[str, Any]:
    return {"execution_id": job.execution_id, "key": job.key, "attempt": job.attempt}
