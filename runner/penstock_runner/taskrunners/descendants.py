"""What `/proc` knows about the processes that descend from this one.

A sub-reaper inherits the orphans of all its descendants, so whatever a job left behind is sooner or
later a child of the runner: reading one file finds it, without a scan of all processes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock_runner.taskrunners import identity

PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """The parts of `/proc/<pid>/stat` that matter here."""

    pid: int
    state: str
    parent: int
    session: int

    @property
    def gone(self) -> bool:
        """Whether it only waits to be reaped."""
        return self.state in "ZXx"


def become_subreaper() -> bool:
    """Inherit the orphans of all descendants from now on; False where the system cannot."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
    except OSError:
        return False
    return int(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0


def children_of(pid: int) -> list[int]:
    """The direct children of a process, of all its threads."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - a hot path
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as listing:  # noqa: PTH123
                found.extend(map(int, listing.read().split()))
        except OSError:
            continue
    return found


def facts(pid: int) -> ProcessFacts | None:
    """What a process is; None when it is no more."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - a hot path
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return ProcessFacts(
        pid=pid, state=fields[0].decode(), parent=int(fields[1]), session=int(fields[3])
    )


def environment_of(pid: int, name: str) -> str | None:
    """One variable of the environment that a process was started with.

    Root in a container may lack the right to look into processes of others; their owner has it.
    """
    path = PROC / str(pid) / "environ"
    try:
        content = path.read_bytes()
    except PermissionError:
        try:
            owner = path.stat()
            with identity.rights_of(owner.st_uid, owner.st_gid):
                content = path.read_bytes()
        except OSError:
            return None
    except OSError:
        return None
    prefix = name.encode() + b"="
    for entry in content.split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode("utf-8", "replace")
    return None


def tree_of(pid: int) -> list[int]:
    """A process and all that descend from it now, parents first."""
    found = [pid]
    for member in found:
        found.extend(children_of(member))
    return found


def all_processes() -> Iterator[int]:
    """Every process id that can be seen."""
    for entry in os.scandir(PROC):
        if entry.name.isdigit():
            yield int(entry.name)


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a whole process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
