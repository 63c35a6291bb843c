"""What the hot statements do beyond the contract: labels by index, odd values, large batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.executor.test_store_contract import (
    NOON,
    changed,
    created,
    execution,
    history,
    line,
    metric,
    run,
)

from penstock_runner.engine import events as e
from penstock_runner.engine.state import State, TriggerOrigin
from penstock_runner.executor.store import Batch, Conflict
from penstock_server.store import bodies, rows
from penstock_server.store.engine import Database, open_store
from penstock_server.store.executions import SqlStore
from penstock_server.store.hot import PostgresHot
from penstock_server.store.schema import to_micros


def rows_of(database: Database, sql: str) -> list[tuple[object, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


LABELS = "SELECT execution_id, key, value FROM execution_labels ORDER BY 1, 2"


def test_labels_are_indexed_but_for_the_correlation_id_that_is_the_executions_own(
    database: Database,
) -> None:
    store = SqlStore(database)
    one = execution(1, labels={"team": "blue", "system.correlationId": execution(1).id})
    two = execution(2, labels={"long": "x" * 1024, "system.correlationId": one.id})
    store.write(created(one, two))
    assert rows_of(database, LABELS) == [
        (one.id, "team", "blue"),
        (two.id, "long", "x" * rows.LABEL_CUT),
        (two.id, "system.correlationId", one.id),
    ]
    assert store.load([two.id])[two.id].labels == two.labels
    store.close()


@pytest.mark.parametrize("fresh", [False, True], ids=["same-process", "after-a-restart"])
def test_changed_labels_replace_those_of_the_index(database: Database, fresh: bool) -> None:
    store = SqlStore(database)
    store.write(created(execution(1, labels={"a": "1", "b": "2"})))
    if fresh:
        store.close()
        store = SqlStore(database)
    store.write(changed(execution(1, labels={"a": "1", "b": "2"}), 1))
    store.write(changed(execution(1, labels={"b": "3", "c": "4"}), 2))
    assert [found[1:] for found in rows_of(database, LABELS)] == [("b", "3"), ("c", "4")]
    store.close()


def test_what_is_searched_has_its_column(database: Database) -> None:
    store = SqlStore(database)
    origin = TriggerOrigin(id="t", type="Flow", variables={"executionId": execution(9).id})
    labels = {"system.gitCommit": "c" * 40}
    one = execution(1, State.CREATED, State.FAILED, trigger=origin, labels=labels)
    store.write(created(one))
    assert rows_of(
        database,
        "SELECT state, version, created_at, ended_at, trigger_id, trigger_execution_id,"
        " commit_sha FROM executions",
    ) == [
        (
            "FAILED",
            1,
            to_micros(NOON),
            to_micros(history(State.CREATED, State.FAILED)[1][1]),
            "t",
            execution(9).id,
            "c" * 40,
        )
    ]
    store.close()


def test_the_events_of_a_batch_are_one_row(database: Database) -> None:
    store = SqlStore(database)
    store.write(created(execution(1)))
    both = [e.PauseRequested(at=NOON), e.KillRequested(at=NOON, reason="late")]
    store.write(changed(execution(1), 1, events=both))
    store.write(changed(execution(1), 2, events=[]))
    found = rows_of(database, "SELECT version, body FROM execution_events ORDER BY version")
    assert [version for version, _ in found] == [1, 2]
    assert bodies.events_from_json(str(found[1][1])) == tuple(both)
    store.close()


def test_a_measurement_that_is_no_number_is_left_out(database: Database) -> None:
    store = SqlStore(database)
    one = execution(1)
    values = [math.nan, 1.5, math.inf]
    store.write(created(one, metrics=[replace(metric(one), value=value) for value in values]))
    assert rows_of(database, "SELECT value FROM metrics") == [(1.5,)]
    store.close()


def test_text_that_no_database_holds_is_stored_legibly(database: Database) -> None:
    store = SqlStore(database)
    one = execution(1, labels={"k": "a\x00b"}, inputs={"text": "c\x00d"}, runs=(run(),))
    store.write(created(one, logs=[line(one, 1, "ERROR", "e\x00f\ud800")]))
    assert rows_of(database, LABELS) == [(one.id, "k", "a\ufffdb")]
    assert store.load([one.id])[one.id].inputs == {"text": "c\x00d"}
    assert store.error_lines(one.id, 1)[0].message == "e\ufffdf?"
    store.close()


@pytest.mark.postgres
def test_a_batch_too_large_for_one_value_goes_in_parts(postgres_store: Callable[[], str]) -> None:
    database = open_store(postgres_store())
    lines = [rows.log_row(line(execution(1), n, message="x" * 50)) for n in range(1, 12)]
    with database.begin() as tx:
        PostgresHot(tx.raw, limit=300).add("logs", lines)
    store = SqlStore(database)
    assert store.last_line(execution(1).id) == 11
    store.close()
    database.close()


@pytest.mark.postgres
def test_a_conflict_leaves_the_connection_ready(postgres_store: Callable[[], str]) -> None:
    database = open_store(postgres_store())
    store = SqlStore(database)
    store.write(created(execution(1)))
    for wrong in (created(execution(1)), changed(execution(1), 7), changed(execution(2), 1)):
        with pytest.raises(Conflict):
            store.write(wrong)
        store.write(Batch(logs=[line(execution(1), 1)]))
    store.close()
    database.close()
