"""Subflows, as their parent sees them."""

from __future__ import annotations

import pytest
from tests.engine.story import NOON, World, constant, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.state import RunKey, State

SUB = RunKey("sub")


def subflow(**properties: object) -> object:
    more = {name: properties.pop(name) for name in ("retry", "allow_failure") if name in properties}
    said = {"namespace": "team", "flowId": "child", **properties}
    return group("sub", "Subflow", properties=said, **more)


def begun(attempt: int = 1) -> e.SubflowStarted:
    return e.SubflowStarted(at=NOON, key=SUB, attempt=attempt, execution_id=f"c{attempt}")


def ended(state: State, attempt: int = 1, **more: object) -> e.SubflowEnded:
    child = f"c{attempt}"
    return e.SubflowEnded(
        at=NOON, key=SUB, attempt=attempt, execution_id=child, state=state, **more
    )


def test_a_subflow_waits_for_its_child_and_takes_its_outputs() -> None:
    world = World(flow(subflow(), job("b"))).start()
    [asked] = world.asked(c.StartSubflow)
    assert asked.request == {"namespace": "team", "flowId": "child", "wait": True}
    world.tell(begun())
    assert world.history("sub") == "CREATED RUNNING"
    world.tell(ended(State.SUCCESS, outputs={"x": 1})).run()
    assert world.fold.run(SUB).outputs == {
        "executionId": "c1",
        "state": "SUCCESS",
        "outputs": {"x": 1},
    }
    assert world.state is State.SUCCESS


@pytest.mark.parametrize(
    ("transmit", "child", "expected"),
    [
        (True, State.FAILED, State.FAILED),
        (True, State.WARNING, State.WARNING),
        (True, State.KILLED, State.KILLED),
        (True, State.CANCELLED, State.SUCCESS),
        (False, State.FAILED, State.SUCCESS),
    ],
)
def test_the_state_of_the_child_is_transmitted(
    transmit: bool, child: State, expected: State
) -> None:
    world = World(flow(subflow(transmitFailed=transmit))).start().tell(begun()).tell(ended(child))
    assert world.state is expected


def test_without_waiting_the_task_succeeds_when_the_child_exists() -> None:
    world = World(flow(subflow(wait=False))).start().tell(begun())
    assert world.fold.run(SUB).outputs == {"executionId": "c1", "state": "CREATED"}
    assert world.state is State.SUCCESS


def test_a_child_that_cannot_be_created_fails_the_task_and_is_tried_again() -> None:
    world = World(flow(subflow(retry=constant(max_attempts=2)))).start()
    failed = e.JobEnded(
        at=NOON, key=SUB, attempt=1, state=State.FAILED, error="Unable to find flow"
    )
    world.tell(failed).run()
    assert world.logs() == ["Unable to find flow"]
    assert [command.attempt for command in world.asked(c.StartSubflow)] == [1, 2]


def test_properties_are_rendered_before_the_child_is_asked_for() -> None:
    world = World(
        flow(subflow(inputs={"x": "{{ y }}"})), answers={"sub:subflow": {"inputs": {"x": "1"}}}
    )
    world.start().run()
    [asked] = world.asked(c.StartSubflow)
    assert asked.request == {"inputs": {"x": "1"}, "wait": True}


def test_outputs_that_cannot_be_had_fail_the_task() -> None:
    world = World(flow(subflow())).start().tell(begun())
    world.tell(ended(State.SUCCESS, error="no x"))
    assert world.fold.run(SUB).outputs == {"executionId": "c1"}
    assert world.logs()[-1] == "Failed to extract outputs with the error: 'no x'"
    assert world.state is State.FAILED


def test_a_kill_travels_to_the_child_and_waits_for_it() -> None:
    world = World(flow(subflow())).start().tell(begun()).tell(e.KillRequested(at=NOON))
    assert world.asked(c.KillSubflow) == [c.KillSubflow(key=SUB, execution_id="c1")]
    assert world.state is State.KILLING
    world.tell(ended(State.KILLED))
    assert world.ends() == [State.KILLED]


def test_a_kill_without_cascade_leaves_the_child_alone() -> None:
    kill = e.KillRequested(at=NOON, cascade=False)
    world = World(flow(subflow())).start().tell(begun()).tell(kill)
    assert world.asked(c.KillSubflow) == []
    assert world.ends() == [State.KILLED]


def test_a_child_that_is_born_after_the_kill_is_killed() -> None:
    world = World(flow(subflow())).start().tell(e.KillRequested(at=NOON))
    assert world.ends() == [State.KILLED]
    world.tell(begun())
    assert world.asked(c.KillSubflow) == [c.KillSubflow(key=SUB, execution_id="c1")]
