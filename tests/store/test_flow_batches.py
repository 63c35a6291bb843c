"""Many flows made ready and written at once, on every database."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from penstock_server.store import flow_batches, flows, syncs, triggers
from penstock_server.store.engine import Database
from penstock_server.store.staging import Staging

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMMIT = flows.Commit(
    source_id="main", sha="a" * 40, author="Ana", time=NOON, ref="refs/heads/main"
)
# Nothing is put aside by those who only write.
ASIDE = Staging("none")
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
        ready.write(tx, ASIDE)


def test_flows_are_saved_changed_and_deleted_with_their_commits(database: Database) -> None:
    written(database, save("a"), save("b"), save("c"))
    written(database, save("a", "two", NAMELESS), save("b"))
    for commit in (COMMIT, NAMELESS):
        with database.read() as connection:
            known = {one.id: one for one in flow_batches.lives(connection, managed_by="main")}
        ready = flow_batches.ReadyFlows()
        ready.delete(known["b" if commit is COMMIT else "c"], save("", "", commit), NOON)
        with database.begin() as tx:
            ready.write(tx, ASIDE)
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
        ready.write(tx, ASIDE)
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
        syncs.add_bound_items(tx, [syncs.bound_item("run", 0, item)], ASIDE)
    with database.read() as connection:
        assert triggers.of_flows(connection, [("team", "a")]) == [state]
        assert syncs.items(connection, "run") == [item]
    with database.begin() as tx:
        triggers.remove_many(tx, [("team", "a")])
    with database.read() as connection:
        assert triggers.of_flows(connection, [("team", "a")]) == []


def staged(database: Database, staging: Staging, *saves: flows.Save) -> flow_batches.ReadyFlows:
    ready = flow_batches.ReadyFlows()
    for save_ in saves:
        with database.read() as connection:
            ready.save(connection, [save_], NOON)
        with database.begin() as tx:
            ready.stage(tx, staging)
    return ready


def texts(database: Database) -> dict[str, tuple[int, str]]:
    with database.read() as connection:
        heads = flows.list_heads(connection)
        found = [flows.revision(connection, "team", head.id) for head in heads]
    return {one.id: (one.revision, one.source) for one in found if one is not None}


def test_flows_that_were_put_aside_are_seen_by_nobody_until_they_are_written(
    database: Database,
) -> None:
    written(database, save("a"), save("b"))
    with database.begin() as tx:
        flows.set_override(
            tx.connection, "team", "b", flows.Override(disabled=True, by="ana"), now=NOON
        )
    staging = Staging("run1")
    ready = staged(database, staging, save("a", "two"), save("b", "two"), save("c"))
    assert texts(database) == {"a": (1, "one"), "b": (1, "one")}
    with database.begin() as tx:
        ready.write(tx, staging)
    assert texts(database) == {"a": (2, "two"), "b": (2, "two"), "c": (1, "one")}
    with database.read() as connection:
        switched = flows.head(connection, "team", "b")
    assert switched is not None
    assert switched.override is not None


def test_a_write_that_is_undone_can_be_tried_again_with_what_was_put_aside(
    database: Database,
) -> None:
    staging = Staging("run1")
    ready = staged(database, staging, save("a"), save("b"))
    with suppress(LookupError), database.begin() as tx:
        ready.write(tx, staging)
        raise LookupError("something else of the batch")
    assert texts(database) == {}
    with database.begin() as tx:
        ready.write(tx, staging)
    assert texts(database) == {"a": (1, "one"), "b": (1, "one")}


def test_what_two_runs_put_aside_at_once_is_kept_apart(database: Database) -> None:
    one, other = Staging("run1"), Staging("run2")
    first = staged(database, one, save("a"))
    staged(database, other, save("b"))
    with database.begin() as tx:
        other.drop(tx)
    assert (one.used, other.used) == (True, False)
    with database.begin() as tx:
        first.write(tx, one)
        one.drop(tx)
    assert texts(database) == {"a": (1, "one")}


def test_triggers_and_lines_that_were_put_aside_are_written_with_the_rest(
    database: Database,
) -> None:
    staging = Staging("run1")
    states = [
        triggers.TriggerState(
            namespace="team", flow_id="a", trigger_id=name, type="x", digest="1", updated_at=NOON
        )
        for name in ("t", "u")
    ]
    items = [syncs.SyncItem(kind="flow", namespace="team", name=n, action="ADDED") for n in "ab"]
    with database.begin() as tx:
        triggers.stage_bound(tx, [triggers.bound(state) for state in states], staging)
        syncs.stage_items(tx, [syncs.bound_item("run", 0, items[0])], staging)
    with database.read() as connection:
        assert triggers.of_flows(connection, [("team", "a")]) == []
    with database.begin() as tx:
        triggers.put_staged(tx, staging)
        syncs.add_bound_items(tx, [syncs.bound_item("run", 1, items[1])], staging)
    with database.read() as connection:
        assert triggers.of_flows(connection, [("team", "a")]) == states
        assert syncs.items(connection, "run") == items
