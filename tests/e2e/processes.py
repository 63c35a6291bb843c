"""The processes of one service, found by their parent: who they are, and how to crash one."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A running process."""

    pid: int
    parent: int
    name: str


def running() -> list[Process]:
    """All processes that can be seen; zombies do not run."""
    found: list[Process] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError, ValueError):
            text = (folder / "stat").read_text()
            name, _, rest = text.partition("(")[2].rpartition(")")
            state, parent = rest.split()[:2]
            if state not in {"Z", "X"}:
                found.append(Process(int(folder.name), int(parent), name))
    return found


def children(pid: int) -> dict[str, int]:
    """The children of a process by name: `core`, `git`, `runner`, `web0`."""
    return {one.name.removeprefix("penstock-"): one.pid for one in running() if one.parent == pid}


def below(pid: int) -> set[int]:
    """All that a process has started, and what that has started."""
    found, known = {pid}, running()
    while more := {one.pid for one in known if one.parent in found} - found:
        found |= more
    return found - {pid}


def of_home(home: Path) -> list[int]:
    """The processes of a service with this home, and of its jobs, whoever their parent is."""
    named = str(home).encode()
    found: list[int] = []
    for one in running():
        with suppress(OSError):
            folder = Path(f"/proc/{one.pid}")
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            if named in told:
                found.append(one.pid)
    return found


def crash(pid: int) -> None:
    """End a process as the kernel does when memory is short."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in {"Z", "X"}
