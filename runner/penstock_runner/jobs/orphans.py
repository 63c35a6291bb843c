"""Kills what jobs leave behind, as a sub-reaper sees it: its own children that it did not start.

An orphan belongs to a live command by its session, else to a live job by the mark in its
environment. One that hides both is kept while any job lives that lived when it was first seen,
since it may be a part of that job's work; then it is killed like the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from penstock_runner.jobs.live import LiveJob
from penstock_runner.jobs.protocol import JobId
from penstock_runner.jobs.strays import MARK
from penstock_runner.taskrunners import descendants


class Orphans:
    """Looks after the orphans of one process."""

    def __init__(self, children: Callable[[], list[int]] | None = None) -> None:
        self._children = children or (lambda: descendants.children_of(os.getpid()))
        self._suspects: dict[int, frozenset[JobId]] = {}

    def clear_session(self, session: int, folder: Path, known: Collection[int]) -> list[int]:
        """Kill all that an ended command left behind, and give the processes that were seen."""
        left = [
            pid
            for pid in self._children()
            if pid != session and pid not in known and _belongs(pid, session, str(folder))
        ]
        for pid in left:
            descendants.kill(descendants.tree_of(pid))
        descendants.kill_group(session)
        return left

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


def _belongs(pid: int, session: int, folder: str) -> bool:
    found = descendants.facts(pid)
    if found is None or found.gone:
        return False
    return found.session == session or descendants.environment_of(pid, MARK) == folder
