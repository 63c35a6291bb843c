"""The contract of the executor's store, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.executor.test_store_contract import NOON, StoreContract

from penstock_server.store import flows
from penstock_server.store.engine import Database, Tx
from penstock_server.store.executions import SqlStore


class TestSqlStore(StoreContract):
    """The contract, in SQL."""

    @pytest.fixture
    def store(self, database: Database) -> Iterator[SqlStore]:
        store = SqlStore(database)
        yield store
        store.close()

    def save(self, source: str) -> Callable[[Tx], None]:
        def write(tx: Tx) -> None:
            save = flows.Save(namespace="team.data", id="nightly", source=source)
            flows.save_revision(tx.connection, save, now=NOON)

        return write

    def delete(self) -> Callable[[Tx], None]:
        def write(tx: Tx) -> None:
            flows.mark_deleted(tx.connection, [("team.data", "nightly")], now=NOON)

        return write
