"""Fires of Flow triggers are kept once; windows are kept until they close."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from penstock_server.store import flow_fires
from penstock_server.store.engine import Database
from penstock_server.store.flow_fires import FlowFire, StoredWindow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRE = FlowFire(
    namespace="team",
    flow_id="down",
    trigger_id="after",
    upstream_id="up",
    place=2,
    execution_id="x1",
    created_at=NOON,
    start={"inputs": {"a": 1}},
)
WINDOW = StoredWindow(
    namespace="team",
    flow_id="down",
    condition_id="both",
    start_at=NOON,
    end_at=NOON + timedelta(days=1),
    held={"flows[0]": "up"},
)


def test_a_fire_is_kept_once_and_taken_once(database: Database) -> None:
    with database.begin() as tx:
        assert flow_fires.add(tx.connection, FIRE)
        assert not flow_fires.add(tx.connection, replace(FIRE, execution_id="x2"))
        assert flow_fires.add(tx.connection, replace(FIRE, place=3, execution_id="x3"))
    with database.begin() as tx:
        assert [one.execution_id for one in flow_fires.pending(tx.connection, 5)] == ["x1", "x3"]
        assert flow_fires.pending(tx.connection, 1) == [FIRE]
        assert flow_fires.take(tx.connection, FIRE)
        assert not flow_fires.take(tx.connection, FIRE)
        assert [one.execution_id for one in flow_fires.pending(tx.connection, 5)] == ["x3"]


def test_only_what_is_done_and_old_is_forgotten(database: Database) -> None:
    with database.begin() as tx:
        flow_fires.add(tx.connection, FIRE)
        flow_fires.add(tx.connection, replace(FIRE, place=3))
        flow_fires.take(tx.connection, FIRE)
        flow_fires.tidy(tx.connection, NOON)
        assert not flow_fires.add(tx.connection, FIRE)
        flow_fires.tidy(tx.connection, NOON + timedelta(seconds=1))
        assert flow_fires.add(tx.connection, FIRE)
        assert not flow_fires.add(tx.connection, replace(FIRE, place=3))


def test_a_window_is_replaced_and_removed(database: Database) -> None:
    name = ("team", "down", "both")
    more = replace(WINDOW, held={"flows[0]": "up", "w": "other"})
    with database.begin() as tx:
        assert flow_fires.window(tx.connection, *name) is None
        flow_fires.put_window(tx.connection, WINDOW)
        flow_fires.put_window(tx.connection, more)
        assert flow_fires.window(tx.connection, *name) == more
        flow_fires.tidy(tx.connection, WINDOW.end_at)
        assert flow_fires.window(tx.connection, *name) == more
        flow_fires.remove_windows(tx.connection, "team", "down")
        assert flow_fires.window(tx.connection, *name) is None
