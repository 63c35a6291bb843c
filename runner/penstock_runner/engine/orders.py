"""In which order the children of a group open: cursors over slots, never a scan.

A slot is a number, `value index * tasks + task position`; without loop values it is the position
alone. Each order hands out the next slot when asked, and is told of every slot that has ended.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Protocol


class Order(Protocol):
    """Which slot opens next."""

    def take(self, running: int) -> int | None:
        """The next slot to open while `running` others have not ended; None when it is not time."""
        ...

    def ended(self, slot: int) -> None:
        """A slot that was taken has ended."""
        ...

    def exhausted(self) -> bool:
        """Whether no slot will be handed out any more, whatever ends."""
        ...

    def restore(self, begun: Mapping[int, bool]) -> None:
        """Go on from slots that were taken before; the value says whether one has ended."""
        ...


class AtOnce:
    """All slots together, at most `limit` of them at a time (0: no limit)."""

    def __init__(self, total: int, limit: int = 0) -> None:
        self._total = total
        self._limit = limit
        self._next = 0
        self._taken: frozenset[int] = frozenset()

    def take(self, running: int) -> int | None:
        if self._limit and running >= self._limit:
            return None
        while self._next in self._taken:
            self._next += 1
        if self._next >= self._total:
            return None
        self._next += 1
        return self._next - 1

    def ended(self, slot: int) -> None:
        """Nothing is kept: only the number of running slots counts."""

    def exhausted(self) -> bool:
        while self._next in self._taken:
            self._next += 1
        return self._next >= self._total

    def restore(self, begun: Mapping[int, bool]) -> None:
        self._taken = frozenset(begun)


class InSequence(AtOnce):
    """One slot after the other."""

    def __init__(self, total: int) -> None:
        super().__init__(total, limit=1)


class InLanes:
    """Values side by side, at most `limit` (0: no limit); the tasks of one value in sequence."""

    def __init__(self, tasks: int, values: int, limit: int) -> None:
        self._tasks = tasks
        self._values = values if tasks else 0
        self._limit = limit
        self._busy = 0
        self._next = 0
        # The lowest slot first, whatever ended when: a stored execution goes on in the same order.
        self._ready: list[int] = []
        # Of each value: its furthest slot, and how many of its slots run. A restart opens earlier
        # ones of it again, beside what came after them.
        self._last: dict[int, int] = {}
        self._running: dict[int, int] = {}

    def take(self, running: int) -> int | None:  # noqa: ARG002 - lanes count values, not task runs
        if self._ready:
            slot = heapq.heappop(self._ready)
        elif self._next >= self._values or (self._limit and self._busy >= self._limit):
            return None
        else:
            slot = self._next * self._tasks
            self._busy += 1
            self._next += 1
        lane = slot // self._tasks
        self._last[lane] = slot
        self._running[lane] = 1
        return slot

    def ended(self, slot: int) -> None:
        lane = slot // self._tasks
        self._running[lane] -= 1
        if not self._running[lane]:
            self._go_on(lane)

    def _go_on(self, lane: int) -> None:
        """Nothing of the value runs: its next slot is ready, or it is through."""
        following = self._last[lane] + 1
        if following % self._tasks:
            heapq.heappush(self._ready, following)
        else:
            self._busy -= 1

    def exhausted(self) -> bool:
        return self._next >= self._values and not self._ready and not self._busy

    def stop(self) -> None:
        """Begin no more values."""
        self._values = self._next

    def restore(self, begun: Mapping[int, bool]) -> None:
        for slot, over in begun.items():
            lane = slot // self._tasks
            self._last[lane] = max(slot, self._last.get(lane, -1))
            self._running[lane] = self._running.get(lane, 0) + (not over)
        self._next = max(self._last, default=-1) + 1
        self._busy = len(self._last)
        for lane, running in self._running.items():
            if not running:
                self._go_on(lane)


class ByDependencies:
    """Each slot once all it depends on have ended, at most `limit` at a time (0: no limit)."""

    def __init__(self, needs: Sequence[Sequence[int]], limit: int = 0) -> None:
        self._limit = limit
        self._missing = [len(set(need)) for need in needs]
        self._waiters: list[list[int]] = [[] for _ in needs]
        for slot, need in enumerate(needs):
            for other in set(need):
                self._waiters[other].append(slot)
        self._ready = [slot for slot, count in enumerate(self._missing) if not count]
        self._taken: set[int] = set()

    def take(self, running: int) -> int | None:
        if self._limit and running >= self._limit:
            return None
        while self._ready:
            slot = heapq.heappop(self._ready)
            if slot not in self._taken:
                self._taken.add(slot)
                return slot
        return None

    def ended(self, slot: int) -> None:
        for waiter in self._waiters[slot]:
            self._missing[waiter] -= 1
            if not self._missing[waiter]:
                heapq.heappush(self._ready, waiter)

    def exhausted(self) -> bool:
        return len(self._taken) >= len(self._missing)

    def restore(self, begun: Mapping[int, bool]) -> None:
        self._taken = set(begun)
        for slot, over in sorted(begun.items()):
            if over:
                self.ended(slot)
