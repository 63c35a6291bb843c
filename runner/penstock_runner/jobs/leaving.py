"""How a runner ends: it takes nothing new, waits for its jobs, stops the rest, and goes.

A runner that is drained gives its jobs time. One whose service stops, whose parent is gone, or that
is told a second time does not. What it stops is not reported: core sees it gone, and starts it
again. Instants are of the monotonic clock and are given.
"""

from __future__ import annotations

import os

from penstock_runner.jobs.settings import Limits


class Leaving:
    """The end of one runner, from the moment at which it is asked for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parent = os.getppid()
        self._drains = False
        self._hurries = False
        self.began = False
        self.stopped = False
        self.over = False
        self.due: float | None = None

    @property
    def orphaned(self) -> bool:
        """Whether the parent is gone: then nobody has stopped this runner on purpose."""
        return os.getppid() != self._parent

    def drain(self) -> None:
        """End once the jobs have; asked for twice, soon. Safe in a handler of signals."""
        self._hurries = self._hurries or self._drains or self.orphaned
        self._drains = True

    def hurry(self) -> None:
        """End soon. Safe in a handler of signals."""
        self._drains = self._hurries = True

    def begins(self, now: float) -> bool:
        """Whether the end begins at this moment; takes note of how much time is left."""
        if not self._drains or self.stopped:
            return False
        first = not self.began
        if first:
            self.began = True
            self.due = now + self._limits.drain
        if self._hurries and self.due is not None:
            self.due = min(self.due, now + self._limits.leave)
            self._hurries = False
        return first

    def stops(self, now: float) -> bool:
        """Whether the jobs that still run have to be stopped at this moment."""
        if self.due is None or now < self.due:
            return False
        self.over = self.stopped
        self.stopped = True
        self.due = now + self._limits.leave_grace
        return True
