"""What a task runner is given, what it gives back, and what it needs from the process it runs in.

A task runner starts a command somewhere (a process here, a container there), hands every chunk of
its output to a `Sink` and says how it ended. It knows nothing of tasks, logs or secrets.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class SetupFailed(Exception):
    """The command could not be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A complete command line, its whole environment and the folders it may use.

    `folder` is everything of the job (workspace, output files, temporary files); `cwd` is inside
    it. `labels` name the job to people who look at containers, `limits` are for processes of this
    machine.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    folder: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: its exit code as a shell shows it, or why it never started.

    `left_over` counts processes that it had left behind and that were killed. `container` is the
    container it ran in, if any.
    """

    exit_code: int
    signal: int | None = None
    oom: bool = False
    left_over: int = 0
    error: str | None = None
    container: str | None = None

    @property
    def shown(self) -> str:
        """The exit code as people read it: `3`, or `137 (SIGKILL)`."""
        if self.signal is None:
            return str(self.exit_code)
        return f"{self.exit_code} ({signal_name(self.signal)})"


class Sink(Protocol):
    """Where output goes."""

    def feed(self, stream: str, chunk: bytes) -> None:
        """Bytes of `stdout` or `stderr`, as they came."""
        ...

    def quiet(self) -> None:
        """Nothing came for a second: what is held back may be shown."""
        ...

    def note(self, text: str) -> None:
        """Something that the person who reads the log should know, and that is no output."""
        ...

    def close(self) -> None:
        """Nothing will come any more."""
        ...


class Child(Protocol):
    """A started process."""

    def wait(self, timeout: float | None) -> Ended | None:
        """How it ended; None while it runs."""
        ...


class Spawner(Protocol):
    """Starts processes so that none of their descendants outlives them."""

    def spawn(self, command: Command, stdout: int, stderr: int) -> Child:
        """Start the command with the write ends of two pipes, which stay the caller's to close."""
        ...


class Interrupts(Protocol):
    """How a task runner whose work is no child process here learns that it has to stop."""

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Call `stop` from another thread when the attempt is cancelled."""
        ...

    def on_force(self, stop: Callable[[], None]) -> None:
        """Call `stop` from another thread when the attempt is to end without any grace."""
        ...


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; real-time signals have only a number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
