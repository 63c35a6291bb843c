"""What a process of the machine may use at most: `limits` of the Process task runner.

The kernel holds each process of the job to them: `memory` is the private memory of one process,
`files` are the files that one has open, `cpu` is the number of processors they may share, and
`processes` counts those of the job's user, threads included.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from penstock_runner.taskrunners.api import SetupFailed
from penstock_runner.taskrunners.sizes import size


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """Sizes in bytes; None is no limit."""

    cpu: float | None = None
    memory: int | None = None
    files: int | None = None
    processes: int | None = None

    def to_wire(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_wire(cls, plain: Mapping[str, Any] | None) -> ProcessLimits | None:
        """As it came with a message."""
        return None if plain is None else cls(**plain)

    def hold(self, others: int) -> None:
        """Hold this process to them, and all that come from it.

        `others` are the threads of the same user that have nothing to do with it.
        """
        if self.memory is not None:
            _limit(resource.RLIMIT_DATA, self.memory)
        if self.files is not None:
            _limit(resource.RLIMIT_NOFILE, self.files)
        if self.processes is not None:
            _limit(resource.RLIMIT_NPROC, self.processes + others)
        if self.cpu is not None:
            ours = sorted(os.sched_getaffinity(0))
            first = os.getpid() % len(ours)
            several = (ours[first:] + ours[:first])[: math.ceil(self.cpu)]
            os.sched_setaffinity(0, several)


def read_limits(properties: Mapping[str, object]) -> ProcessLimits | None:
    """The `limits` of a task runner, None when it has none; a wrong one is a `SetupFailed`."""
    given = properties.get("limits")
    if given is None:
        return None
    known = [field.name for field in fields(ProcessLimits)]
    if not isinstance(given, Mapping) or set(given) - set(known):
        raise SetupFailed(f"`limits` of the task runner has no other keys than {', '.join(known)}")
    memory = size("limits.memory", given.get("memory"))
    return ProcessLimits(
        cpu=_number("cpu", given.get("cpu")),
        memory=None if memory == -1 else memory,
        files=_whole("files", given.get("files")),
        processes=_whole("processes", given.get("processes")),
    )


def threads_of(user: int) -> int:
    """How many threads a user has now, which is what the kernel counts as its processes."""
    count = 0
    for entry in os.scandir("/proc"):
        with suppress(OSError, ValueError, StopIteration):
            if entry.name.isdigit() and entry.stat().st_uid == user:
                lines = (Path(entry.path) / "status").read_text().splitlines()
                count += int(next(line for line in lines if line.startswith("Threads:"))[8:])
    return count


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (most, most))


def _number(name: str, value: object) -> float | None:
    try:
        found = None if value is None else float(str(value))
    except ValueError:
        found = -1.0
    if found is not None and not 0 < found < math.inf:
        raise SetupFailed(f"`limits.{name}` of the task runner is a number above 0, not {value!r}")
    return found


def _whole(name: str, value: object) -> int | None:
    found = _number(name, value)
    if found is not None and found != int(found):
        raise SetupFailed(f"`limits.{name}` of the task runner is a whole number, not {value!r}")
    return None if found is None else int(found)
