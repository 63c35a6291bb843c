"""Runs jobs in threads of this process, for `penstock run` and tests: no socket, no server.

The same `execute` and the same task runners are used as in a runner process. What is missing is
what a process of its own gives: a task that does not heed a cancel keeps its thread until it ends.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from penstock_runner.jobs import processes
from penstock_runner.jobs.cancellation import Cancellation, Reason
from penstock_runner.jobs.execute import execute
from penstock_runner.jobs.logs import FLUSH_SECONDS
from penstock_runner.jobs.orphans import Orphans
from penstock_runner.jobs.parts import Parts
from penstock_runner.jobs.protocol import Job, JobId, Report
from penstock_runner.jobs.settings import RunnerSettings, Stop
from penstock_runner.taskrunners import descendants
from penstock_runner.taskrunners.api import Command, Ended, Spawner
from penstock_runner.taskrunners.limits import ProcessLimits
from penstock_runner.tasks.api import Cancelled

REAP_SECONDS = 1.0
REAP_STEP = 0.01


class Listener(Protocol):
    """Who hears what jobs say; called from their threads."""

    def lines(self, job: JobId, lines: list[list[Any]], task_id: str | None) -> None:
        """Log lines: number, instant, level, text, stream."""
        ...

    def report(self, report: Report) -> None:
        """A job has ended."""
        ...

    def call(self, job: Job, operation: str, arguments: Mapping[str, Any]) -> Any:
        """A job asks; may raise `TaskFailed` or an `ExpressionFailed`."""
        ...


class LocalChild:
    """A process that this process started and watches."""

    def __init__(self, pid: int, folder: Path, orphans: Orphans) -> None:
        self.pid = pid
        self._folder = folder
        self._orphans = orphans
        self._over = threading.Event()
        self._ended: Ended | None = None
        threading.Thread(target=self._watch, daemon=True, name=f"process-{pid}").start()

    def wait(self, timeout: float | None) -> Ended | None:
        """How it ended; None while it runs."""
        self._over.wait(timeout)
        return self._ended

    def signal(self, number: int) -> None:
        """Send a signal to the process group, with SIGKILL to every descendant."""
        if self._over.is_set():
            return
        if number == signal.SIGKILL:
            descendants.kill(descendants.tree_of(self.pid))
        descendants.kill_group(self.pid, number)

    def _watch(self) -> None:
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        left = self._orphans.clear_session(self.pid, self._folder, ())
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        killed = None
        if found is not None and found.si_code != os.CLD_EXITED:
            killed = found.si_status
        code = found.si_status if found is not None else 1
        self._ended = Ended(
            exit_code=code if killed is None else 128 + killed, signal=killed, left_over=len(left)
        )
        self._over.set()
        self._reap(left)

    def _reap(self, left: list[int]) -> None:
        """Wait for what was killed, and for what that in turn had started."""
        waited = threading.Event()
        for _ in range(int(REAP_SECONDS / REAP_STEP)):
            if not left:
                return
            for pid in list(left):
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                if descendants.facts(pid) is None:
                    left.remove(pid)
            left.extend(self._orphans.clear_session(self.pid, self._folder, left))
            waited.wait(REAP_STEP)


class ThreadOutside:
    """Implements `Outside` and `Spawner` for one job in a thread."""

    def __init__(self, job: Job, settings: RunnerSettings, listener: Listener) -> None:
        self.job = job
        self.cancellation = Cancellation()
        self.spares = None
        self.flush: Callable[[], None] = lambda: None
        self._settings = settings
        self._listener = listener
        self._orphans = Orphans()
        self._lock = threading.Lock()
        self._children: list[LocalChild] = []
        self._timers: list[threading.Timer] = []

    @property
    def spawner(self) -> Spawner:
        """Processes are started right here."""
        return self

    def spawn(self, command: Command, stdout: int, stderr: int) -> LocalChild | Refused:
        """Start a process in a session of its own."""
        with self._lock:
            if self.cancellation.reason is not None:
                return Refused("The attempt was cancelled before the command started")
            try:
                pid = processes.start(
                    command.argv,
                    env=command.env,
                    cwd=str(command.cwd),
                    stdout=stdout,
                    stderr=stderr,
                    run_as=None,
                    limits=ProcessLimits.from_wire(command.limits),
                )
            except processes.NotStarted as failed:
                return Refused(str(failed))
            child = LocalChild(pid, command.folder, self._orphans)
            self._children.append(child)
            return child

    def emit(self, lines: list[list[Any]], task_id: str | None = None) -> None:
        """Hand the lines over."""
        self._listener.lines(self.job.id, lines, task_id)

    def flush_regularly(self, flush: Callable[[], None]) -> None:
        """Remembered for the ticking thread."""
        self.flush = flush

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Ask whoever runs this job."""
        return self._listener.call(self.job, operation, arguments)

    def deadline(self, seconds: float) -> None:
        """Cancel the attempt after this time."""
        self._later(seconds, lambda: self.cancel("timeout"))

    def resumable(self) -> None:
        """Nobody takes up what this program starts: it ends with it."""

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A thread cannot be interrupted; only a cancel from before is noticed."""
        if self.cancellation.reason is not None:
            raise Cancelled
        yield

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Nothing to do."""
        yield

    def cancel(self, reason: Reason, *, force: bool = False) -> None:
        """A signal to its processes, and KILL after the grace."""
        self.cancellation.cancel(reason)
        if force:
            self.cancellation.force()
        stop = Stop.of(self.job.task, self._settings.limits)
        with self._lock:
            children = list(self._children)
        for child in children:
            child.signal(signal.SIGKILL if force else stop.number)
        if not force:
            self._later(stop.grace, lambda: _kill(children))

    def close(self) -> None:
        """Forget what was to happen later."""
        for timer in self._timers:
            timer.cancel()

    def _later(self, seconds: float, act: Callable[[], Any]) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()


def _kill(children: list[LocalChild]) -> None:
    for child in children:
        child.signal(signal.SIGKILL)


class Refused:
    """A process that was never started."""

    def __init__(self, why: str) -> None:
        self._why = why

    def wait(self, timeout: float | None) -> Ended | None:  # noqa: ARG002 - it is over
        """Why."""
        return Ended(exit_code=127, error=self._why)


class InProcess:
    """Takes jobs and runs up to `slots` of them at once."""

    def __init__(self, parts: Parts, listener: Listener) -> None:
        descendants.become_subreaper()
        self._parts = parts
        self._listener = listener
        self._running: dict[JobId, ThreadOutside] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(parts.settings.slots, thread_name_prefix="job")
        threading.Thread(target=self._tick, daemon=True, name="job-logs").start()

    def start(self, job: Job) -> None:
        """Run the job in a thread as soon as one is free."""
        outside = ThreadOutside(job, self._parts.settings, self._listener)
        with self._lock:
            self._running[job.id] = outside
        self._pool.submit(self._run, outside)

    def run(self, job: Job) -> Report:
        """Run the job here and now, and give its report."""
        outside = ThreadOutside(job, self._parts.settings, self._listener)
        with self._lock:
            self._running[job.id] = outside
        return self._execute(outside)

    def cancel(self, job_id: JobId, *, force: bool = False) -> None:
        """Ask a job to stop."""
        with self._lock:
            outside = self._running.get(job_id)
        if outside is not None:
            outside.cancel("killed", force=force)

    def close(self) -> None:
        """Cancel what runs and wait for it."""
        with self._lock:
            running = list(self._running.values())
        for outside in running:
            outside.cancel("killed")
        self._pool.shutdown(wait=True)
        self._closed.set()

    def _run(self, outside: ThreadOutside) -> None:
        self._listener.report(self._execute(outside))

    def _execute(self, outside: ThreadOutside) -> Report:
        try:
            return execute(outside.job, self._parts, outside)
        finally:
            outside.close()
            with self._lock:
                self._running.pop(outside.job.id, None)

    def _tick(self) -> None:
        while not self._closed.wait(FLUSH_SECONDS):
            with self._lock:
                running = list(self._running.values())
            for outside in running:
                outside.flush()
