"""A count of changes to flows that the processes of one service share.

It lets the web processes keep the heads of flows in memory without ever showing an old one: core
counts after the commit of a change and before it answers whoever asked for it, so a head that was
read under the present count is the present head. Reading it is reading eight bytes of memory.
"""

from __future__ import annotations

import mmap


class FlowChanges:
    """Made before the fork: core counts, every process reads."""

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    @property
    def count(self) -> int:
        """How often flows have changed since the service was started."""
        return self._memory[0]

    def note(self) -> None:
        """Flows have changed; only core calls this."""
        self._memory[0] += 1
