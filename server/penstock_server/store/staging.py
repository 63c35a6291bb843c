"""Rows that are put aside before the transaction that writes them.

They wait in temporary tables of the connection that writes: nobody else sees them, no disk has to
confirm them, and they are gone with the connection. Moving them from there takes a third of the
time that writing them takes, and that is how long everybody else waits.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock_server.store.bulk import Bound, BulkInsert
from penstock_server.store.engine import Tx


class Staging:
    """What is put aside for one later transaction; `name` is its own among all."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._aside: dict[BulkInsert, str] = {}
        self._tables: list[str] = []

    def put(self, tx: Tx, bulk: BulkInsert, rows: Sequence[Bound]) -> None:
        """Put rows aside."""
        if not rows:
            return
        table = self._aside.get(bulk)
        if table is None:
            table = f'"staged_{len(self._tables)}_{self._name}"'
            tx.raw.execute(bulk.twin(table))
            self._aside[bulk] = table
            self._tables.append(table)
        bulk.write(tx, rows, into=table)

    def write(self, tx: Tx, bulk: BulkInsert, rows: Sequence[Bound]) -> None:
        """Write what was put aside for this insert, and these rows.

        A transaction that is undone may be tried again: what is aside stays there until `drop`.
        """
        table = self._aside.get(bulk)
        if table is not None:
            tx.raw.execute(bulk.moving(table))
        bulk.write(tx, rows)

    def drop(self, tx: Tx) -> None:
        """Forget all of it, written or not."""
        for table in self._tables:
            tx.raw.execute(f"DROP TABLE IF EXISTS {table}")
        self._aside.clear()
        self._tables.clear()

    @property
    def used(self) -> bool:
        """Whether there is anything to forget."""
        return bool(self._tables)
