"""Heads of flows are kept in memory, and never an old one is given."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from penstock_runner.executor.flows import Flows
from penstock_server.store import flows
from penstock_server.store.engine import Database
from penstock_server.store.flow_changes import FlowChanges
from penstock_server.store.queries import FlowHeads

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def save(database: Database, text: str) -> None:
    with database.begin() as tx:
        source = f"id: nightly\nnamespace: team\ndescription: {text}\ntasks: []\n"
        one = flows.Save(namespace="team", id="nightly", source=source)
        flows.save_revision(tx.connection, one, now=NOON)


def revision(heads: FlowHeads) -> int | None:
    head = heads.find("team", "nightly")
    return None if head is None else head.revision


def test_a_head_is_read_once_while_no_flow_changes(database: Database) -> None:
    changes = FlowChanges()
    heads = FlowHeads(database, changes)
    save(database, "first")
    assert revision(heads) == 1
    save(database, "second, of which nobody was told")
    assert revision(heads) == 1


def test_a_change_that_was_noted_is_seen_at_once(database: Database) -> None:
    changes = FlowChanges()
    heads = FlowHeads(database, changes)
    assert revision(heads) is None
    save(database, "first")
    changes.note()
    assert revision(heads) == 1
    save(database, "second")
    changes.note()
    assert revision(heads) == 2


def test_without_a_count_every_question_reads_the_store(database: Database) -> None:
    heads = FlowHeads(database)
    save(database, "first")
    assert revision(heads) == 1
    save(database, "second")
    assert revision(heads) == 2


def test_the_count_is_shared_with_processes_forked_later() -> None:
    changes = FlowChanges()
    child = os.fork()
    if child == 0:
        changes.note()
        os._exit(0)
    os.waitpid(child, 0)
    assert changes.count == 1


def test_core_notes_every_change_of_heads() -> None:
    changes = FlowChanges()
    known = Flows(lambda _namespace, _id, _revision: None, changed=changes.note)
    known.forget([])
    assert changes.count == 0
    known.forget([("team", "nightly")])
    assert changes.count == 1
