"""Many flows made ready and written at once, on every database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock_server.store import flow_batches, flows, syncs, triggers
from penstock_server.store.engine import Database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMMIT = flows.Commit(
    source_id="main", sha="a" * 40, author="Ana", time=NOON, ref="refs/heads/main"
)
NAMELESS = flows.Commit(source_id="main", sha="b" * 40)


def save(flow_id: str, text: str = "one", commit: flows.Commit = COMMIT) -> flows.Save:
    return flows.Save(
        namespace="team", id=flow_id, source=text, labels={"team": "data"}, commit=commit
    )


def written(database: Database, *saves: flows.Save) -> None:
    ready = flow_batches.ReadyFlows()
    with database.read() as connection:
        ready.save(connection, saves, NOON)
    with database.begin() as tx:
        ready.write(tx)


def test_flows_are_saved_changed_and_deleted_with_their_commits(database: Database) -> None:
    written(database, save("a"), save("b"), save("c"))
    written(database, save("a", "two", NAMELESS), save("b"))
    for commit in (COMMIT, NAMELESS):
        with database.read() as connection:
            known = {one.id: one for one in flow_batches.lives(connection, managed_by="main")}
        ready = flow_batches.ReadyFlows()
        ready.delete(known["b" if commit is COMMIT else "c"], save("", "", commit), NOON)
        with database.begin() as tx:
            ready.write(tx)
    with database.read() as connection:
        heads = {head.id: head for head in flows.list_heads(connection, deleted=True)}
        gone = flows.revision(connection, "team", "b")
        first = flows.revision(connection, "team", "a", 1)
    assert {name: (one.revision, one.deleted) for name, one in heads.items()} == {
        "a": (2, False),
        "b": (2, True),
        "c": (2, True),
    }
    assert (heads["a"].labels, heads["a"].managed_by) == ({"team": "data"}, "main")
    assert gone is not None
    assert (gone.deleted, gone.source, gone.commit) == (True, "one", COMMIT)
    assert first is not None
    assert (first.source, first.commit, first.created) == ("one", COMMIT, NOON)
    written(database, save("b", "back"))
    with database.read() as connection:
        back = flows.head(connection, "team", "b")
    assert back is not None
    assert (back.revision, back.deleted) == (3, False)


def test_nothing_is_written_over_a_flow_that_has_changed_since(database: Database) -> None:
    written(database, save("a"))
    ready = flow_batches.ReadyFlows()
    with database.read() as connection:
        ready.save(connection, [save("a", "mine"), save("new")], NOON)
    written(database, save("a", "theirs"))
    with pytest.raises(flow_batches.Outdated, match=r"team\.a"), database.begin() as tx:
        ready.write(tx)
    with database.read() as connection:
        assert flows.head(connection, "team", "new") is None
        found = flows.revision(connection, "team", "a")
    assert found is not None
    assert (found.revision, found.source) == (2, "theirs")


def test_triggers_and_lines_of_runs_are_written_in_bulk(database: Database) -> None:
    state = triggers.TriggerState(
        namespace="team", flow_id="a", trigger_id="t", type="x", digest="1", updated_at=NOON
    )
    item = syncs.SyncItem(kind="flow", namespace="team", name="a", action="ADDED", to_revision=1)
    with database.begin() as tx:
        triggers.put_bound(tx, [triggers.bound(state)])
        syncs.add_bound_items(tx, [syncs.bound_item("run", 0, item)])
    with database.read() as connection:
        assert triggers.of_flows(connection, [("team", "a")]) == [state]
        assert syncs.items(connection, "run") == [item]
    with database.begin() as tx:
        triggers.remove_many(tx, [("team", "a")])
    with database.read() as connection:
        assert triggers.of_flows(connection, [("team", "a")]) == []
