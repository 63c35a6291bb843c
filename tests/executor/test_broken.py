"""Executions whose flow is gone, faults of the engine, stops at odd moments: none hangs."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from tests.executor.harness import World, stored
from tests.executor.test_executor import HELLO, SHELL, report_of

from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import Execution, RunKey, State
from penstock_runner.executor.inbox import Remove
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Start
from penstock_runner.executor.store import Batch, StoredFlow


class LostRevisions(MemoryStore):
    """A store whose flows are gone once `lost` is set."""

    lost = False

    def flow(self, namespace: str, flow_id: str, revision: int | None) -> StoredFlow | None:
        return None if self.lost else super().flow(namespace, flow_id, revision)


PARENT = """
id: parent
namespace: team
tasks:
  - {id: call, type: io.kestra.plugin.core.flow.Subflow, namespace: team, flowId: shell}
"""


def test_an_execution_whose_revision_is_gone_fails_and_says_so() -> None:
    store = LostRevisions([stored(SHELL), stored(HELLO)])
    world = World(store=store)
    world.runner()
    execution_id = world.start("shell")
    other = world.start("hello")
    store.lost = True
    world.restart()
    execution = world.execution(execution_id)
    assert execution.state is State.FAILED
    assert {run.state for run in execution.runs.values()} == {State.FAILED}
    [message] = world.messages(execution_id)
    assert message.startswith("Revision 1 of team.shell, which this execution runs, cannot be read")
    assert not store.jobs()
    assert world.execution(other).state is State.SUCCESS
    world.executor.report(report_of(world.sent[0]))
    world.settle()
    assert world.execution(execution_id) == execution


@pytest.mark.parametrize("ended", [True, False])
def test_an_execution_whose_revision_is_gone_is_deleted_all_the_same(*, ended: bool) -> None:
    store = LostRevisions([stored(SHELL), stored(HELLO)])
    world = World(store=store)
    execution_id = world.start("hello" if ended else "shell")
    store.lost = True
    world.executor = world.make()
    outcomes: list[Outcome] = []
    world.executor.remove(Remove(execution_id=execution_id, done=outcomes.append))
    world.settle()
    assert [outcome.error for outcome in outcomes] == [None]
    assert store.load([execution_id]) == {}


def test_the_parent_of_an_execution_that_cannot_go_on_is_told() -> None:
    store = LostRevisions([stored(SHELL), stored(PARENT)])
    world = World(store=store)
    parent = world.start("parent")
    world.settle()
    [child] = [one for one in store.unended() if one != parent]
    world.executor = world.make()
    world.executor.flows.get("team", "parent", 1)
    store.lost = True
    world.executor.recover()
    world.settle()
    assert world.execution(child).state is State.FAILED
    assert world.execution(parent).state is State.FAILED


def test_a_fault_of_the_engine_ends_the_execution_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(SHELL)
    world.runner()
    first, second = world.start("shell"), world.start("shell")
    work = Fold.apply

    def faulty(fold: Fold, event: e.Event) -> object:
        if fold.head.id == first and isinstance(event, e.JobEnded):
            raise ZeroDivisionError("a rule without sense")
        return work(fold, event)

    monkeypatch.setattr(Fold, "apply", faulty)
    for job in world.sent:
        world.executor.report(report_of(job))
    world.settle()
    assert world.execution(first).state is State.FAILED
    assert world.execution(second).state is State.SUCCESS
    [message] = world.messages(first)
    assert "fault of Penstock: ZeroDivisionError: a rule without sense" in message
    assert isinstance(world.store, MemoryStore)
    assert not world.store.jobs()


LIMITED = SHELL.replace("id: shell", "id: limited\nconcurrency: {limit: 1, behavior: QUEUE}")


def test_the_slot_of_an_execution_that_cannot_go_on_is_taken_once_and_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the one that waits longest, whatever else the same batch starts."""
    world = World(LIMITED)
    world.runner()
    first, second = world.start("limited"), world.start("limited")
    assert world.execution(second).state is State.QUEUED
    work = Fold.apply

    def faulty(fold: Fold, event: e.Event) -> object:
        if fold.head.id == first and isinstance(event, e.JobEnded):
            raise ZeroDivisionError("a rule without sense")
        return work(fold, event)

    monkeypatch.setattr(Fold, "apply", faulty)
    world.executor.report(report_of(world.sent[0]))
    third = world.start("limited")
    states = [world.execution(one).state for one in (first, second, third)]
    assert states == [State.FAILED, State.RUNNING, State.QUEUED]
    [_, job] = [message for message in world.sent if message["type"] == "job"]
    assert job["execution_id"] == second
    world.executor.report(report_of(job))
    world.settle()
    assert world.execution(third).state is State.RUNNING


def test_a_new_execution_that_cannot_begin_gives_its_slot_to_the_next_of_its_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(LIMITED)
    world.runner()
    work = Fold.settle

    def faulty(fold: Fold) -> object:
        commands = work(fold)
        if fold.head.labels.get("bad") and fold.head.state is State.RUNNING:
            raise ZeroDivisionError("a rule without sense")
        return commands

    monkeypatch.setattr(Fold, "settle", faulty)
    outcomes: list[Outcome] = []
    for labels in ({"bad": "yes"}, {"n": "2"}, {"n": "3"}):
        start = Start(namespace="team", flow_id="limited", resolve=True, labels=labels)
        world.executor.transact(starts=[start], done=outcomes.append)
    world.settle()
    ids = [outcome.executions[0].id for outcome in outcomes]
    states = [world.execution(one).state for one in ids]
    assert states == [State.FAILED, State.RUNNING, State.QUEUED]


def failing_at_the_start(monkeypatch: pytest.MonkeyPatch, flow_id: str) -> None:
    """An engine that raises in the first step of a flow."""
    work = Fold.apply

    def faulty(fold: Fold, event: e.Event) -> object:
        if fold.head.flow_id == flow_id and isinstance(event, e.Started):
            raise ZeroDivisionError("a rule without sense")
        return work(fold, event)

    monkeypatch.setattr(Fold, "apply", faulty)


def test_an_execution_whose_first_step_fails_is_there_and_is_shown_as_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing_at_the_start(monkeypatch, "shell")
    world = World(SHELL, HELLO)
    outcomes: list[Outcome] = []
    for name in ("shell", "hello"):
        start = Start(namespace="team", flow_id=name, resolve=True, idempotency_key=name)
        world.executor.transact(starts=[start], done=outcomes.append)
    world.settle()
    [bad, good] = [outcome.executions[0] for outcome in outcomes]
    assert (bad.state, good.state) == (State.FAILED, State.CREATED)
    assert world.execution(bad.id).state is State.FAILED
    assert world.execution(good.id).state is State.SUCCESS
    [message] = world.messages(bad.id)
    assert "fault of Penstock: ZeroDivisionError: a rule without sense" in message
    assert world.start("shell", idempotency_key="shell") == bad.id


def test_who_waits_for_an_execution_that_cannot_go_on_is_answered_with_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing_at_the_start(monkeypatch, "hello")
    world = World(HELLO)
    outcomes: list[Outcome] = []
    world.executor.start_and_wait(
        Start(namespace="team", flow_id="hello", resolve=True), outcomes.append
    )
    world.settle()
    [outcome] = outcomes
    assert [execution.state for execution in outcome.executions] == [State.FAILED]


def test_a_child_whose_first_step_fails_fails_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_at_the_start(monkeypatch, "shell")
    world = World(SHELL, PARENT)
    parent = world.start("parent")
    assert world.execution(parent).state is State.FAILED


def test_an_execution_that_a_full_store_could_not_take_is_made_once_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full(MemoryStore):
        full = True

        def write(self, batch: Batch) -> None:
            if self.full:
                raise OSError("no space left on device")
            super().write(batch)

    failing_at_the_start(monkeypatch, "hello")
    store = Full([stored(HELLO)])
    world = World(store=store)
    with pytest.raises(OSError, match="no space left"):
        world.start("hello")
    store.full = False
    world.wait(2)
    assert not store.executions()
    assert world.execution(world.start("hello")).state is State.FAILED
    assert len(store.executions()) == 1


def test_a_store_that_cannot_be_read_for_a_while_costs_no_message() -> None:
    class Unreadable(MemoryStore):
        down = False

        def load(self, ids: Collection[str]) -> dict[str, Execution]:
            if self.down:
                raise Unavailable
            return super().load(ids)

    class Unavailable(Exception):
        status = 503

    store = Unreadable([stored(SHELL)])
    world = World(store=store)
    world.runner()
    execution_id = world.start("shell")
    world.executor = world.make()
    world.sent.clear()
    store.down = True
    world.executor.tell_when(execution_id, lambda _live, at: (e.LabelsSet(at=at, labels={}),))
    world.executor.started((execution_id, "work", 1))
    for _ in range(5):
        world.executor.drain()
    store.down = False
    world.wait(2)
    assert world.execution(execution_id).runs[RunKey("work")].state is State.RUNNING


AFTERWARDS = """
id: afterwards
namespace: team
tasks: [{id: hello, type: io.kestra.plugin.core.log.Log, message: hello}]
outputs: [{id: said, type: STRING, value: hello}]
afterExecution:
  - {id: late, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}
"""


def test_what_runs_after_the_end_is_taken_up_after_a_stop() -> None:
    world = World(AFTERWARDS)
    world.runner()
    execution_id = world.start("afterwards", idempotency_key="k")
    assert world.execution(execution_id).state is State.SUCCESS
    world.restart()
    world.runner(name="r2")
    [first, again] = world.sent
    assert (first["key"], again["key"], again["attempt"]) == ("late", "late", 2)
    world.executor.report(report_of(again))
    world.settle()
    assert world.states(execution_id) == {"hello": "SUCCESS", "late": "SUCCESS"}
    assert world.execution(execution_id).through
    assert world.start("afterwards", idempotency_key="k") == execution_id


def test_jobs_left_behind_by_an_ended_execution_end_with_a_stop() -> None:
    flow = """
id: beside
namespace: team
tasks:
  - id: both
    type: io.kestra.plugin.core.flow.Parallel
    tasks:
      - {id: long, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}
      - {id: fail, type: io.kestra.plugin.core.execution.Fail}
"""
    world = World(flow)
    world.runner()
    execution_id = world.start("beside")
    assert world.execution(execution_id).state is State.FAILED
    world.restart()
    assert world.states(execution_id)["long"] == "FAILED"
    assert isinstance(world.store, MemoryStore)
    assert not world.store.jobs()
