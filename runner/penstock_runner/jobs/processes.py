"""Starts processes for the supervisor, and asks the system why one was killed."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from penstock_runner.jobs.settings import RunAs
from penstock_runner.taskrunners import identity
from penstock_runner.taskrunners.limits import ProcessLimits, threads_of

NICE = 5


class NotStarted(Exception):
    """The command could not be started; the message says why."""


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    stdout: int,
    stderr: int,
    run_as: RunAs | None,
    limits: ProcessLimits | None = None,
    entry: int | None = None,
) -> int:
    """Start a command in a session of its own and give its process id; the caller reaps it.

    As another user only in a process of one thread. `entry` is that of a control group to join.
    """
    hold = None if limits is None else _holding(limits, run_as, entry)
    try:
        with _identity(run_as):
            child = subprocess.Popen(  # noqa: S603 - the command line is the author's own
                list(argv),
                executable=_found(argv[0], env.get("PATH", "")),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                close_fds=True,
                preexec_fn=hold,  # noqa: PLW1509 - it makes a few calls of the system, no more
            )
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        raise NotStarted(_why(argv, error, run_as)) from None
    child.returncode = 0  # reaped by waitid: Popen must not wait for it
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
    return int(child.pid)


def _holding(limits: ProcessLimits, run_as: RunAs | None, entry: int | None) -> Callable[[], None]:
    others = 0
    if limits.processes is not None:
        others = threads_of(os.geteuid() if run_as is None else run_as.user)

    def hold() -> None:
        if entry is not None:
            os.write(entry, b"0")
        limits.hold(others)

    return hold


def _identity(run_as: RunAs | None) -> contextlib.AbstractContextManager[None]:
    if run_as is None:
        return contextlib.nullcontext()
    return identity.become(run_as.user, run_as.group)


def _found(program: str, path: str) -> str:
    """Where the job's own PATH has the program."""
    if "/" in program:
        return program
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{program}"
        if os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError(2, "there is no such program on PATH", program)


def _why(argv: Sequence[str], error: Exception, run_as: RunAs | None) -> str:
    if not argv:
        return "The command is empty"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    hint = ""
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        hint = "; put long scripts into a file with inputFiles"
    if isinstance(error, PermissionError) and run_as is not None:
        hint = f"; jobs run as user {run_as.name or run_as.user}, see the setting runner.user"
    return f"{argv[0]} cannot be started: {reason}{hint}"


class MemoryWatch:
    """Notices when the kernel kills a process of this control group for memory."""

    def __init__(self) -> None:
        self._kills = _memory_kills()

    def ran_out(self) -> bool:
        """Whether it has happened since the last call."""
        before, self._kills = self._kills, _memory_kills()
        return self._kills > before


def _memory_kills() -> int:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        group = next(
            line.strip().partition("::")[2]
            for line in Path("/proc/self/cgroup").read_text().splitlines()
            if line.startswith("0::")
        )
        events = (Path("/sys/fs/cgroup") / group.lstrip("/") / "memory.events").read_text()
        return next(
            int(line.split()[1]) for line in events.splitlines() if line.startswith("oom_kill ")
        )
    return 0
