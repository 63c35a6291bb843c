"""Control groups of jobs that have limits, where the system lets this service make some.

Version 2 alone. A group holds all processes of a job together to their limits, tells when the
kernel has ended one of them for memory, and ends them all at once. What it cannot hold them to,
because a controller is not there or not ours to turn on, is left to the limits of each process.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from penstock_runner.taskrunners.limits import ProcessLimits

PREFIX = "penstock-job-"
PERIOD = 100_000
"""Microseconds; a share of the processors is granted anew in each."""

_WANTED = ("cpu", "memory", "pids")
_MARKS = ("trusted.delegate", "user.delegate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The control group of one process and all that come from it.

    `entry` is the open file by which a process joins it, also one that has changed its user;
    `rest` are the limits that it does not hold them to.
    """

    path: Path
    entry: int
    rest: ProcessLimits

    def ran_out(self) -> bool:
        """Whether the kernel has ended a process of it for memory."""
        with suppress(OSError, ValueError):
            for line in (self.path / "memory.events").read_text().splitlines():
                name, count = line.split()
                if name == "oom_kill":
                    return int(count) > 0
        return False

    def leave(self) -> None:
        """End what is still in it, and remove it."""
        os.close(self.entry)
        with suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")
        with suppress(OSError):
            self.path.rmdir()


class ControlGroups:
    """Makes groups below one that is ours."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._numbers = itertools.count(1)
        there = _words(top / "cgroup.controllers")
        for name in _WANTED:
            if name in there:
                with suppress(OSError):
                    (top / "cgroup.subtree_control").write_text(f"+{name}")
        self.controllers = _words(top / "cgroup.subtree_control")
        self._tidy(lambda pid: pid != os.getpid() and not Path(f"/proc/{pid}").exists())

    def make(self, limits: ProcessLimits) -> Group | None:
        """A new group with these limits; None when there cannot be one."""
        self._tidy(lambda pid: pid == os.getpid())
        path = self._top / f"{PREFIX}{os.getpid()}-{next(self._numbers)}"
        try:
            path.mkdir()
            rest = self._hold(path, limits)
            entry = os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            with suppress(OSError):
                path.rmdir()
            return None
        return Group(path=path, entry=entry, rest=rest)

    def _hold(self, path: Path, limits: ProcessLimits) -> ProcessLimits:
        rest = limits
        if limits.memory is not None and "memory" in self.controllers:
            (path / "memory.max").write_text(str(limits.memory))
            with suppress(OSError):  # not there without accounting of swap
                (path / "memory.swap.max").write_text("0")
            rest = replace(rest, memory=None)
        if limits.processes is not None and "pids" in self.controllers:
            (path / "pids.max").write_text(str(limits.processes))
            rest = replace(rest, processes=None)
        if limits.cpu is not None and "cpu" in self.controllers:
            (path / "cpu.max").write_text(f"{max(1000, int(limits.cpu * PERIOD))} {PERIOD}")
            rest = replace(rest, cpu=None)
        return rest

    def _tidy(self, ours: Callable[[int], bool]) -> None:
        """Remove the empty groups of these runners: what was in them was not gone in time."""
        for left in self._top.glob(f"{PREFIX}*"):
            with suppress(OSError, ValueError):
                if ours(int(left.name.removeprefix(PREFIX).partition("-")[0])):
                    left.rmdir()


def find(
    mounts: Path = Path("/proc/self/mounts"), own: Path = Path("/proc/self/cgroup")
) -> ControlGroups | None:
    """Where this process may make groups: in a group that is the root or was delegated to it."""
    for top in _candidates(mounts, own):
        if os.access(top, os.W_OK) and os.access(top / "cgroup.procs", os.W_OK):
            return ControlGroups(top)
    return None


def _candidates(mounts: Path, own: Path) -> Iterator[Path]:
    try:
        mounted = [line.split() for line in mounts.read_text().splitlines()]
        place = next(line[3:] for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return
    root = next((Path(parts[1]) for parts in mounted if parts[2] == "cgroup2"), None)
    if root is None:
        return
    if place == "/":
        yield root
        return
    mine = root / place.lstrip("/")
    # The processes of a service with a subgroup of its own leave the group above it free.
    yield from (group for group in (mine.parent, mine) if _delegated(group))


def _delegated(group: Path) -> bool:
    for mark in _MARKS:
        with suppress(OSError):
            if os.getxattr(group, mark) == b"1":
                return True
    return False


def _words(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text().split())
    except OSError:
        return frozenset()
