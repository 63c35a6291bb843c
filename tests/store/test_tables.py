"""The small tables: triggers, key-value entries, runners, log lines, Git sources and their runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from penstock_runner.executor.store import LogRow
from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import KvEntry
from penstock_server.core.shapes import iso
from penstock_server.store import flows, kv, logs, queries, runners, sources, syncs, triggers
from penstock_server.store.engine import Database
from penstock_server.store.schema import to_micros

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def trigger(name: str, **more: Any) -> triggers.TriggerState:
    more.setdefault("next_date", after(10))
    return triggers.TriggerState(
        namespace="team",
        flow_id="load",
        trigger_id=name,
        type="Schedule",
        digest="d",
        updated_at=NOON,
        **more,
    )


def line(n: int, level: str = "INFO", **more: Any) -> LogRow:
    return LogRow(
        execution_id="x1",
        n=n,
        at=after(n),
        level=level,
        message=more.pop("message", f"line {n}"),
        namespace="team",
        flow_id="load",
        **more,
    )


def source(name: str = "main", **more: Any) -> sources.GitSource:
    return sources.GitSource(
        id=name,
        url="https://example.com/r.git",
        ref_kind="branch",
        ref="main",
        config={"prune": {"percent": 50}},
        config_digest="d",
        origin="config",
        updated_at=NOON,
        **more,
    )


def run(number: int, **more: Any) -> syncs.SyncRun:
    more.setdefault("started_at", after(number))
    return syncs.SyncRun(
        id=f"{number:026}", source_id="main", trigger="poll", phase="succeeded", **more
    )


def test_a_trigger_state_comes_back_as_it_was_put(database: Database) -> None:
    whole = trigger(
        "a",
        last_date=NOON,
        execution_id="x1",
        disabled=True,
        backfill={"start": "2026"},
        body={"n": 1},
        evaluated_at=after(1),
    )
    with database.begin() as tx:
        triggers.put(tx.connection, [trigger("a"), trigger("b")])
        triggers.put(tx.connection, [whole])
        assert triggers.get(tx.connection, "team", "load", "a") == whole
        assert triggers.of_flow(tx.connection, "team", "load") == [whole, trigger("b")]
        assert triggers.list_states(tx.connection, type_="Webhook") == []


def test_due_triggers_are_free_enabled_and_in_their_order(database: Database) -> None:
    late, early = trigger("late", next_date=after(9)), trigger("early", next_date=after(5))
    with database.begin() as tx:
        others = [
            trigger("held", execution_id="x1", next_date=NOON),
            trigger("off", disabled=True, next_date=NOON),
            trigger("never", next_date=None),
            trigger("future", next_date=after(99)),
        ]
        triggers.put(tx.connection, [late, early, *others])
        assert triggers.due(tx.connection, after(9), 10) == [early, late]
        assert triggers.due(tx.connection, after(9), 1) == [early]
        assert triggers.next_due(tx.connection) == after(5)


def test_a_trigger_is_locked_once_and_freed_by_its_execution(database: Database) -> None:
    with database.begin() as tx:
        triggers.put(tx.connection, [trigger("a")])
        assert triggers.lock(tx.connection, "team", "load", "a", "x1")
        assert not triggers.lock(tx.connection, "team", "load", "a", "x2")
        assert triggers.unlock(tx.connection, "x2") == 0
        assert triggers.unlock(tx.connection, "x1") == 1
        assert triggers.get(tx.connection, "team", "load", "a") == trigger("a")


def test_triggers_that_a_flow_no_longer_has_are_forgotten(database: Database) -> None:
    with database.begin() as tx:
        triggers.put(tx.connection, [trigger("a"), trigger("b")])
        assert triggers.remove(tx.connection, "team", "load", keep=["a"]) == 1
        assert triggers.of_flow(tx.connection, "team", "load") == [trigger("a")]
        assert triggers.remove(tx.connection, "team", "load") == 1


def test_entries_are_put_listed_and_removed(database: Database) -> None:
    plain = KvEntry(key="a", value=[1, {"b": None}], type="JSON", created=NOON, updated=NOON)
    short = KvEntry(key="b", value="x", type="STRING", created=NOON, updated=NOON, expires=after(1))
    with database.begin() as tx:
        for entry in (replace(plain, value="old"), plain, short):
            kv.put(tx.connection, "team", entry)
        assert kv.entries(tx.connection, "team") == [plain, short]
        assert kv.get(tx.connection, "team", "b") == short
        assert kv.get(tx.connection, "other", "b") is None
        assert queries.kv_namespaces(tx.connection) == ["team"]
        assert kv.remove(tx.connection, "team", "b")
        assert kv.remove(tx.connection, "team", "a")
        assert not kv.remove(tx.connection, "team", "a")


def test_runners_are_remembered_until_not_seen_for_long(database: Database) -> None:
    one = runners.RunnerRow(
        name="one", labels=("gpu", "os=linux"), slots=4, started_at=NOON, seen_at=NOON
    )
    with database.begin() as tx:
        runners.put(tx.connection, one)
        runners.put(tx.connection, replace(one, busy=2, seen_at=after(9)))
        assert runners.list_runners(tx.connection) == [replace(one, busy=2, seen_at=after(9))]
        assert runners.forget(tx.connection, after(9)) == 0
        assert runners.forget(tx.connection, after(10)) == 1


def test_log_lines_sent_twice_are_stored_once(database: Database) -> None:
    first, second = line(1, stream="stderr", task_id="t", attempt=2), line(2, "ERROR")
    with database.begin() as tx:
        logs.add(tx.connection, [first, second])
        logs.add(tx.connection, [line(2, message="again"), line(3)])
        assert logs.after(tx.connection, "x1") == [first, second, line(3)]
        assert logs.after(tx.connection, "x1", 1, limit=1) == [second]


def test_log_text_that_no_database_holds_is_made_legible(database: Database) -> None:
    with database.begin() as tx:
        logs.add(tx.connection, [line(1, message="a\x00b\ud800c")])
        assert logs.after(tx.connection, "x1")[0].message == "a\ufffdb?c"


def test_log_lines_are_deleted_by_what_they_say_of_themselves(database: Database) -> None:
    with database.begin() as tx:
        lines = [line(1), line(2, "ERROR"), line(3, task_id="t"), line(4, taskrun_id="r")]
        logs.add(tx.connection, [*lines, line(5, task_id="t", attempt=2)])
        assert logs.remove(tx.connection, "x1", levels=[Level.ERROR]) == 1
        assert logs.remove(tx.connection, "x1", task_id="t", attempt=2) == 1
        assert logs.remove(tx.connection, "x1", taskrun_id="r") == 1
        assert [found.n for found in logs.after(tx.connection, "x1")] == [1, 3]
        assert logs.remove_of_flow(tx.connection, "team", "load") == 2


def test_a_source_comes_back_as_it_was_put(database: Database) -> None:
    whole = source(
        path="flows",
        enabled=False,
        pinned_commit="p",
        observed_commit="o",
        observed_at=NOON,
        observed_ref="refs/heads/main",
        applied_commit="a",
        failures=3,
        status="Degraded",
        conditions=[{"type": "FetchFailed", "since": "2026", "code": "GIT_AUTH", "message": "no"}],
        webhook_at=after(5),
    )
    with database.begin() as tx:
        sources.put_source(tx.connection, source())
        sources.put_source(tx.connection, whole)
        assert sources.source(tx.connection, "main", for_update=True) == whole
        assert sources.list_sources(tx.connection) == [whole]


def test_a_source_that_is_removed_leaves_its_flows_to_nobody(database: Database) -> None:
    commit = flows.Commit(source_id="main", sha="a")
    save = flows.Save(namespace="team", id="load", source="x", commit=commit)
    with database.begin() as tx:
        sources.put_source(tx.connection, source())
        flows.save_revision(tx.connection, save, now=NOON)
        assert sources.remove_source(tx.connection, "main", now=NOON)
        assert not sources.remove_source(tx.connection, "main", now=NOON)
        [head] = flows.list_heads(tx.connection)
        assert head.managed_by is None


def test_a_commit_is_remembered_with_its_long_texts_cut(database: Database) -> None:
    long = sources.GitCommit(
        source_id="main", sha="a", parents=("b", "c"), subject="s" * 300, message="m" * 5000
    )
    with database.begin() as tx:
        sources.add_commits(tx.connection, [long, replace(long, sha="d")])
        sources.add_commits(tx.connection, [replace(long, subject="other")])
        cut = replace(long, subject="s" * 200, message="m" * 4096)
        assert sources.commit(tx.connection, "main", "a") == cut
        assert sources.commit(tx.connection, "main", "x") is None


def test_the_last_manifests_of_a_source_are_kept(database: Database) -> None:
    entries = [{"key": "team/load", "path": "a.yml", "blob": "b"}]
    with database.begin() as tx:
        for n in range(4):
            made = sources.Manifest(
                source_id="main", commit_sha=f"c{n}", applied_at=after(n), entries=entries
            )
            sources.put_manifest(tx.connection, made, keep=2)
        assert sources.applied_commits(tx.connection, "main") == [
            ("c3", after(3)),
            ("c2", after(2)),
        ]
        found = sources.manifest(tx.connection, "main", "c2")
        assert found is not None
        assert found.entries == entries
        assert sources.manifest(tx.connection, "main", "c1") is None


def test_a_run_is_written_again_as_it_goes_on(database: Database) -> None:
    planned = run(1, to_commit="a")
    ended = replace(
        planned,
        ended_at=after(2),
        counts={"added": 1},
        errors={"total": 1, "first": []},
        history_rewritten=True,
    )
    item = syncs.SyncItem(
        kind="flow", namespace="team", name="load", action="ADDED", path="a.yml", to_revision=1
    )
    with database.begin() as tx:
        syncs.put_run(tx.connection, planned)
        assert syncs.run(tx.connection, planned.id) == planned
        syncs.put_run(tx.connection, ended)
        syncs.put_run(tx.connection, run(2))
        syncs.add_items(tx.connection, ended.id, [item, replace(item, name="b")])
        assert syncs.run(tx.connection, ended.id) == ended
        assert syncs.runs(tx.connection, "main") == [run(2), ended]
        assert syncs.items(tx.connection, ended.id) == [item, replace(item, name="b")]


def test_old_runs_go_but_the_last_and_those_that_a_revision_names(database: Database) -> None:
    commit = flows.Commit(source_id="main", sha="a", run_id=run(2).id)
    save = flows.Save(namespace="team", id="load", source="x", commit=commit)
    with database.begin() as tx:
        for n in range(6):
            syncs.put_run(tx.connection, run(n))
        flows.save_revision(tx.connection, save, now=NOON)
        assert syncs.remove_old_runs(tx.connection, "main", before=after(4), keep=1) == 3
        assert [r.id for r in syncs.runs(tx.connection, "main")] == [
            run(5).id,
            run(4).id,
            run(2).id,
        ]


def test_a_delivery_and_a_push_count_once(database: Database) -> None:
    delivery = syncs.Delivery(
        source_id="main",
        delivery_id="d1",
        forge="github",
        event="push",
        received_at=NOON,
        verdict="accepted",
    )
    fire = syncs.PushFire(
        namespace="team",
        flow_id="load",
        trigger_id="push",
        source_id="main",
        commit_sha="a",
        execution_id="x1",
    )
    with database.begin() as tx:
        assert syncs.add_delivery(tx.connection, delivery)
        assert not syncs.add_delivery(tx.connection, replace(delivery, verdict="other"))
        assert syncs.deliveries(tx.connection, "main") == [delivery]
        assert syncs.remove_deliveries(tx.connection, after(1)) == 1
        assert syncs.add_push_fire(tx.connection, fire)
        assert not syncs.add_push_fire(tx.connection, replace(fire, execution_id="x2"))


def test_what_goes_out_waits_for_its_moment(database: Database) -> None:
    first = syncs.Outgoing(kind="status", body={"sha": "a"}, next_at=NOON)
    second = syncs.Outgoing(kind="status", body={"sha": "b"}, next_at=after(60))
    with database.begin() as tx:
        syncs.add_outgoing(tx.connection, [first, second])
        [due] = syncs.due_outgoing(tx.connection, after(1), 10)
        assert due == replace(first, id=due.id)
        syncs.postpone_outgoing(tx.connection, due.id, after(5))
        assert syncs.due_outgoing(tx.connection, after(1), 10) == []
        [again] = syncs.due_outgoing(tx.connection, after(5), 10)
        assert again.tries == 1
        syncs.remove_outgoing(tx.connection, again.id)
        assert len(syncs.due_outgoing(tx.connection, after(99), 10)) == 1


def test_both_hours_in_which_clocks_are_set_back_are_kept_apart() -> None:
    zone = ZoneInfo("Europe/Paris")
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1))
    assert to_micros(second) - to_micros(first) == 3_600_000_000
    assert (iso(first), iso(second)) == ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")
