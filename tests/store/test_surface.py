"""What pages and collectors of numbers ask beside executions, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from penstock_server.store import audits, declared, flows, revisions, schema
from penstock_server.store.engine import Database
from penstock_server.store.queries import placing
from penstock_server.store.queries.limits import running_by_flow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_changes_are_listed_newest_first_and_by_what_they_concern(database: Database) -> None:
    with database.begin() as tx:
        for number, subject in enumerate(("a", "b", "a")):
            event = audits.AuditEvent(
                id=f"{number:026d}",
                at=NOON + timedelta(hours=number),
                action="source.changed",
                subject=subject,
                actor="Zoë " * 100,
                details={"n": number},
            )
            audits.add(tx.connection, event)
    with database.read() as connection:
        first, total = audits.page(connection, limit=2)
        of_a, count = audits.page(connection, subject="a")
    assert (total, [one.details for one in first]) == (3, [{"n": 2}, {"n": 1}])
    assert (count, [one.at for one in of_a]) == (2, [NOON + timedelta(hours=2), NOON])
    assert len(first[0].actor or "") == 200


def test_a_declaration_is_kept_until_it_is_removed(database: Database) -> None:
    one = declared.Declared(id="a", settings={"url": "x"}, updated_at=NOON, updated_by="ana")
    with database.begin() as tx:
        declared.put(tx.connection, one)
        declared.put(tx.connection, declared.Declared(id="a", settings={}, updated_at=NOON))
        assert [(row.id, row.settings) for row in declared.listed(tx.connection)] == [("a", {})]
        declared.remove(tx.connection, "a")
        assert declared.listed(tx.connection) == []


def test_jobs_that_wait_are_counted_by_the_labels_they_ask_for(database: Database) -> None:
    rows = [
        {
            "execution_id": f"x{number}",
            "key": "a",
            "attempt": 1,
            "task_id": "a",
            "purpose": "",
            "required": labels,
            "runner": runner,
            "created_at": NOON,
        }
        for number, (labels, runner) in enumerate(
            [(["gpu"], None), (["gpu"], None), (None, None), (["gpu"], "local"), (["b", "a"], None)]
        )
    ]
    with database.begin() as tx:
        tx.connection.execute(schema.jobs.insert(), rows)
        found = placing.waiting_by_labels(tx.connection)
    assert found == {("gpu",): 2, (): 1, ("a", "b"): 1}


def test_revisions_are_taken_out_of_a_history(database: Database) -> None:
    with database.begin() as tx:
        for number in range(3):
            save = flows.Save(namespace="team", id="load", source=f"id: load\n# {number}\n")
            flows.save_revisions(tx.connection, [save], now=NOON)
        assert revisions.used(tx.connection, "team", "load", [1, 2]) == []
        assert revisions.remove(tx.connection, "team", "load", [1, 2, 9]) == 2
        assert flows.revision(tx.connection, "team", "load", 1) is None
        assert running_by_flow(tx.connection) == {}
