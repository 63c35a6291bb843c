"""The runner process: it starts every process of every job and lets none of them escape.

It reads jobs from core and gives each to a worker, relays what workers say, starts processes for
them, stops what has to stop, and reaps. It is the sub-reaper of all it starts, so that orphans
become its children. It renders nothing and runs no task: nothing here may block.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock_runner.engine.state import State
from penstock_runner.jobs import processes, stopping, strays, verdicts
from penstock_runner.jobs.children import Children, Gone
from penstock_runner.jobs.containers import Containers, named
from penstock_runner.jobs.crew import Crew, Seat
from penstock_runner.jobs.frames import Channel, ChannelClosed
from penstock_runner.jobs.leaving import Leaving
from penstock_runner.jobs.live import LiveJob, LiveProcess
from penstock_runner.jobs.parts import Parts, warm
from penstock_runner.jobs.protocol import JobId
from penstock_runner.jobs.settings import Stop
from penstock_runner.jobs.sockets import Sockets
from penstock_runner.jobs.spares import spare_root
from penstock_runner.jobs.trees import remove_tree, sweep
from penstock_runner.jobs.workspace import workspace_folder
from penstock_runner.taskrunners import descendants
from penstock_runner.taskrunners.api import Ended

STOP_SECONDS = 5.0
TELL_SECONDS = 0.02


class Supervisor:
    """One runner, connected to core by `channel`."""

    def __init__(self, channel: Channel, parts: Parts) -> None:
        self._core = channel
        self._limits = parts.settings.limits
        self._settings = replace(parts.settings, docker=named(parts.settings.docker))
        self._parts = replace(parts, settings=self._settings)
        self._crew = Crew(self._parts)
        self._children = Children(self._crew, self._settings.run_as)
        self._containers = Containers(self._settings, self._children.aside)
        self._queue: deque[Mapping[str, Any]] = deque()
        self._lost_a_worker = False
        self._jobs: dict[JobId, LiveJob] = {}
        self._call_numbers = itertools.count(1)
        self._calls: dict[int, tuple[Seat, int]] = {}
        self._leaving = Leaving(self._limits)
        self._beat_at = time.monotonic() + self._limits.beat

    def run(self) -> None:
        """Work until core closes the channel, or until drained; then leave nothing behind."""
        self._prepare()
        try:
            self._introduce()
            while not self._done():
                self._turn()
        except ChannelClosed:
            pass
        finally:
            self._stop()

    def _prepare(self) -> None:
        descendants.become_subreaper()
        strays.kill_strays(self._settings.workspaces)
        self._sweep()
        if self._settings.run_as is not None:
            self._settings.workspaces.chmod(0o711)  # its user must reach its own folder
        self._containers.begin()
        warm(self._parts)
        gc.collect()
        gc.freeze()
        self._wake, writer = socket.socketpair()
        self._wake.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        writer.setblocking(False)  # noqa: FBT003
        self._wake_writer = writer
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._leaving.drain())
        signal.signal(signal.SIGUSR1, lambda _number, _frame: self._leaving.hurry())
        # Passed over, but not ignored: what is ignored stays so in every process of a job.
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._sockets = Sockets(self._core, self._wake)

    def _introduce(self) -> None:
        self._core.send(
            {
                "type": "hello",
                "runner": self._settings.name,
                "labels": list(self._settings.labels),
                "namespaces": list(self._settings.namespaces),
                "protected": self._settings.protected,
                "slots": self._settings.slots,
                "pid": os.getpid(),
            }
        )
        self._core.flush()
        self._add_worker()

    def _heed_end(self) -> None:
        if self._leaving.begins(time.monotonic()) and not self._leaving.orphaned:
            self._core.send({"type": "leaving"})

    def _done(self) -> bool:
        self._heed_end()
        if self._leaving.over:
            return True
        return self._leaving.began and not self._jobs and not self._core.pending

    def _turn(self) -> None:
        for said in self._sockets.ready(self._patience()):
            if said is self._core:
                self._hear_core()
            elif isinstance(said, Seat):
                self._hear_worker(said)
            else:
                with contextlib.suppress(BlockingIOError):
                    self._wake.recv(4096)
                self._reap()
        self._keep_time()
        self._hand_out()
        self._sockets.write(self._crew)
        if not self._leaving.began and self._crew.idle() is None:
            self._add_worker()

    # core

    def _hear_core(self) -> None:
        for message in self._core.receive():
            match message["type"]:
                case "job":
                    self._queue.append(message)
                case "cancel":
                    self._cancel_asked(_id(message), force=bool(message.get("force")))
                case "answer":
                    seat, number = self._calls.pop(message["call"], (None, 0))
                    if seat is not None and self._crew.of_pid(seat.pid) is seat:
                        seat.channel.send({**message, "call": number})
                case "drain":
                    self._leaving.drain()
                case _:
                    pass  # a newer core may say more

    def _cancel_asked(self, job_id: JobId, *, force: bool) -> None:
        job = self._jobs.get(job_id)
        if job is not None:
            now = time.monotonic()
            stopping.ask(job, "killed", limits=self._limits, now=now, force=force)
            return
        for waiting in self._queue:
            if _id(waiting) == job_id:
                self._queue.remove(waiting)
                at = self._parts.now()
                self._core.send(*verdicts.messages(job_id, State.KILLED, "killed", at))
                return

    def _leave(self, now: float) -> None:
        """Stop what still runs, without a report: core sees it gone, and starts it again."""
        for job in list(self._jobs.values()):
            if not job.resumable:
                stopping.ask(job, "killed", limits=self._limits, now=now)

    def _hand_out(self) -> None:
        self._heed_end()  # nothing begins after the signal, whenever in this turn it came
        while self._queue and self._leaving.began:
            execution_id, key, attempt = _id(self._queue.popleft())
            name = {"execution_id": execution_id, "key": key, "attempt": attempt}
            self._core.send({"type": "returned", **name})
        while self._queue:
            seat = self._crew.idle() or self._add_worker()
            if seat is None:
                return
            message = self._queue.popleft()
            folder = workspace_folder(
                self._settings.workspaces, message["taskrun_id"], message["attempt"]
            )
            job = LiveJob(
                id=_id(message),
                seat=seat,
                folder=folder,
                stop=Stop.of(message["task"], self._limits),
                renders_only=message.get("evaluate") is not None,
            )
            seat.job = job
            self._jobs[job.id] = job
            seat.channel.send(message)
            job.news = {"type": "started", **job.name, "at": self._parts.now()}
            job.tell_at = time.monotonic() + TELL_SECONDS

    def _add_worker(self) -> Seat | None:
        if len(self._crew) >= self._settings.slots:
            return None
        seat = self._crew.fork()
        self._sockets.listen(seat)
        return seat

    # workers

    def _hear_worker(self, seat: Seat) -> None:
        try:
            messages = seat.channel.receive()
        except ChannelClosed:
            self._sockets.forget(seat)
            return
        for message in messages:
            self._heed(seat, message)

    def _heed(self, seat: Seat, message: dict[str, Any]) -> None:
        job = seat.job
        match message["type"]:
            case "logs":
                self._tell_started(job)
                if job is not None:
                    job.last_line = max(job.last_line, message["lines"][-1][0])
                self._core.send(message)
            case "spawn":
                self._spawn(seat, message)
            case "deadline":
                if job is not None:
                    job.timeout = float(message["seconds"])
                    job.deadline = time.monotonic() + job.timeout
            case "resumable":
                if job is not None:
                    job.resumable = True
            case "call":
                self._tell_started(job)
                number = next(self._call_numbers)
                self._calls[number] = (seat, message["call"])
                self._core.send({**message, "call": number})
            case "report":
                self._tell_started(job)
                if not self._leaving.stopped:
                    self._core.send(message)
                if job is not None:
                    self._end(job)
                self._recycle(seat)
            case _:
                pass

    def _tell_started(self, job: LiveJob | None) -> None:
        """Tell core that a job has begun, if it has not heard it yet.

        That is not said at once: what comes within moments, most of all the end of a short job,
        goes with it, and core writes both together.
        """
        if job is not None and job.news is not None:
            self._core.send(job.news)
            job.news = job.tell_at = None

    def _spawn(self, seat: Seat, message: Mapping[str, Any]) -> None:
        _, descriptors, _, _ = socket.recv_fds(seat.descriptors, 8, 2)
        try:
            process = self._children.start(seat.job, message, *descriptors)
        except processes.NotStarted as failed:
            ended = Ended(exit_code=127, error=str(failed))
            self._tell_ended(seat, message["number"], ended)
            return
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        seat.channel.send({"type": "spawned", "pid": process.pid})

    def _tell_ended(self, seat: Seat, number: int, ended: Ended) -> None:
        fields = {name: getattr(ended, name) for name in Ended.__dataclass_fields__}
        seat.channel.send({"type": "exited", "number": number, "ended": fields})

    def _recycle(self, seat: Seat) -> None:
        seat.jobs_done += 1
        seat.idle_since = time.monotonic()
        if seat.jobs_done >= self._limits.jobs_per_worker:
            self._retire(seat)

    def _retire(self, seat: Seat) -> None:
        self._sockets.forget(seat)
        self._crew.remove(seat)
        self._children.leave(seat.pid)

    # time

    def _patience(self) -> float:
        dues = [due for job in self._jobs.values() if (due := job.next_due) is not None]
        dues.append(self._beat_at)
        if self._leaving.due is not None:
            dues.append(self._leaving.due)
        if self._containers.due is not None:
            dues.append(self._containers.due)
        if len(self._crew) > 1:
            dues.append(time.monotonic() + self._limits.idle_worker)
        return max(0.0, min(dues) - time.monotonic())

    def _keep_time(self) -> None:
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if job.tell_at is not None and now >= job.tell_at:
                self._tell_started(job)
            if stopping.keep_time(job, limits=self._limits, now=now):
                execution_id, key, attempt = job.id
                told = {"execution_id": execution_id, "key": key, "attempt": attempt}
                self._core.send({"type": "escalated", **told})
        self._containers.keep_time(now, [job.folder for job in self._jobs.values()])
        for seat in self._crew.surplus(now, self._limits.idle_worker):
            self._retire(seat)
        if self._leaving.stops(now):
            self._leave(now)
        if now >= self._beat_at:
            self._beat_at = now + self._limits.beat
            self._core.send({"type": "beat"})

    # processes

    def _reap(self) -> None:
        orphaned = False
        for gone in self._children.reap():
            if gone.process is not None:
                self._process_ended(gone.process, gone)
            elif (seat := self._crew.of_pid(gone.pid)) is not None:
                self._worker_died(seat, gone.number)
            orphaned = orphaned or gone.process is None or bool(gone.left_over)
        if orphaned:
            self._children.sweep(self._jobs.values())

    def _process_ended(self, process: LiveProcess, gone: Gone) -> None:
        job = process.job
        stopping.process_gone(job, limits=self._limits, now=time.monotonic())
        self._tell_ended(job.seat, process.number, self._children.ended(gone, job))

    def _worker_died(self, seat: Seat, number: int | None) -> None:
        with contextlib.suppress(ChannelClosed):
            for message in seat.channel.receive():
                if message["type"] != "spawn":
                    self._heed(seat, message)
        job = seat.job
        self._sockets.forget(seat)
        self._crew.remove(seat)
        if job is None:
            return
        stopping.kill_all(job.processes.values())
        self._tell_started(job)
        if not self._leaving.stopped:
            self._core.send(*verdicts.of_lost_worker(job, number, self._parts.now()))
        self._end(job)
        self._lost_a_worker = True
        resumable = job.resumable and job.cancelled is None
        remove_containers = self._containers.lost(job.folder, resumable=resumable)

        def tidy_up() -> None:
            remove_containers()
            remove_tree(job.folder)

        self._children.aside(tidy_up)

    def _sweep(self) -> None:
        """Remove the folders that earlier workers left behind."""
        for root in (self._settings.workspaces, spare_root(self._settings.workspaces)):
            sweep(root)

    def _end(self, job: LiveJob) -> None:
        job.seat.job = None
        self._jobs.pop(job.id, None)
        self._children.sweep(self._jobs.values())

    def _stop(self) -> None:
        """Kill everything, children of children included, and wait until it is gone."""
        stopping.kill_all(self._children.of_jobs)
        stopping.kill_children(STOP_SECONDS)
        if self._jobs or self._lost_a_worker:  # who tidied up after it was killed just now
            self._containers.end(job.folder for job in self._jobs.values() if job.cancelled)
        self._sweep()
        signal.set_wakeup_fd(-1)
        self._sockets.close()


def _id(message: Mapping[str, Any]) -> JobId:
    return (message["execution_id"], message["key"], message["attempt"])
