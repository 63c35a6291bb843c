"""The processes that are connected to core."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field

from penstock_runner.jobs.frames import Channel


@dataclass(slots=True, eq=False)
class Peer:
    """A connected process; `heard` is when it last said something, on the monotonic clock."""

    channel: Channel
    runner: str | None = None
    git: bool = False
    pid: int | None = None
    heard: float = field(default_factory=time.monotonic)

    def hangs(self, now: float, lease: float) -> bool:
        """Whether it is a runner that has been silent for longer than one that works."""
        return self.runner is not None and now - self.heard > lease

    def kill(self) -> None:
        """End it without asking; what it has started ends with it."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
