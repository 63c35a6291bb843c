"""The fold itself: what it gives, keeps and stores."""

from __future__ import annotations

from tests.engine.story import NOON, World, execution, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Fold, fold
from penstock_runner.engine.plan import Plan
from penstock_runner.engine.state import RunKey, State
from penstock_runner.flow.model import Listener, Output

A = RunKey("a")
OUTPUT = Output(id="x", type="STRING", value="{{ outputs.a.x }}")


def test_a_fold_says_what_must_be_stored_since_the_last_time() -> None:
    world = World(flow(job("a"), job("b"))).start()
    assert world.fold.changed == {"a"}
    world.fold.saved(7)
    assert world.fold.changed == set()
    assert world.fold.execution().version == 7
    world.tell(e.JobEnded(at=NOON, key=A, attempt=1, state=State.SUCCESS))
    assert world.fold.changed == {"a", "b"}


def test_the_frozen_execution_is_built_anew_only_when_something_changed() -> None:
    world = World(flow(job("a"))).start()
    before = world.fold.execution()
    assert world.fold.execution() is before
    world.tell(e.LabelsSet(at=NOON, labels={"k": "v"}))
    after = world.fold.execution()
    assert after.labels == {"k": "v"}
    assert after.runs is before.runs
    world.tell(e.JobStarted(at=NOON, key=A, attempt=1))
    assert before.runs[A].state is State.CREATED


def test_events_together_decide_what_they_decide_one_by_one() -> None:
    plan = Plan.of(flow(group("p", "Parallel", job("a"), job("b"))))
    events = [
        e.Started(at=NOON),
        e.JobEnded(at=NOON, key=A, attempt=1, state=State.SUCCESS),
        e.JobEnded(at=NOON, key=RunKey("b"), attempt=1, state=State.SUCCESS),
    ]
    together = fold(plan, execution(), events)
    one, commands = execution(), []
    for event in events:
        decision = fold(plan, one, [event])
        one = decision.execution
        commands.extend(decision.commands)
    assert together.execution == one
    assert list(together.commands) == commands
    assert commands[-1] == c.End(state=State.SUCCESS)


def test_outputs_are_rendered_at_the_end_and_a_failure_fails_the_execution() -> None:
    made = flow(job("a"), outputs=(OUTPUT,))
    world = World(made, answers={":outputs": {"x": "1"}}).start().run()
    assert world.fold.head.outputs == {"x": "1"}
    assert world.history() == "CREATED RUNNING SUCCESS"
    world = World(made, answers={":outputs": "no x"}).start().run()
    assert world.fold.head.outputs is None
    assert world.ends() == [State.FAILED]
    assert world.logs() == ["Failed to render output values: no x"]


def test_listeners_that_listen_run_after_the_end_whatever_becomes_of_the_others() -> None:
    condition = ({"type": "io.kestra.plugin.core.condition.ExecutionStatus"},)
    made = flow(
        job("a"),
        listeners=(
            Listener(tasks=(job("ko"),)),
            Listener(tasks=(job("deaf"),), conditions=condition),
            Listener(tasks=(job("l2"),), conditions=condition),
        ),
    )
    world = World(
        made, outcomes={"ko": [State.FAILED]}, answers={":listeners": {"1": False, "2": True}}
    )
    world.start().run()
    assert world.states() == {"a": "SUCCESS", "ko": "FAILED", "l2": "SUCCESS"}
    assert world.ends() == [State.SUCCESS]


def test_variables_are_set_and_taken_away() -> None:
    world = World(flow(job("a"))).start()
    world.tell(e.VariablesSet(at=NOON, variables={"x": 1, "y": 2}))
    world.tell(e.VariablesSet(at=NOON, variables={"y": None}))
    assert world.fold.head.variables == {"x": 1}


def test_what_waits_for_an_answer_is_told_again_to_nobody_twice() -> None:
    world = World(flow(job("a", run_if="{{ x }}"))).start()
    answer = e.Evaluated(at=NOON, key=A, purpose="runIf", values={"runIf": "true"})
    assert len(world.fold.feed(answer)) == 1
    assert world.fold.feed(answer) == ()
    assert Fold(world.plan, world.fold.execution()).feed(answer) == ()
