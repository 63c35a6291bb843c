"""Concurrency limits: who holds a slot, who waits for one.

Counts are taken from the store once and kept from then on; a slot is taken and given back in the
same transaction as the state that says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from penstock_runner.engine.state import State
from penstock_runner.executor.held import Held
from penstock_runner.executor.live import SLOT_STATES, Live
from penstock_runner.executor.store import Store

Name = tuple[str, str]


class Slots:
    """The slots of all flows that have a limit."""

    def __init__(self, store: Store, held: Held, start: Callable[[Live], None]) -> None:
        self._store = store
        self._held = held
        self._start = start
        self._slots: dict[Name, int] = {}
        self._queued: dict[Name, deque[str]] = {}

    def forget(self) -> None:
        """A batch was not written: count anew."""
        self._slots.clear()
        self._queued.clear()

    def enqueue(self, live: Live) -> None:
        """The execution waits for a slot."""
        self._queue_of(live.loaded.name).append(live.id)

    def taken(self, name: tuple[str, str]) -> int:
        """How many executions of the flow hold a slot."""
        if name not in self._slots:
            self._slots[name] = self._store.slots_taken(*name)
        return self._slots[name]

    def recount(self, live: Live) -> None:
        """See whether the execution has taken or freed a slot, and let the next ones start."""
        limit = live.loaded.flow.concurrency
        if limit is None:
            return
        holds = live.state in SLOT_STATES
        if holds == live.counted:
            return
        name = live.loaded.name
        taken = self.taken(name)
        live.counted = holds
        self._slots[name] = taken + (1 if holds else -1)
        self._wake(name, limit.limit)

    def _wake(self, name: Name, limit: int) -> None:
        queue = self._queue_of(name)
        while queue and self._slots[name] < limit:
            waiting = self._held.get(queue.popleft())
            if waiting is not None and waiting.state is State.QUEUED:
                self._held.guarded(waiting, None, partial(self._start, waiting))

    def release(self, live: Live) -> None:
        """The execution is deleted: its slot, if it has one, goes to the next."""
        if live.loaded.flow.concurrency is not None and live.counted:
            live.counted = False
            self._slots[live.loaded.name] = self.taken(live.loaded.name) - 1
            self._wake(live.loaded.name, live.loaded.flow.concurrency.limit)

    def _queue_of(self, name: tuple[str, str]) -> deque[str]:
        if name not in self._queued:
            self._queued[name] = deque(self._store.oldest_queued(*name, 10**6))
        return self._queued[name]
