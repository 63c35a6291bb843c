"""Kills what jobs leave behind, as a sub-reaper sees it: its own children that it did not start.

An orphan belongs to a live command by its session, else to a live job by the mark in its
environment. One that hides both is kept while any job lives that lived when it was first seen,
since it may be a part of that job's work; then it is killed like the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable

from penstock_runner.jobs.live import LiveJob, LiveProcess
from penstock_runner.jobs.protocol import JobId
from penstock_runner.jobs.strays import MARK
from penstock_runner.taskrunners import descendants


class Orphans:
    """Looks after the orphans of one process."""

    def __init__(self, children: Callable[[], list[int]] | None = None) -> None:
        self._children = children or (lambda: descendants.children_of(os.getpid()))
        self._suspects: dict[int, frozenset[JobId]] = {}

    def clear_session(self, process: LiveProcess, known: Collection[int]) -> int:
        """Kill all that an ended command left behind; how many processes were seen."""
        left: list[int] = []
        for pid in self._children():
            if pid == process.pid or pid in known:
                continue
            found = descendants.facts(pid)
            if found is None or found.gone:
                continue
            marked = descendants.environment_of(pid, MARK) == str(process.job.folder)
            if found.session == process.pid or marked:
                left.append(pid)
        for pid in left:
            descendants.kill(descendants.tree_of(pid))
        descendants.kill_group(process.pid)
        return len(left)

    def sweep(self, jobs: Iterable[LiveJob], known: Collection[int]) -> int:
        """Kill every orphan that belongs to no live job; how many there were."""
        orphans = [pid for pid in self._children() if pid not in known]
        if not orphans:
            self._suspects.clear()
            return 0
        live = list(jobs)
        killed = [pid for pid in orphans if self._doomed(pid, live)]
        descendants.kill(killed)
        self._suspects = {pid: seen for pid, seen in self._suspects.items() if pid in orphans}
        return len(killed)

    def _doomed(self, pid: int, jobs: list[LiveJob]) -> bool:
        found = descendants.facts(pid)
        if found is None or found.gone:
            return False
        mark = descendants.environment_of(pid, MARK)
        for job in jobs:
            if found.session in job.processes or mark == str(job.folder):
                return not job.processes
        if mark is not None:
            return True
        first_seen = self._suspects.setdefault(pid, frozenset(job.id for job in jobs))
        return first_seen.isdisjoint(job.id for job in jobs)
