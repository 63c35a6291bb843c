"""Finds processes that belong to a job by what they were started with, wherever they have gone.

Every process of a job has `PENSTOCK_JOB_DIR` in its environment. This is the way to find them when
their parent is not there any more: after a supervisor died, and when a new one starts.
"""

from __future__ import annotations

import os
import select
from collections.abc import Collection
from pathlib import Path

from penstock_runner.taskrunners import descendants

MARK = "PENSTOCK_JOB_DIR"
ROUNDS = 50
BETWEEN_MS = 10


def kill_strays(folder: Path, sessions: Collection[int] = ()) -> int:
    """Kill every process marked with this folder or one below it, until none is left."""
    killed: set[int] = set()
    for _ in range(ROUNDS):
        found = [pid for pid in descendants.all_processes() if _belongs(pid, str(folder), sessions)]
        if not found:
            break
        descendants.kill(found)
        killed.update(found)
        select.select([], [], [], BETWEEN_MS / 1000)
    return len(killed)


def _belongs(pid: int, folder: str, sessions: Collection[int]) -> bool:
    if pid == os.getpid():
        return False
    if sessions:
        known = descendants.facts(pid)
        if known is None or known.gone:
            return False
        if known.session in sessions:
            return True
    mark = descendants.environment_of(pid, MARK)
    return mark is not None and (mark == folder or mark.startswith(folder + "/"))
