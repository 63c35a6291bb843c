"""Concurrency limits: who holds a slot, who waits for one, who has to make way.

The slots of a pool are read from the store once and kept from then on; a slot is taken and given
back in the same transaction as the state that says so. Executions of several flows share a pool
when their flows name the same group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from penstock_runner.engine.state import State
from penstock_runner.executor.held import Held
from penstock_runner.executor.live import PARENT_RUN, Live
from penstock_runner.executor.store import Pool, Store, holds_slot
from penstock_runner.flow.model import Concurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class Acts:
    """What is done to executions when slots change hands; `why` is for their logs."""

    start: Callable[[Live], None]
    kill: Callable[[Live, str], None]
    cancel: Callable[[Live, str], None]


class Slots:
    """The slots of all pools: of each flow that has a limit, and of each group."""

    def __init__(self, store: Store, held: Held, acts: Acts) -> None:
        self._store = store
        self._held = held
        self._acts = acts
        # Ids in the order in which they came, as the keys of dictionaries.
        self._holders: dict[Pool, dict[str, None]] = {}
        self._queued: dict[Pool, dict[str, None]] = {}
        self._waking: set[Pool] = set()
        self._emptied: set[Pool] = set()

    def forget(self) -> None:
        """A batch was not written: look anew."""
        self._holders.clear()
        self._queued.clear()
        self._waking.clear()
        self._emptied.clear()

    def settled(self) -> None:
        """The batch is written: forget groups that nobody is in, as their names may be many."""
        for pool in self._emptied:
            if pool.group and not self._holders.get(pool) and not self._queued.get(pool):
                self._holders.pop(pool, None)
                self._queued.pop(pool, None)
        self._emptied.clear()

    def free(self, live: Live, rule: Concurrency) -> bool:
        """Whether an execution may start at once; nobody passes those who wait."""
        if len(self._holding(live.pool)) >= rule.limit:
            return False
        return not waits(rule) or self._first_waiting(live.pool) is None

    def enqueue(self, live: Live, rule: Concurrency) -> None:
        """The execution waits for a slot; older ones make way as far as the rule says."""
        pool, why = live.pool, f"execution {live.id} of {live.pool} is newer"
        queue = self._waiting(pool)
        queue.pop(live.id, None)
        if rule.cancel_in_progress or rule.queue == "latest":
            for waiting in self._lives(list(queue)):
                queue.pop(waiting.id, None)
                if waiting.state is State.QUEUED:
                    self._held.guarded(waiting, None, partial(self._acts.cancel, waiting, why))
        queue[live.id] = None
        if rule.cancel_in_progress:
            self._make_way(live, rule.limit, why)

    def _make_way(self, live: Live, limit: int, why: str) -> None:
        """Kill the oldest holders that are in the way, but not those that wait for this one."""
        holders = list(self._holding(live.pool))
        spared = set(self._ancestors(live))
        for holder in self._lives(holders[: len(holders) - limit + 1]):
            if holder.id not in spared and holder.state is not State.KILLING:
                self._held.guarded(holder, None, partial(self._acts.kill, holder, why))

    def recount(self, live: Live) -> None:
        """See whether the execution has taken or freed a slot, and let the next ones start."""
        if live.loaded.flow.concurrency is None and (
            not self._holders or live.pool not in self._holders
        ):
            return
        holders = self._holding(live.pool)
        if holds_slot(live.fold.head):
            holders[live.id] = None
        elif live.id in holders:
            del holders[live.id]
            self.wake(live.pool)
        elif live.state.terminal:
            self._emptied.add(live.pool)

    def release(self, live: Live) -> None:
        """The execution is deleted: its slot, if it has one, goes to the next."""
        if live.loaded.flow.concurrency is not None or live.pool in self._holders:
            self._holding(live.pool).pop(live.id, None)
            self.wake(live.pool)

    def wake(self, pool: Pool) -> None:
        """Start those who wait, oldest first, as long as there are slots for them."""
        self._emptied.add(pool)
        if pool in self._waking:
            return
        self._waking.add(pool)
        try:
            while (waiting := self._first_waiting(pool)) is not None:
                rule = waiting.loaded.flow.concurrency
                if rule is not None and len(self._holding(pool)) >= rule.limit:
                    return
                self._waiting(pool).pop(waiting.id, None)
                self._held.guarded(waiting, None, partial(self._acts.start, waiting))
        finally:
            self._waking.discard(pool)

    def _first_waiting(self, pool: Pool) -> Live | None:
        queue = self._waiting(pool)
        while queue:
            first = next(iter(queue))
            waiting = self._held.get(first)
            if waiting is not None and waiting.state is State.QUEUED:
                return waiting
            del queue[first]
        return None

    def _holding(self, pool: Pool) -> dict[str, None]:
        if pool not in self._holders:
            found = dict.fromkeys(self._store.slot_holders(pool))
            for live in self._touched(pool):
                if holds_slot(live.fold.head):
                    found[live.id] = None
                elif live.loaded.flow.concurrency is None:
                    # Nobody will look at it again; any other is still to be recounted.
                    found.pop(live.id, None)
            self._without_the_gone(found)
            self._holders[pool] = found
        return self._holders[pool]

    def _waiting(self, pool: Pool) -> dict[str, None]:
        if pool not in self._queued:
            found = dict.fromkeys(self._store.queued(pool))
            for live in self._touched(pool):
                if live.state is not State.QUEUED:
                    found.pop(live.id, None)
                else:
                    found[live.id] = None
            self._without_the_gone(found)
            self._queued[pool] = found
        return self._queued[pool]

    def _without_the_gone(self, found: dict[str, None]) -> None:
        """Leave out what the batch has deleted or given up, which the store still has."""
        working = self._held.working
        for gone in working.deleted:
            found.pop(gone, None)
        for given_up in working.given_up:
            found.pop(given_up.execution.id, None)

    def _touched(self, pool: Pool) -> Iterator[Live]:
        """What the batch has touched so far, which the store does not know yet."""
        return (live for live in self._held.working.touched.values() if live.pool == pool)

    def _lives(self, ids: Iterable[str]) -> Iterator[Live]:
        return (live for one in ids if (live := self._held.get(one)) is not None)

    def _ancestors(self, live: Live) -> Iterator[str]:
        above: Live | None = live
        while above is not None:
            parent = above.base.facts.get(PARENT_RUN)
            if not isinstance(parent, list | tuple):
                return
            yield str(parent[0])
            above = self._held.get(str(parent[0]))


def waits(rule: Concurrency) -> bool:
    """Whether an execution that finds no slot waits for one."""
    return rule.behavior == "QUEUE" or rule.cancel_in_progress
