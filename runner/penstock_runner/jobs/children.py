"""Every process that a supervisor has started, from its start until it is reaped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache as cached
from typing import Any

from penstock_runner.jobs import control_groups, processes
from penstock_runner.jobs.control_groups import Group
from penstock_runner.jobs.crew import Crew
from penstock_runner.jobs.live import LiveJob, LiveProcess
from penstock_runner.jobs.orphans import Orphans
from penstock_runner.jobs.settings import RunAs
from penstock_runner.taskrunners.api import Ended
from penstock_runner.taskrunners.limits import ProcessLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A child that has ended; `number` is the signal that ended it, `process` is that of a job.

    `ran_out` is whether its control group says that memory was what it, or a child, wanted.
    """

    pid: int
    status: int
    number: int | None
    process: LiveProcess | None = None
    left_over: int = 0
    ran_out: bool = False


class Children:
    """Starts processes of jobs, and knows which of our children are whose."""

    def __init__(self, crew: Crew, run_as: RunAs | None) -> None:
        self._crew = crew
        self._run_as = run_as
        self._orphans = Orphans()
        self._memory = processes.MemoryWatch()
        self._groups = cached(control_groups.find)
        self._processes: dict[int, LiveProcess] = {}
        self._others: set[int] = set()

    @property
    def of_jobs(self) -> list[LiveProcess]:
        """The processes of jobs that have not ended."""
        return list(self._processes.values())

    def start(
        self, job: LiveJob | None, asked: Mapping[str, Any], stdout: int, stderr: int
    ) -> LiveProcess:
        """Start a command of a job; raises `NotStarted`."""
        if job is None or job.cancelled is not None:
            raise processes.NotStarted("The attempt was cancelled before the command started")
        limits = ProcessLimits.from_wire(asked.get("limits"))
        group = self._group(limits)
        try:
            pid = processes.start(
                asked["argv"],
                env=asked["env"],
                cwd=asked["cwd"],
                stdout=stdout,
                stderr=stderr,
                run_as=job.seat.run_as or self._run_as,
                limits=limits if group is None else group.rest,
                entry=None if group is None else group.entry,
            )
        except processes.NotStarted:
            if group is not None:
                group.leave()
            raise
        process = LiveProcess(pid=pid, number=asked["number"], job=job, group=group)
        self._processes[pid] = job.processes[pid] = process
        return process

    def _group(self, limits: ProcessLimits | None) -> Group | None:
        groups = None if limits is None else self._groups()
        return None if groups is None or limits is None else groups.make(limits)

    def aside(self, work: Callable[[], object]) -> None:
        """Do something that may take long in a process of its own."""
        pid = os.fork()
        if pid == 0:
            try:
                work()
            finally:
                os._exit(0)
        self.leave(pid)

    def leave(self, pid: int) -> None:
        """A child that ends by itself, and is nobody's orphan."""
        self._others.add(pid)

    def reap(self) -> Iterator[Gone]:
        """All children that have ended; what a command has left behind is killed before."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            process = self._processes.pop(pid, None)
            left: list[int] = []
            if process is not None:
                left = self._orphans.clear_session(pid, process.job.folder, self._known())
                del process.job.processes[pid]
            os.waitpid(pid, 0)
            self._others.discard(pid)
            ran_out = _left(process)
            yield Gone(
                pid=pid,
                status=found.si_status,
                number=found.si_status if found.si_code != os.CLD_EXITED else None,
                process=process,
                left_over=len(left),
                ran_out=ran_out,
            )

    def ended(self, gone: Gone, job: LiveJob) -> Ended:
        """How a command of a job has ended."""
        killed = gone.number == signal.SIGKILL and job.cancelled is None
        oom = gone.ran_out and job.cancelled is None and (gone.number is not None or gone.status)
        return Ended(
            exit_code=gone.status if gone.number is None else 128 + gone.number,
            signal=gone.number,
            oom=bool(oom) or (killed and self._memory.ran_out()),
            left_over=gone.left_over,
        )

    def sweep(self, jobs: Iterable[LiveJob]) -> None:
        """Kill every orphan that belongs to none of these jobs."""
        self._orphans.sweep(jobs, self._known())

    def _known(self) -> set[int]:
        return {*self._crew.pids, *self._processes, *self._others}


def _left(process: LiveProcess | None) -> bool:
    """The group of a process that has ended goes; whether memory had run out in it."""
    if process is None or process.group is None:
        return False
    ran_out = process.group.ran_out()
    process.group.leave()
    return ran_out
