"""What a restart opens again beside what came after it, in memory and as stored."""

from __future__ import annotations

import pytest
from tests.engine.story import NOON, World, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Decision, fold
from penstock_runner.engine.state import RunKey, State
from penstock_runner.flow.model import Output

S, F, K = State.SUCCESS, State.FAILED, State.KILLED
RESTART = e.RestartRequested(at=NOON)
AFTER = {"after_execution": (job("after"),)}
OUTPUTS = {"outputs": (Output(id="x", type="STRING", value="{{ outputs.b.x }}"),)}


def ended(key: str, attempt: int, state: State) -> e.JobEnded:
    return e.JobEnded(at=NOON, key=RunKey(key), attempt=attempt, state=state)


def told(world: World, event: e.Event) -> tuple[c.Command, ...]:
    """Tell the execution in memory and the stored one; both must decide the same."""
    stored, before = world.fold.execution(), len(world.commands)
    world.tell(event)
    commands = tuple(world.commands[before:])
    decided = Decision(execution=world.fold.execution(), commands=commands)
    assert fold(world.plan, stored, [event]) == decided
    return commands


def both_open_again(**more: object) -> World:
    """A group whose failure was allowed, and the job after it that failed, both run again."""
    lenient = group("g", "Sequential", job("a"), job("c"), allow_failure=True)
    world = World(flow(lenient, job("b"), **more), outcomes={"a": [F], "b": [F]})
    world.start().run().tell(RESTART)
    world.todo.clear()
    states = world.states()
    assert [states[key] for key in ("g", "a", "b")] == ["RUNNING", "RESTARTED", "RESTARTED"]
    return world


@pytest.mark.parametrize("more", [AFTER, OUTPUTS], ids=["tasks", "outputs"])
def test_what_an_end_left_behind_opens_nothing_while_something_follows_the_end(
    more: dict[str, object],
) -> None:
    world = both_open_again(**more)
    assert told(world, ended("b", 2, F))
    assert told(world, ended("a", 2, S)) == ()
    assert world.states()["g"] == "KILLED"
    assert "c" not in world.states()


@pytest.mark.parametrize("more", [AFTER, OUTPUTS], ids=["tasks", "outputs"])
def test_a_job_that_an_end_left_behind_is_not_started_again(more: dict[str, object]) -> None:
    world = both_open_again(**more)
    told(world, ended("a", 2, K))
    assert world.states()["g"] == "KILLED"
    commands = told(world, e.JobLost(at=NOON, key=RunKey("b"), attempt=2))
    assert not any(isinstance(command, c.RunJob) for command in commands)
    assert world.states()["b"] == "FAILED"


def hidden_failure(limit: int, **outcomes: list[State]) -> World:
    """A loop that hides its failure lets the tasks after it run; a restart takes it up."""
    hides = {"values": ["x"], "transmitFailed": False, "fetchType": "FETCH"}
    loop = group("loop", "Loop", job("a"), properties=hides)
    around = {"values": ["1"], "concurrencyLimit": limit}
    each = group("each", "ForEach", loop, job("b"), job("last"), properties=around)
    world = World(flow(each, job("c")), outcomes={"a": [F], **outcomes}).start().run()
    told(world, RESTART)
    assert world.states()["loop.0"] == "RUNNING"
    return world


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_task_before_others_of_its_value_runs_again_and_they_do_not(limit: int) -> None:
    world = hidden_failure(limit, c=[F])
    told(world, ended("a.0.0", 2, S))
    told(world, ended("c", 2, S))
    jobs = [(command.key, command.attempt) for command in world.asked(c.RunJob)]
    assert len(jobs) == len(set(jobs))
    assert world.states()["each"] == "SUCCESS"
    assert world.ends() == [F, S]


@pytest.mark.parametrize("limit", [0, 1, 2])
@pytest.mark.parametrize("first", ["a.0.0", "b.0"])
def test_a_value_goes_on_when_all_of_it_that_ran_again_has_ended(limit: int, first: str) -> None:
    world = hidden_failure(limit, b=[F])
    told(world, ended(first, 2, S))
    assert "last.0" not in world.states()
    told(world, ended("b.0" if first == "a.0.0" else "a.0.0", 2, S))
    assert world.states()["last.0"] == "CREATED"
