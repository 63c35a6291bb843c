"""Removes containers whose job is no more: after a crash, a lost worker, a stop in the middle.

A job removes its own container at its end; this is for those that could not. Containers carry the
folder of their job, so those of other runners are never touched. One that may be resumed is left
to the attempt that will take it up, and removed when none has come for a while.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from penstock_runner.jobs.settings import RunnerSettings
from penstock_runner.taskrunners.docker_access import DockerAccess, find_daemon
from penstock_runner.taskrunners.docker_labels import taskrun_of

RESUME_SECONDS = 600.0


class Containers:
    """The containers of one runner, as its supervisor sees them.

    `aside` does what may take long in a process of its own.
    """

    def __init__(
        self, settings: RunnerSettings, aside: Callable[[Callable[[], object]], None]
    ) -> None:
        self._access = settings.docker
        self._root = settings.workspaces
        self._aside = aside
        self._unwanted: set[str] = set()
        self.due: float | None = None

    def begin(self) -> None:
        """Remove what an earlier runner left behind, where a daemon answers."""
        if not self._access.enabled or find_daemon(self._access) is None:
            return
        from penstock_runner.taskrunners import docker  # noqa: F401 - forked workers have it then

        own = self._access.runner
        self._aside(lambda: self._remove(self._root, keep_resumable=True, but_of=own))
        self.due = time.monotonic() + RESUME_SECONDS

    def lost(self, folder: Path, *, resumable: bool) -> Callable[[], object]:
        """A worker is no more; gives what removes what it could not, and what nobody takes up."""
        taskrun = taskrun_of(folder)
        if resumable:
            self.due = time.monotonic() + RESUME_SECONDS
        else:
            self._unwanted.add(taskrun)
        return lambda: self._remove(self._root, keep_resumable=resumable, only=taskrun)

    def keep_time(self, now: float, live: Iterable[Path]) -> None:
        """Remove what nobody has taken up in time; `live` are the folders of jobs at work."""
        if self.due is None or now < self.due:
            return
        self.due = None
        in_use = frozenset(map(taskrun_of, live))
        self._aside(lambda: self._remove(self._root, in_use=in_use))

    def end(self, cancelled: Iterable[Path]) -> None:
        """Remove what jobs have left that ended with their runner, or were `cancelled`."""
        self._remove(self._root, keep_resumable=True)
        for taskrun in {*self._unwanted, *map(taskrun_of, cancelled)}:
            self._remove(self._root, only=taskrun)

    def _remove(
        self,
        folder: Path,
        *,
        keep_resumable: bool = False,
        but_of: str | None = None,
        only: str | None = None,
        in_use: frozenset[str] = frozenset(),
    ) -> int:
        daemon = find_daemon(self._access) if self._access.enabled else None
        if daemon is None:
            return 0
        from penstock_runner.taskrunners import docker_sweep

        return docker_sweep.sweep(
            folder, daemon, keep_resumable=keep_resumable, but_of=but_of, only=only, in_use=in_use
        )


def named(access: DockerAccess) -> DockerAccess:
    """The access under a name that no other runner has, nor this one after its next start."""
    return replace(access, runner=f"{os.getpid()}-{time.monotonic_ns()}")
