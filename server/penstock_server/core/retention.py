"""Lets go of the past: executions, logs and files that are older than the settings say.

A pass goes over the ended executions from the oldest on, a page at a time, and everything it does
is small: it waits for each transaction before the next, so those of others come in between. Files
go in a thread of their own, before the rows that name them: a crash between the two leaves rows,
and the next pass finds them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from penstock_runner.executor.executor import Executor
from penstock_runner.executor.ids import first_id
from penstock_runner.executor.messages import Outcome
from penstock_runner.tasks.places import execution_prefix
from penstock_runner.tasks.storage import Storage
from penstock_server.config import RetentionSection
from penstock_server.core.contents import collect
from penstock_server.store import retention, syncs
from penstock_server.store.engine import Database, Tx
from penstock_server.store.retention import Past

BREATH = timedelta(milliseconds=50)
LONGEST_REST = timedelta(hours=1)
SHORTEST_REST = timedelta(seconds=1)
KEYS_KEPT = timedelta(hours=24)
RUNS_KEPT = timedelta(days=90)
EXECUTIONS_READ = 500
EXECUTIONS_AT_ONCE = 100
LINES_AT_ONCE = 2000
KEYS_AT_ONCE = 2000

log = logging.getLogger(__name__)


class Retention:
    """Deletes what is too old, as an activity of core's loop."""

    def __init__(
        self,
        *,
        rules: RetentionSection,
        database: Database,
        executor: Executor,
        storage: Storage,
    ) -> None:
        self._rules = rules
        self._database = database
        self._executor = executor
        self._storage = storage
        self._hands = ThreadPoolExecutor(max_workers=1, thread_name_prefix="retention")
        self._ready: Callable[[], bool] = lambda: True
        self._failure: Exception | None = None
        self._deleted = 0
        self._steps: Iterator[None] | None = None
        self._began: datetime | None = None

    def tick(self, now: datetime) -> datetime:
        """Do one small step of the present pass; gives the moment of the next."""
        if not self._ready():
            return now + BREATH
        if self._steps is None:
            self._steps = self._pass(now, done_before=self._began)
            self._began = now
        try:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            next(self._steps)
        except StopIteration:
            self._steps = None
            return now + self._rest()
        except Exception:
            self._steps = self._began = None
            log.exception("old executions could not be deleted; it is tried again")
            return now + LONGEST_REST
        return now + BREATH

    def _rest(self) -> timedelta:
        return max(min(self._rules.shortest or LONGEST_REST, LONGEST_REST), SHORTEST_REST)

    def _pass(self, now: datetime, done_before: datetime | None) -> Iterator[None]:
        """One step after the other; what was due at `done_before` needs no second look."""
        yield from self._keys(now)
        yield from self._contents(now)
        yield from self._sync_runs(now)
        shortest = self._rules.shortest
        if shortest is None:
            return
        after: str | None = ""
        below = first_id(now - shortest)
        while after is not None:
            with self._database.read() as connection:
                found, after = retention.page(
                    connection, after=after, below=below, limit=EXECUTIONS_READ
                )
            yield
            gone = [one for one in found if self._due(one, "executions", now, None)]
            going = {one.id for one in gone}
            rest = [one for one in found if one.id not in going]
            files = [one for one in rest if self._due(one, "files", now, done_before)]
            lines = [one for one in rest if self._due(one, "logs", now, done_before)]
            yield from self._files([*gone, *files])
            yield from self._lines([*gone, *lines])
            yield from self._executions(gone)

    def _due(self, one: Past, what: str, now: datetime, done_before: datetime | None) -> bool:
        age = self._rules.of(one.namespace).get(what)
        if not isinstance(age, timedelta):
            return False
        due = one.ended + age
        return due <= now and (done_before is None or due > done_before)

    def _files(self, past: Sequence[Past]) -> Iterator[None]:
        if not past:
            return
        task = self._hands.submit(self._delete_files, past)
        self._ready = task.done
        yield
        task.result()

    def _delete_files(self, past: Sequence[Past]) -> None:
        for one in past:
            self._storage.delete(execution_prefix(one.namespace, one.flow_id, one.id))

    def _contents(self, now: datetime) -> Iterator[None]:
        """Contents of namespace files that a sync has left behind."""
        task = self._hands.submit(collect, self._database, self._storage, now)
        self._ready = task.done
        yield
        task.result()

    def _sync_runs(self, now: datetime) -> Iterator[None]:
        """What syncs did is remembered for long, and always for what is still there of it."""
        with self._database.read() as connection:
            found = syncs.sources_with_runs(connection)
        for source in found:
            self._write(partial(_remove_runs, source, now - RUNS_KEPT))
            yield

    def _lines(self, past: Sequence[Past]) -> Iterator[None]:
        ids = [one.id for one in past]
        self._deleted = LINES_AT_ONCE if ids else 0
        while self._deleted == LINES_AT_ONCE:
            self._write(lambda tx: retention.delete_lines(tx, ids, limit=LINES_AT_ONCE))
            yield

    def _executions(self, past: Sequence[Past]) -> Iterator[None]:
        for start in range(0, len(past), EXECUTIONS_AT_ONCE):
            some = past[start : start + EXECUTIONS_AT_ONCE]
            self._write(partial(_delete, some))
            yield

    def _keys(self, now: datetime) -> Iterator[None]:
        """Keys of starts are remembered for a day."""
        old = now - KEYS_KEPT
        self._deleted = KEYS_AT_ONCE
        while self._deleted == KEYS_AT_ONCE:
            self._write(lambda tx: retention.delete_keys(tx, old, limit=KEYS_AT_ONCE))
            yield

    def _write(self, deletes: Callable[[Tx], int]) -> None:
        """Put one deletion in the next transaction; the step after it waits for that."""
        over: list[Outcome] = []

        def write(tx: Tx) -> None:
            self._deleted = deletes(tx)

        def done(outcome: Outcome) -> None:
            self._failure = outcome.error
            over.append(outcome)

        self._ready = lambda: bool(over)
        self._executor.transact(writes=[write], done=done)


def _remove_runs(source: str, before: datetime, tx: Tx) -> int:
    return syncs.remove_old_runs(tx.connection, source, before=before)


def _delete(past: Sequence[Past], tx: Tx) -> int:
    return retention.delete_past(tx, past)
