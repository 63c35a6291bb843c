"""Replays: a copy goes on from one of its task runs, whatever the original was at."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.engine.story import NOON, World, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import RunKey, State

S, F = State.SUCCESS, State.FAILED


def jobs(world: World) -> list[tuple[str, int]]:
    return [(command.key, command.attempt) for command in world.asked(c.RunJob)]


def replayed(world: World, key: str) -> World:
    """A copy of the execution, replayed from a task run; played by the same world."""
    world.fold = Fold(world.plan, replace(world.fold.execution(), id="x2"))
    world.commands.clear()
    world.todo.clear()
    return world.tell(e.ReplayRequested(at=NOON, key=RunKey(key)))


def test_a_replay_while_tasks_run_after_the_end_of_the_original_ends() -> None:
    made = flow(job("a"), job("b"), after_execution=(job("after"),))
    world = World(made, silent={"after"}).start().run()
    replayed(world, "b").silent.clear()
    world.run()
    assert jobs(world) == [("b", 2), ("after", 2)]
    assert world.ends() == [S]


@pytest.mark.parametrize(
    ("key", "again"),
    [("e2", ["e2", "f", "after"]), ("f", ["f", "after"]), ("after", ["after"])],
)
def test_a_replay_from_errors_finally_or_after_the_end_begins_there(
    key: str, again: list[str]
) -> None:
    parts = {"errors": (job("e1"), job("e2")), "finally_": (job("f"),)}
    made = flow(job("a"), **parts, after_execution=(job("after"),))
    world = World(made, outcomes={"a": [F]}).start().run()
    assert list(world.states()) == ["a", "e1", "e2", "f", "after"]
    replayed(world, key).run()
    assert [command.key for command in world.asked(c.RunJob)] == again
    assert world.ends() == [F]


def test_a_replay_runs_what_failed_beside_the_task_again() -> None:
    made = flow(group("p", "Parallel", job("a"), job("b")), job("end"))
    world = World(made, outcomes={"b": [F]}).start().run()
    replayed(world, "a").run()
    assert set(world.states().values()) == {"SUCCESS"}
    assert [command.key for command in world.asked(c.RunJob)] == ["a", "b", "end"]


def test_a_replay_from_a_part_of_a_working_directory_runs_the_directory() -> None:
    world = World(flow(group("wd", "WorkingDirectory", job("a")))).start()
    history = ((State.CREATED, NOON), (State.RUNNING, NOON), (S, NOON))
    child = e.ChildEnd(task_id="a", history=history, attempt_state=S)
    world.tell(e.ChildrenReported(at=NOON, key=RunKey("wd"), attempt=1, children=(child,)))
    world.run()
    assert [command.key for command in replayed(world, "a").asked(c.RunJob)] == ["wd"]


def test_a_replay_stops_nothing_of_the_original() -> None:
    made = flow(job("a"), errors=(group("call", "Subflow", properties={"flowId": "x"}),))
    world = World(made, outcomes={"a": [F]}).start().run()
    started = e.SubflowStarted(at=NOON, key=RunKey("call"), attempt=1, execution_id="child")
    world.tell(started)
    assert replayed(world, "a").asked(c.KillSubflow) == []


def test_a_replay_asks_again_what_a_loop_waited_for() -> None:
    often = {"condition": "{{ x }}", "checkFrequency": {"interval": "PT1S"}}
    made = flow(
        group("p", "Parallel", job("a"), group("l", "LoopUntil", job("b"), properties=often))
    )
    world = World(made, silent={"a"}, answers={"l:condition": {"condition": "true"}}).start()
    world.todo = [command for command in world.todo if not isinstance(command, c.StartTimer)]
    while not any(isinstance(command, c.Evaluate) for command in world.todo):
        for event in world.reply(world.todo.pop(0)):
            world.tell(event)
    replayed(world, "a").silent.clear()
    world.run()
    assert world.state is S


def test_a_replay_runs_again_what_failed_beside_the_task_and_is_at_its_errors() -> None:
    failing = group("s", "Sequential", job("b"), branches={"errors": (job("e"),)})
    made = flow(group("p", "Parallel", job("a"), failing))
    world = World(made, outcomes={"b": [F]}, silent={"a", "e"}).start().run()
    world.tell(e.JobStarted(at=NOON, key=RunKey("e"), attempt=1))
    world.tell(e.JobEnded(at=NOON, key=RunKey("a"), attempt=1, state=F))
    assert world.state is F
    assert world.states()["s"] == "RUNNING"
    world.silent.clear()
    replayed(world, "a").run()
    assert world.states() == {"p": "SUCCESS", "a": "SUCCESS", "s": "SUCCESS", "b": "SUCCESS"}


def test_what_the_original_left_behind_begins_no_more_in_a_copy() -> None:
    made = flow(group("p", "Parallel", job("a"), job("b")), job("c"))
    world = World(made, outcomes={"a": [F]}, silent={"b"}).start().run()
    assert world.states() == {"p": "FAILED", "a": "FAILED", "b": "CREATED"}
    world.tell(e.TaskRunMarked(at=NOON, key=RunKey("p"), state=S)).run()
    assert world.states() == {"p": "SUCCESS", "a": "FAILED", "b": "CREATED", "c": "SUCCESS"}
    world.silent.clear()
    replayed(world, "c").run()
    assert [command.key for command in world.asked(c.RunJob)] == ["c"]
    assert world.states()["b"] == "KILLED"
    assert world.state is S
