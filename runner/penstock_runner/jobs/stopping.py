"""How a job is stopped: politely, then its processes by force, at last its worker.

TERM, or the signal that its task names, goes to its process groups, after the grace KILL to every
descendant, and to the worker when it does not answer. Instants are of the monotonic clock and are
given.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable

from penstock_runner.jobs.cancellation import Reason
from penstock_runner.jobs.live import LiveJob, LiveProcess
from penstock_runner.jobs.settings import Limits
from penstock_runner.taskrunners import descendants

STEP = 0.005


def ask(job: LiveJob, reason: Reason, *, limits: Limits, now: float, force: bool = False) -> None:
    """Ask a job to stop; asking again with `force` skips what is left of the grace."""
    grace = 0.0 if force else job.stop.grace
    if job.cancelled is None:
        job.cancelled = reason
        job.deadline = None
        job.seat.channel.send({"type": "cancel", "reason": reason, "force": force})
        for process in job.processes.values():
            descendants.kill_group(process.pid, job.stop.number)
    elif not force:
        return
    else:
        job.seat.channel.send({"type": "cancel", "reason": job.cancelled, "force": True})
    job.kill_at = now + grace
    job.give_up_at = now + grace + limits.answer_grace


def keep_time(job: LiveJob, *, limits: Limits, now: float) -> bool:
    """Do what is due for a job; whether its processes did not heed the first signal."""
    escalated = False
    if job.deadline is not None and now >= job.deadline:
        ask(job, "timeout", limits=limits, now=now)
        if job.renders_only:
            job.give_up_at = now
    if job.kill_at is not None and now >= job.kill_at:
        job.kill_at = None
        escalated = bool(job.processes) and job.stop.grace > 0
        kill_all(job.processes.values())
    if job.give_up_at is not None and now >= job.give_up_at:
        job.give_up_at = None
        descendants.kill([job.seat.pid])
    return escalated


def process_gone(job: LiveJob, *, limits: Limits, now: float) -> None:
    """A cancelled job without processes still has output files to keep; then it must answer."""
    if job.give_up_at is not None and not job.processes:
        job.kill_at = None
        job.give_up_at = now + job.stop.grace + limits.answer_grace


def kill_all(processes: Iterable[LiveProcess]) -> None:
    """Kill processes with all that descends from them now."""
    for process in list(processes):
        descendants.kill(descendants.tree_of(process.pid))
        descendants.kill_group(process.pid)


def kill_children(seconds: float) -> None:
    """Kill every child of this process, and the orphans that follow, until none is left."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        descendants.kill(descendants.children_of(os.getpid()))
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                select.select([], [], [], STEP)
        except ChildProcessError:
            return
