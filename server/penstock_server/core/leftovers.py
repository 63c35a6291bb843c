"""Deletes the files of executions that are gone, in a thread of its own.

Where they are is written in the transaction that deletes the rows, so that a crash forgets none of
them; a storage that is slow or away keeps nobody waiting.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from penstock_runner.engine.state import Execution
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.store import Write
from penstock_runner.tasks.places import execution_prefix
from penstock_runner.tasks.storage import Storage
from penstock_server.clock import Clock
from penstock_server.store import leftovers
from penstock_server.store.engine import Database, Tx

AT_ONCE = 100
BREATH = timedelta(milliseconds=20)
IDLE = timedelta(seconds=1)
# How long until what could not be deleted is tried again.
REST = timedelta(minutes=1)

log = logging.getLogger(__name__)

Counted = Callable[[int], None]
Work = tuple[Sequence[str], "Future[int]", Counted | None]


class Leftovers:
    """What deleted executions leave behind in the storage, as an activity of core's loop."""

    def __init__(
        self, *, database: Database, executor: Executor, storage: Storage, clock: Clock
    ) -> None:
        self._database = database
        self._executor = executor
        self._storage = storage
        self._clock = clock
        self._hands = ThreadPoolExecutor(max_workers=1, thread_name_prefix="leftovers")
        self._work: list[Work] = []
        self._when_through: list[Callable[[], None]] = []
        # What a service before this one has left is looked for at once.
        self._look_at: datetime | None = None

    def noted(self, executions: Iterable[Execution]) -> Write:
        """What the transaction that deletes these executions writes of their files."""
        prefixes = _prefixes(executions)
        return lambda tx: leftovers.note(tx.connection, prefixes, self._clock.now())

    def gone(self, executions: Iterable[Execution], counted: Counted | None = None) -> None:
        """Their rows are deleted: delete their files, and tell how many there were."""
        self._begin(_prefixes(executions), counted)

    def when_through(self, then: Callable[[], None]) -> None:
        """Call this once, when nothing is being deleted."""
        self._when_through.append(then)

    def close(self) -> None:
        """Begin nothing more; what is left is found by the next service."""
        self._hands.shutdown(wait=False, cancel_futures=True)

    def tick(self, now: datetime) -> datetime:
        """See what has become of the work, and find some; gives the moment of the next look."""
        through = [work for work in self._work if work[1].done()]
        for work in through:
            self._work.remove(work)
            self._finish(work, now)
        if not self._work:
            waiting, self._when_through = self._when_through, []
            for then in waiting:
                then()
            self._look(now)
        return now + (BREATH if self._work else IDLE)

    def _look(self, now: datetime) -> None:
        if self._look_at is not None and now < self._look_at:
            return
        with self._database.read() as connection:
            found = leftovers.oldest(connection, AT_ONCE)
        self._look_at = now + REST
        if found:
            self._begin(found, None)

    def _begin(self, prefixes: Sequence[str], counted: Counted | None) -> None:
        self._work.append((prefixes, self._hands.submit(self._delete, prefixes), counted))

    def _delete(self, prefixes: Sequence[str]) -> int:
        return sum(len(self._storage.delete_below(prefix)) for prefix in prefixes)

    def _finish(self, work: Work, now: datetime) -> None:
        prefixes, task, counted = work
        count = 0
        try:
            count = task.result()
        except Exception:
            log.exception("files of deleted executions could not be deleted; it is tried again")
        else:
            self._executor.transact(writes=[partial(_forget, prefixes)])
            self._look_at = now if len(prefixes) == AT_ONCE else self._look_at
        if counted is not None:
            counted(count)


def _forget(prefixes: Sequence[str], tx: Tx) -> None:
    leftovers.forget(tx.connection, prefixes)


def _prefixes(executions: Iterable[Execution]) -> list[str]:
    return [execution_prefix(one.namespace, one.flow_id, one.id) for one in executions]
