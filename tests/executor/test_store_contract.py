"""What every store promises the executor: `StoreContract` runs on memory here, on SQL elsewhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Attempt, Execution, RunKey, State, TaskRun, TriggerOrigin
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.store import (
    Batch,
    Conflict,
    ExecutionWrite,
    JobRow,
    KvWrite,
    LogRow,
    MailRow,
    MetricRow,
    Pool,
    Store,
    StoredFlow,
    TimerRow,
)
from penstock_runner.tasks.api import KvEntry

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LOAD = RunKey("load")
SEND = RunKey("send")


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def history(*states: State) -> tuple[tuple[State, datetime], ...]:
    return tuple((state, after(n)) for n, state in enumerate(states))


def run(key: RunKey = LOAD, *states: State, **more: Any) -> TaskRun:
    states = states or (State.CREATED, State.RUNNING)
    return TaskRun(
        key=key, task_id=key, order=more.pop("order", 0), history=history(*states), **more
    )


def execution(number: int = 1, *states: State, **more: Any) -> Execution:
    runs = {item.key: item for item in more.pop("runs", ())}
    return Execution(
        id=f"{number:022}",
        namespace=more.pop("namespace", "team.data"),
        flow_id=more.pop("flow_id", "nightly"),
        flow_revision=1,
        history=history(*(states or (State.CREATED, State.RUNNING))),
        runs=runs,
        labels=more.pop("labels", {"system.correlationId": f"{number:022}"}),
        **more,
    )


def created(*executions: Execution, **more: Any) -> Batch:
    writes = {
        item.id: ExecutionWrite(
            execution=item, read_version=None, changed=set(item.runs), events=[e.Started(at=NOON)]
        )
        for item in executions
    }
    return Batch(executions=writes, **more)


def changed(item: Execution, read: int, **more: Any) -> Batch:
    more.setdefault("changed", set(item.runs))
    more.setdefault("events", [e.PauseRequested(at=after(9))])
    write = ExecutionWrite(execution=item, read_version=read, **more)
    return Batch(executions={item.id: write})


def stored(item: Execution, version: int = 1) -> dict[str, Execution]:
    return {item.id: replace(item, version=version)}


def line(item: Execution, n: int, level: str = "INFO", message: str = "hello") -> LogRow:
    return LogRow(
        execution_id=item.id,
        n=n,
        at=after(n),
        level=level,
        message=message,
        namespace=item.namespace,
        flow_id=item.flow_id,
        task_id="load",
        taskrun_id="r" * 22,
        attempt=1,
        stream="stdout",
    )


def job(item: Execution, key: RunKey = LOAD, attempt: int = 1, **more: Any) -> JobRow:
    return JobRow(
        execution_id=item.id,
        key=key,
        attempt=attempt,
        task_id=key,
        created=more.pop("created", NOON),
        **more,
    )


def timer(item: Execution, at: datetime, purpose: str = "retry") -> TimerRow:
    return TimerRow(execution_id=item.id, key=LOAD, attempt=1, purpose=purpose, at=at)


def entry(key: str, value: object, kind: str = "STRING", **more: Any) -> KvEntry:
    return KvEntry(key=key, value=value, type=kind, created=NOON, updated=after(1), **more)


def boom(_: object) -> None:
    raise ZeroDivisionError


class StoreContract:
    """Inherit, and give a store and a way to put a flow into it."""

    @pytest.fixture
    @abstractmethod
    def store(self) -> Store: ...

    @abstractmethod
    def save(self, source: str) -> Callable[[Any], None]:
        """A write that saves the flow team.data/nightly with this text."""

    @abstractmethod
    def delete(self) -> Callable[[Any], None]:
        """A write that deletes that flow."""

    def test_an_execution_comes_back_as_it_was_written(self, store: Store) -> None:
        attempt = Attempt(number=1, history=history(State.RUNNING, State.FAILED), reason="exit 3")
        whole = execution(
            1,
            State.CREATED,
            State.RUNNING,
            State.PAUSED,
            runs=(
                run(LOAD, attempt=2, attempts=(attempt,), outputs={"rows": 1 << 80, "ok": True}),
                run(RunKey("copy.0"), parent="copy", value='{"a": 1}', place=(0, 2), order=1),
                run(SEND, values=("a", "b"), iteration=3, branch="then", lost=1, order=2),
                run(RunKey("sub"), child_execution="c" * 22, facts={"seen": [1, 2]}, order=3),
            ),
            inputs={"who": "Ada \u2603", "n": 1.5, "nested": {"list": [None, {}]}},
            outputs={},
            labels={"team": "blue", "system.correlationId": "other"},
            variables={"x": None},
            trigger=TriggerOrigin(id="daily", type="Schedule", variables={"date": "2026"}),
            parent_id="p" * 22,
            original_id="o" * 22,
            attempt_number=2,
            original_created=after(-5),
            schedule_date=after(60),
            facts={"phase": "main"},
        )
        store.write(created(whole))
        assert store.load([whole.id]) == stored(whole)
        assert list(store.load([whole.id])[whole.id].runs) == list(whole.runs)

    def test_unknown_executions_are_left_out(self, store: Store) -> None:
        one, two = execution(1), execution(2, runs=(run(),))
        store.write(created(one, two))
        assert store.load([two.id, "nobody"]) == stored(two)
        assert store.load([]) == {}

    def test_each_write_raises_the_version_by_one(self, store: Store) -> None:
        one = execution(1)
        store.write(created(one))
        store.write(changed(one, 1))
        store.write(changed(one, 2))
        assert store.load([one.id]) == stored(one, 3)

    def test_only_the_changed_runs_of_an_execution_are_needed(self, store: Store) -> None:
        first, second = run(LOAD), run(SEND, order=1)
        one = execution(1, runs=(first, second))
        store.write(created(one))
        ended = run(SEND, State.CREATED, State.SUCCESS, order=1, outputs={"n": 1})
        later = execution(1, runs=(first, ended, run(RunKey("end"), order=2)))
        store.write(changed(later, 1, changed={SEND, RunKey("end")}))
        assert store.load([one.id]) == stored(later, 2)

    def test_removed_runs_are_gone(self, store: Store) -> None:
        store.write(created(execution(1, runs=(run(LOAD), run(SEND, order=1)))))
        later = execution(1, runs=(run(LOAD),))
        store.write(changed(later, 1, changed=set(), removed={SEND}))
        assert store.load([later.id]) == stored(later, 2)

    def test_a_stale_version_undoes_the_whole_batch(self, store: Store) -> None:
        one, two = execution(1), execution(2)
        store.write(created(one, two))
        store.write(changed(one, 1))
        batch = changed(one, 1)
        batch.executions.update(changed(two, 1).executions)
        batch.logs.append(line(one, 1))
        batch.kv.append(KvWrite(namespace="team", key="k", entry=entry("k", "v")))
        with pytest.raises(Conflict):
            store.write(batch)
        assert store.load([one.id, two.id]) == stored(one, 2) | stored(two, 1)
        assert store.last_line(one.id) == 0
        assert store.kv_list("team") == []

    def test_creating_an_execution_twice_is_a_conflict(self, store: Store) -> None:
        store.write(created(execution(1)))
        with pytest.raises(Conflict):
            store.write(created(execution(1), execution(2)))
        assert store.unended() == [execution(1).id]

    def test_a_write_that_raises_undoes_the_whole_batch(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError):
            store.write(created(execution(1), writes=[self.save("a"), boom]))
        assert store.unended() == []
        assert store.flow("team.data", "nightly", None) is None
        store.write(created(execution(1)))
        assert store.unended() == [execution(1).id]

    def test_the_latest_revision_of_a_flow_is_found_and_each_old_one(self, store: Store) -> None:
        store.write(Batch(writes=[self.save("a")]))
        store.write(Batch(writes=[self.save("b")]))
        found = [store.flow("team.data", "nightly", n) for n in (None, 1, 2, 3)]
        assert [(f.revision, f.source) if f else None for f in found] == [
            (2, "b"),
            (1, "a"),
            (2, "b"),
            None,
        ]
        assert store.flow("team.data", "other", None) is None

    def test_a_deleted_flow_has_old_revisions_only_until_it_is_saved_again(
        self, store: Store
    ) -> None:
        store.write(Batch(writes=[self.save("a")]))
        store.write(Batch(writes=[self.delete()]))
        assert store.flow("team.data", "nightly", None) is None
        last = store.flow("team.data", "nightly", 2)
        assert last is not None
        assert last.deleted
        store.write(Batch(writes=[self.save("a")]))
        again = store.flow("team.data", "nightly", None)
        assert again is not None
        assert (again.revision, again.deleted) == (3, False)

    def test_namespaces_are_those_of_flows_and_keys(self, store: Store) -> None:
        store.write(Batch(writes=[self.save("a")]))
        for namespace in ("team", "team.data.deep", "team.database"):
            store.write(Batch(kv=[KvWrite(namespace=namespace, key="k", entry=entry("k", "v"))]))
        everywhere = ["team", "team.data", "team.data.deep", "team.database"]
        assert store.namespaces() == everywhere
        assert store.namespaces("team") == everywhere
        assert store.namespaces("team.data") == ["team.data", "team.data.deep"]
        assert store.namespaces("tea") == []
        store.write(Batch(writes=[self.delete()]))
        assert store.namespaces("team.data") == ["team.data.deep"]

    def test_executions_that_have_ended_are_not_unended(self, store: Store) -> None:
        store.write(
            created(
                execution(3, State.CREATED, State.QUEUED),
                execution(1, State.CREATED, State.PAUSED),
                execution(2, State.CREATED, State.KILLED),
            )
        )
        assert store.unended() == [execution(1).id, execution(3).id]

    def test_an_ended_execution_that_is_restarted_is_unended_again(self, store: Store) -> None:
        store.write(created(execution(1, State.CREATED, State.FAILED)))
        assert store.unended() == []
        store.write(changed(execution(1, State.CREATED, State.FAILED, State.RUNNING), 1))
        assert store.unended() == [execution(1).id]

    def test_ids_are_ordered_by_their_bytes(self, store: Store) -> None:
        ids = ["0B", "0a", "0A", "0b", "00"]
        store.write(created(*(replace(execution(), id=id_ * 11) for id_ in ids)))
        assert store.unended() == [id_ * 11 for id_ in ("00", "0A", "0B", "0a", "0b")]

    def test_slots_are_held_by_what_has_begun_and_is_not_through(self, store: Store) -> None:
        goes_on: Any = {"facts": {"stage": "afterExecution"}}
        store.write(
            created(
                execution(2, State.CREATED, State.PAUSED),
                execution(1, State.CREATED, State.RUNNING),
                execution(3, State.CREATED, State.QUEUED),
                execution(4, State.CREATED, State.RUNNING, State.SUCCESS),
                execution(5, State.CREATED, State.RUNNING, flow_id="other"),
                execution(6, State.CREATED, State.RUNNING, State.KILLING),
                execution(7, State.CREATED, State.RUNNING, State.SUCCESS, **goes_on),
                execution(8, State.CREATED, State.CANCELLED, **goes_on),
                execution(9, State.CREATED, State.RUNNING, facts={"group": "deploy"}),
            )
        )
        holders = [execution(n).id for n in (1, 2, 6, 7)]
        assert store.slot_holders(Pool("team.data", "nightly")) == holders
        assert store.slot_holders(Pool("team", "nightly")) == []

    def test_queued_executions_come_oldest_first(self, store: Store) -> None:
        store.write(created(*(execution(n, State.CREATED, State.QUEUED) for n in (3, 1, 2))))
        store.write(created(execution(4, State.CREATED, State.QUEUED, flow_id="other")))
        assert store.queued(Pool("team.data", "nightly")) == [execution(n).id for n in (1, 2, 3)]

    def test_a_group_has_executions_of_all_flows_of_its_namespace(self, store: Store) -> None:
        group: Any = {"facts": {"group": "prod\u00e9"}}
        store.write(
            created(
                execution(1, State.CREATED, State.RUNNING, **group),
                execution(2, State.CREATED, State.RUNNING, flow_id="other", **group),
                execution(3, State.CREATED, State.QUEUED, flow_id="other", **group),
                execution(4, State.CREATED, State.RUNNING, facts={"group": "test"}),
                execution(5, State.CREATED, State.RUNNING, namespace="team", **group),
            )
        )
        pool = Pool("team.data", "prod\u00e9", group=True)
        assert store.slot_holders(pool) == [execution(1).id, execution(2).id]
        assert store.queued(pool) == [execution(3).id]

    def test_jobs_stay_until_they_end(self, store: Store) -> None:
        one = execution(1)
        first = job(one, required=("gpu", "region=eu"), purpose="values")
        second = job(one, SEND, created=after(1), runner="here")
        store.write(created(one, jobs=[second, first]))
        assert store.jobs() == [first, second]
        store.write(Batch(jobs_assigned=[replace(first, runner="far")]))
        assert store.jobs() == [replace(first, runner="far"), second]
        store.write(Batch(jobs_ended=[(one.id, LOAD, 1)]))
        assert store.jobs() == [second]

    def test_a_job_asked_for_twice_is_one_job(self, store: Store) -> None:
        one = execution(1)
        store.write(created(one, jobs=[job(one, runner="here")]))
        store.write(Batch(jobs=[job(one, created=after(5))]))
        assert store.jobs() == [job(one, runner="here")]

    def test_a_place_that_ends_one_job_and_gets_the_next_keeps_the_next(self, store: Store) -> None:
        one = execution(1)
        store.write(created(one, jobs=[job(one, purpose="values")]))
        store.write(Batch(jobs_ended=[(one.id, LOAD, 1)], jobs=[job(one, created=after(1))]))
        assert store.jobs() == [job(one, created=after(1))]

    def test_timers_are_due_in_their_order(self, store: Store) -> None:
        one = execution(1)
        assert store.next_timer() is None
        first, second = timer(one, after(5)), timer(one, after(3), "timeout")
        store.write(created(one, timers=[first, second]))
        assert store.next_timer() == after(3)
        assert store.due_timers(after(2), 10) == []
        assert store.due_timers(after(5), 10) == [second, first]
        assert store.due_timers(after(5), 1) == [second]
        store.write(Batch(timers_ended=[(one.id, LOAD, 1, "timeout")]))
        assert store.due_timers(after(9), 10) == [first]

    def test_a_timer_set_again_moves(self, store: Store) -> None:
        one = execution(1)
        store.write(created(one, timers=[timer(one, after(5))]))
        store.write(Batch(timers=[timer(one, after(50))]))
        assert store.next_timer() == after(50)

    def test_mail_waits_in_order_until_it_is_read(self, store: Store) -> None:
        one = execution(1)
        bodies = [{"kind": "ended", "n": n} for n in range(3)]
        store.write(created(one, mail=[MailRow(execution_id=one.id, body=b) for b in bodies]))
        waiting = store.mail(2)
        assert [(m.execution_id, m.body) for m in waiting] == [(one.id, b) for b in bodies[:2]]
        store.write(Batch(mail_ended=[m.id for m in waiting]))
        assert [m.body for m in store.mail(10)] == bodies[2:]

    def test_the_number_of_a_mail_is_never_used_again(self, store: Store) -> None:
        mail = MailRow(execution_id=execution().id, body={})
        store.write(Batch(mail=[mail]))
        [first] = store.mail(9)
        store.write(Batch(mail=[mail], mail_ended=[first.id]))
        [second] = store.mail(9)
        assert second.id > first.id

    def test_log_lines_are_numbered_and_stored_once(self, store: Store) -> None:
        one = execution(1)
        assert store.last_line(one.id) == 0
        bad = line(one, 2, "ERROR", "no such file")
        store.write(created(one, logs=[line(one, 1), bad, line(one, 3)]))
        store.write(Batch(logs=[line(one, 3, "ERROR", "sent again"), line(one, 4, "ERROR", "x")]))
        assert store.last_line(one.id) == 4
        assert store.error_lines(one.id, 10) == [bad, line(one, 4, "ERROR", "x")]
        assert store.error_lines(one.id, 1) == [bad]

    def test_values_are_put_replaced_and_deleted(self, store: Store) -> None:
        text = entry("b", "text", expires=after(60))
        data = entry("a", {"n": [1, 2.5, None]}, "JSON")
        store.write(Batch(kv=[KvWrite(namespace="team", key=k.key, entry=k) for k in (text, data)]))
        assert store.kv_list("team") == [data, text]
        assert store.kv_get("team", "b") == text
        assert store.kv_get("other", "b") is None
        store.write(
            Batch(
                kv=[
                    KvWrite(namespace="team", key="a", entry=None),
                    KvWrite(namespace="team", key="b", entry=entry("b", 1, "NUMBER")),
                    KvWrite(namespace="team", key="b", entry=entry("b", 2, "NUMBER")),
                    KvWrite(namespace="team", key="c", entry=entry("c", True, "BOOLEAN")),
                    KvWrite(namespace="team", key="c", entry=None),
                ]
            )
        )
        assert store.kv_list("team") == [entry("b", 2, "NUMBER")]

    def test_the_execution_of_an_idempotency_key_is_known(self, store: Store) -> None:
        one = execution(1)
        store.write(created(one, idempotency=[("key-1", one.id, NOON)]))
        assert store.execution_of_key("key-1") == one.id
        assert store.execution_of_key("key-2") is None

    def test_a_deleted_execution_leaves_nothing(self, store: Store) -> None:
        one, two = execution(1, runs=(run(),)), execution(2, runs=(run(),))
        for item in (one, two):
            store.write(
                created(
                    item,
                    jobs=[job(item)],
                    timers=[timer(item, after(1))],
                    mail=[MailRow(execution_id=item.id, body={})],
                    logs=[line(item, 1, "ERROR")],
                    metrics=[metric(item)],
                    idempotency=[(item.id, item.id, NOON)],
                )
            )
        store.write(Batch(executions_deleted=[one.id]))
        assert store.load([one.id, two.id]) == stored(two)
        assert [j.execution_id for j in store.jobs()] == [two.id]
        assert [t.execution_id for t in store.due_timers(after(9), 9)] == [two.id]
        assert [m.execution_id for m in store.mail(9)] == [two.id]
        assert [store.last_line(one.id), store.last_line(two.id)] == [0, 1]
        assert store.execution_of_key(one.id) is None
        store.write(created(one))
        assert store.load([one.id]) == stored(one)

    def test_log_lines_of_a_deleted_execution_stay_when_asked_for(self, store: Store) -> None:
        one = execution(1)
        store.write(created(one, logs=[line(one, 1, "ERROR")], metrics=[metric(one)]))
        store.write(Batch(executions_deleted=[one.id], records_kept={(one.id, "logs")}))
        assert store.load([one.id]) == {}
        assert [row.message for row in store.error_lines(one.id, 9)] != []
        assert store.last_line(one.id) == 1

    def test_what_a_batch_deletes_is_gone_before_it_writes(self, store: Store) -> None:
        one = execution(1, runs=(run(),))
        store.write(created(one, logs=[line(one, 1)]))
        with pytest.raises(Conflict):
            store.write(replace(changed(one, 1), executions_deleted=[one.id]))
        assert store.last_line(one.id) == 1
        again = execution(1, State.CREATED, State.QUEUED)
        store.write(created(again, executions_deleted=[one.id]))
        assert store.load([one.id]) == stored(again)
        assert store.last_line(one.id) == 0

    def test_an_empty_batch_changes_nothing(self, store: Store) -> None:
        store.write(Batch())
        assert store.unended() == []

    @pytest.mark.parametrize("count", [1, 7, 60])
    def test_a_batch_of_any_size_is_stored_whole(self, store: Store, count: int) -> None:
        all_ = [
            execution(n, State.CREATED, State.SUCCESS, runs=(run(), run(SEND, order=1)))
            for n in range(count)
        ]
        for item in all_[: count // 2]:
            store.write(created(item))
        batch = created(*all_[count // 2 :])
        for item in all_[: count // 2]:
            batch.executions.update(changed(item, 1).executions)
        batch.logs.extend(line(item, n) for item in all_ for n in (1, 2))
        batch.metrics.extend(metric(item) for item in all_)
        store.write(batch)
        versions = [2] * (count // 2) + [1] * (count - count // 2)
        assert store.load([item.id for item in all_]) == {
            item.id: replace(item, version=version)
            for item, version in zip(all_, versions, strict=True)
        }
        assert [store.last_line(item.id) for item in all_] == [2] * count


def metric(item: Execution) -> MetricRow:
    return MetricRow(
        execution_id=item.id,
        taskrun_id="r" * 22,
        task_id="load",
        namespace=item.namespace,
        flow_id=item.flow_id,
        at=NOON,
        name="rows",
        kind="counter",
        value=2.5,
        tags={"table": "orders"},
    )


class TestMemoryStore(StoreContract):
    """The contract, in memory."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    def save(self, source: str) -> Callable[[MemoryStore], None]:
        def write(store: MemoryStore) -> None:
            store.put_flow(StoredFlow(**NIGHTLY, revision=revision(store) + 1, source=source))

        return write

    def delete(self) -> Callable[[MemoryStore], None]:
        def write(store: MemoryStore) -> None:
            last = store.flow(**FLOW, revision=revision(store))
            assert last is not None
            store.put_flow(replace(last, revision=last.revision + 1, deleted=True))

        return write


NIGHTLY = {"namespace": "team.data", "id": "nightly"}
FLOW = {"namespace": "team.data", "flow_id": "nightly"}


def revision(store: MemoryStore) -> int:
    number = 0
    while store.flow(**FLOW, revision=number + 1) is not None:
        number += 1
    return number
