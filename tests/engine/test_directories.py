"""Working directories: children that one job runs and reports."""

from __future__ import annotations

from tests.engine.story import NOON, World, constant, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import RunKey, State
from penstock_runner.flow.model import Task

DIR = RunKey("dir")


def directory(**more: object) -> Task:
    return group("dir", "WorkingDirectory", job("a"), job("b"), **more)


def child(name: str, state: State = State.SUCCESS) -> e.ChildEnd:
    history = ((State.CREATED, NOON), (State.RUNNING, NOON), (state, NOON))
    return e.ChildEnd(task_id=name, history=history, attempt_state=state, outputs={"x": name})


def report(*children: e.ChildEnd, attempt: int = 1) -> e.ChildrenReported:
    return e.ChildrenReported(at=NOON, key=DIR, attempt=attempt, children=children)


def ended(state: State, attempt: int = 1) -> e.JobEnded:
    return e.JobEnded(at=NOON, key=DIR, attempt=attempt, state=state)


def test_a_directory_is_one_job_and_its_children_are_as_it_reports() -> None:
    world = World(flow(directory(), job("c")), silent={"dir"}).start()
    assert world.asked(c.RunJob) == [c.RunJob(key=DIR, attempt=1, task_id="dir")]
    world.tell(report(child("a"), child("b"))).tell(ended(State.SUCCESS)).run()
    assert world.states() == {"dir": "SUCCESS", "a": "SUCCESS", "b": "SUCCESS", "c": "SUCCESS"}
    assert world.fold.run("a").parent == "dir"
    assert world.fold.run("a").outputs == {"x": "a"}


def test_a_directory_in_a_loop_keeps_the_place_of_its_children() -> None:
    made = group("each", "ForEach", directory(), properties={"values": ["x"]})
    world = World(flow(made), silent={"dir"}).start()
    key = RunKey("dir.0")
    world.tell(e.ChildrenReported(at=NOON, key=key, attempt=1, children=(child("a"),)))
    assert world.fold.run("a.0").parent == key


def test_errors_of_a_directory_run_after_its_job_has_failed() -> None:
    made = flow(directory(branches={"errors": (job("e"),), "finally": (job("f"),)}))
    world = World(made, silent={"dir"}).start()
    world.tell(report(child("a", State.FAILED))).tell(ended(State.FAILED))
    assert world.states() == {"dir": "RUNNING", "a": "FAILED", "e": "CREATED"}
    stored = Fold(world.plan, world.fold.execution())
    last = e.JobEnded(at=NOON, key=RunKey("e"), attempt=1, state=State.SUCCESS)
    assert stored.feed(last) == (c.RunJob(key=RunKey("f"), attempt=1, task_id="f"),)
    world.run()
    assert world.states() == {"dir": "FAILED", "a": "FAILED", "e": "SUCCESS", "f": "SUCCESS"}
    assert world.ends() == [State.FAILED]


def test_a_second_attempt_goes_on_in_the_task_runs_of_the_first() -> None:
    made = flow(directory(retry=constant(max_attempts=2)))
    world = World(made, silent={"dir"}).start()
    world.tell(report(child("a", State.FAILED))).tell(ended(State.FAILED)).run()
    world.tell(report(child("a"), child("b"), attempt=2)).tell(ended(State.SUCCESS, attempt=2))
    assert [attempt.state for attempt in world.fold.run("a").attempts] == [
        State.FAILED,
        State.SUCCESS,
    ]
    assert world.state is State.SUCCESS


def test_a_restart_forgets_the_children() -> None:
    world = World(flow(directory(branches={"errors": (job("e"),)})), silent={"dir"}).start()
    world.tell(report(child("a", State.FAILED))).tell(ended(State.FAILED)).run()
    world.fold.apply(e.RestartRequested(at=NOON))
    assert world.states() == {"dir": "RESTARTED"}
    assert world.history("dir").endswith("FAILED RESTARTED")
    world.todo.extend(world.fold.settle())
    world.tell(ended(State.SUCCESS, attempt=2))
    assert world.state is State.SUCCESS


def test_why_a_directory_failed_is_said_by_its_job_alone() -> None:
    world = World(flow(directory()), silent={"dir"}).start()
    failed = e.JobEnded(at=NOON, key=DIR, attempt=1, state=State.FAILED, error="no such file")
    assert world.tell(failed).logs() == []
    assert world.states() == {"dir": "FAILED"}
