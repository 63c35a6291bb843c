"""Old rows go in small batches; a backup is a whole store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.executor.test_store_contract import NOON, created, execution, line

from penstock_runner.engine.state import State
from penstock_runner.executor.store import Batch
from penstock_runner.flow.model import Level
from penstock_server.store import logs, migrations, retention
from penstock_server.store.backups import CannotBackUp, backup
from penstock_server.store.engine import Database, open_store
from penstock_server.store.executions import SqlStore

LATER = NOON + timedelta(days=1)
BELOW = execution(9).id


def filled(database: Database) -> SqlStore:
    store = SqlStore(database)
    ended = [execution(n, State.CREATED, State.SUCCESS) for n in (1, 2, 4)]
    batch = created(*ended, execution(3), execution(10, State.CREATED, State.FAILED))
    batch.logs.extend(line(item, n) for item in ended for n in (1, 2))
    store.write(batch)
    return store


def test_a_page_reads_a_bounded_number_of_executions_and_says_where_to_go_on(
    database: Database,
) -> None:
    filled(database).close()
    with database.read() as connection:
        first, after = retention.page(connection, after="", below=BELOW, limit=3)
        assert [one.id for one in first] == [execution(n).id for n in (1, 2)]
        assert after == execution(3).id
        second, after = retention.page(connection, after=after, below=BELOW, limit=3)
        assert ([one.id for one in second], after) == ([execution(4).id], None)


def test_what_has_gone_on_since_it_was_chosen_is_not_deleted(database: Database) -> None:
    store = filled(database)
    with database.read() as connection:
        past, _ = retention.page(connection, after="", below=BELOW, limit=9)
    moved = [replace(past[0], ended=past[0].ended - timedelta(days=1)), *past[1:]]
    with database.begin() as tx:
        assert retention.delete_past(tx, moved) == 2
    left = [execution(n).id for n in (1, 2, 3, 4, 10)]
    assert sorted(store.load(left)) == [left[0], left[2], left[4]]
    store.close()


def test_executions_are_chosen_by_flow_namespace_and_state(database: Database) -> None:
    filled(database).close()
    with database.read() as connection:
        everything = retention.ended_before(connection, LATER, below="~")
        assert everything == [execution(n).id for n in (1, 2, 4, 10)]
        assert retention.ended_before(connection, NOON, below="~") == []
        failed = retention.ended_before(connection, LATER, below="~", states=["FAILED"])
        assert failed == [execution(10).id]
        inside = retention.ended_before(connection, LATER, below="~", namespace="team")
        assert inside == everything
        assert not retention.ended_before(connection, LATER, below="~", namespace="tea")
        assert not retention.ended_before(connection, LATER, below="~", flow_id="other")


def test_old_log_lines_go_a_few_at_a_time_and_old_keys(database: Database) -> None:
    store = filled(database)
    store.write(Batch(idempotency=[("old", execution(1).id, NOON), ("new", "x", LATER)]))
    ids = [execution(n).id for n in (1, 2)]
    with database.begin() as tx:
        assert retention.delete_lines(tx, ids, limit=3) == 3
        assert retention.delete_lines(tx, ids, limit=3) == 1
        assert retention.delete_keys(tx, LATER) == 1
    assert [store.last_line(execution(n).id) for n in (1, 2, 4)] == [0, 0, 2]
    assert [store.execution_of_key(key) for key in ("old", "new")] == [None, "x"]
    store.close()


def test_a_backup_of_sqlite_is_a_whole_store_made_while_another_writes(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path}/a.db")
    migrations.upgrade(database)
    store = filled(database)
    with database.begin() as tx:
        tx.connection.exec_driver_sql("INSERT INTO settings VALUES ('unfinished', '1')")
        backup(database, tmp_path / "copies" / "b.db")
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["b.db"]
    copied = open_store(f"sqlite:///{tmp_path}/copies/b.db")
    again = SqlStore(copied)
    assert again.load([execution(3).id]) == store.load([execution(3).id])
    with copied.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM settings").scalar() == 0
    with pytest.raises(CannotBackUp, match="exists"):
        backup(database, tmp_path / "copies" / "b.db")
    for one in (store, again, database, copied):
        one.close()


@pytest.mark.postgres
def test_a_backup_of_postgresql_names_the_program_that_makes_it(
    postgres_store: object, tmp_path: Path
) -> None:
    assert callable(postgres_store)
    database = open_store(postgres_store(), password="hidden")
    with pytest.raises(CannotBackUp, match="pg_dump --format=custom") as caught:
        backup(database, tmp_path / "x")
    assert "hidden" not in str(caught.value)
    database.close()


def test_lines_are_deleted_slice_by_slice_of_all(database: Database) -> None:
    """Slices hold what is kept, too: how much one transaction looks at is bounded."""
    filled(database).close()
    everything = {"start": None, "end": LATER, "levels": list(Level)}
    with database.read() as connection:
        first = logs.slice_end(connection, None, 3)
        assert first == (execution(2).id, 1)
        second = logs.slice_end(connection, first, 3)
        assert second == (execution(4).id, 2)
        assert logs.slice_end(connection, second, 3) is None
    with database.begin() as tx:
        removed = logs.remove_between(tx.connection, beyond=first, until=second, **everything)
    assert removed == 3
    with database.begin() as tx:
        assert logs.remove_between(tx.connection, beyond=second, **everything) == 0
    with database.read() as connection:
        kept = {n: len(logs.after(connection, execution(n).id)) for n in (1, 2, 4)}
    assert kept == {1: 2, 2: 1, 4: 0}
