"""Promises about an execution."""

from __future__ import annotations

from datetime import timedelta

from tests.engine.story import NOON, World, flow, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.state import State
from penstock_runner.flow.model import Sla


def longest(behavior: str, **more: object) -> Sla:
    second = timedelta(seconds=1)
    return Sla(id="fast", type="MAX_DURATION", behavior=behavior, duration=second, **more)


def holds(behavior: str, **more: object) -> Sla:
    return Sla(
        id="holds", type="EXECUTION_ASSERTION", behavior=behavior, assertion="{{ x }}", **more
    )


def test_an_execution_that_lasts_too_long_fails() -> None:
    made = flow(job("a"), sla=(longest("FAIL"),), errors=(job("e"),))
    world = World(made, silent={"a"}).start().run()
    assert world.history() == "CREATED RUNNING KILLING FAILED"
    assert world.ends() == [State.FAILED]
    assert world.logs() == [
        "Execution failed due to SLA 'fast' violated: "
        "execution duration of PT1S exceed the maximum duration of PT1S."
    ]


def test_the_time_in_the_queue_counts() -> None:
    world = World(flow(job("a"), sla=(longest("CANCEL"),)))
    world.tell(e.Queued(at=NOON, state=State.QUEUED)).run()
    assert world.ends() == [State.CANCELLED]


def test_labels_are_all_that_a_promise_without_behavior_leaves() -> None:
    made = flow(job("a"), sla=(longest("NONE", labels={"sla": "broken"}),))
    world = World(made, silent={"a"}).start().run()
    assert world.state is State.RUNNING
    assert world.fold.head.labels == {"sla": "broken"}


def test_a_promise_that_is_kept_changes_nothing() -> None:
    world = World(flow(job("a"), sla=(longest("FAIL"),))).start().run(timers=False)
    assert world.history() == "CREATED RUNNING SUCCESS"
    late = NOON + timedelta(seconds=1)
    assert world.fold.feed(e.TimerFired(at=late, key=None, attempt=1, purpose="sla:0")) == ()


def test_an_assertion_that_is_false_cancels() -> None:
    made = flow(job("a"), sla=(holds("CANCEL"),))
    world = World(made, silent={"a"}, answers={":sla:0": {"assert": "false"}}).start().run()
    assert world.ends() == [State.CANCELLED]


def test_an_assertion_is_looked_at_again_when_something_has_ended() -> None:
    made = flow(job("a"), job("b"), sla=(holds("FAIL"),))
    given = {":sla:0": [{"assert": "true"}, {"assert": "0"}]}
    world = World(made, silent={"b"}, answers=given).start().run()
    assert world.ends() == [State.FAILED]
    questions = [command.purpose for command in world.asked(c.Evaluate)]
    assert questions == ["sla:0#1", "sla:0#2"]
