"""Task runs that a person marks: what follows runs, and what stood in the way, too."""

from __future__ import annotations

import pytest
from tests.engine.story import NOON, World, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.marks import MARKS, unmarkable
from penstock_runner.engine.state import RunKey, State

S, F, K = State.SUCCESS, State.FAILED, State.KILLED


def marked(key: str, state: State) -> e.TaskRunMarked:
    return e.TaskRunMarked(at=NOON, key=RunKey(key), state=state)


def ended(key: str, attempt: int, state: State = S) -> e.JobEnded:
    return e.JobEnded(at=NOON, key=RunKey(key), attempt=attempt, state=state)


def jobs(world: World) -> list[tuple[str, int]]:
    return [(command.key, command.attempt) for command in world.asked(c.RunJob)]


@pytest.mark.parametrize("state", [State.CREATED, State.RUNNING, State.RESTARTED])
def test_an_early_task_that_runs_again_takes_along_what_failed_after_it(state: State) -> None:
    world = World(flow(job("a"), job("b"), job("c")), outcomes={"b": [F]}).start().run()
    world.tell(marked("a", state))
    assert world.states() == {"a": "RESTARTED"}
    world.run()
    assert world.states() == {"a": "SUCCESS", "b": "SUCCESS", "c": "SUCCESS"}
    assert jobs(world) == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("c", 1)]
    assert world.ends() == [F, S]


def test_what_failed_further_down_after_a_task_that_runs_again_begins_anew_in_its_time() -> None:
    """Beside it in a dag or in a value of a loop, only what comes after it waits for it."""
    inner = group("s", "Sequential", job("b"))
    needs = {"b": ("a",), "c": ()}
    dag = group("d", "Dag", job("a"), job("b"), job("c"), depends_on=needs)
    for made, after in ((flow(job("a"), inner), {"s", "b"}), (flow(dag), {"b"})):
        world = World(made, outcomes={"b": [F], "c": [F]}).start().run()
        world.tell(marked("a", State.RUNNING))
        assert not after & world.states().keys()
        world.run()
        assert world.state is S
        assert set(world.states().values()) == {"SUCCESS"}


def test_a_task_of_a_killed_execution_runs_again_with_what_was_killed_beside_it() -> None:
    made = flow(group("p", "Parallel", job("a"), job("b")), job("c"))
    world = World(made, silent={"a", "b"}).start()
    world.tell(e.KillRequested(at=NOON)).tell(ended("a", 1, K)).tell(ended("b", 1, K))
    assert world.state is K
    world.silent.clear()
    world.todo.clear()
    world.tell(marked("a", State.RESTARTED)).run()
    assert set(world.states().values()) == {"SUCCESS"}


def test_a_marked_success_takes_up_what_its_failure_cut_off() -> None:
    beside = group("s", "Sequential", job("b"), job("x"))
    made = flow(group("p", "Parallel", job("a"), beside, job("g", run_if="{{ x }}")), job("end"))
    world = World(made, silent={"b"}, outcomes={"a": [F]}).start()
    world.todo = [command for command in world.todo if not isinstance(command, c.Evaluate)]
    world.run().tell(ended("b", 1))
    assert world.states()["s"] == world.states()["g"] == "KILLED"
    world.tell(marked("a", S)).run()
    assert world.state is S
    assert set(world.states().values()) == {"SUCCESS"}


def test_a_marked_success_leaves_other_failures_as_they_are() -> None:
    made = flow(group("p", "Parallel", job("a"), job("b")), job("end"))
    world = World(made, outcomes={"b": [F]}).start().run()
    world.tell(marked("a", State.WARNING)).run()
    assert world.states() == {"p": "FAILED", "a": "WARNING", "b": "FAILED"}
    assert world.ends() == [F, F]


def test_a_flowable_that_runs_again_runs_what_failed_in_it() -> None:
    made = flow(group("s", "Sequential", job("a"), job("b")))
    world = World(made, outcomes={"b": [F]}).start().run()
    world.tell(marked("s", State.RUNNING)).run()
    assert world.states() == {"s": "SUCCESS", "a": "SUCCESS", "b": "SUCCESS"}
    assert jobs(world) == [("a", 1), ("b", 1), ("b", 2)]


def test_a_marked_errors_task_is_followed_by_the_errors_after_it() -> None:
    inner = group("s", "Sequential", job("a"), branches={"errors": (job("e1"), job("e2"))})
    world = World(flow(inner), outcomes={"a": [F]}, silent={"e1"}).start().run()
    assert world.states() == {"s": "RUNNING", "a": "FAILED", "e1": "CREATED"}
    world.tell(marked("e1", S)).run()
    assert world.states() == {"s": "FAILED", "a": "FAILED", "e1": "SUCCESS", "e2": "SUCCESS"}


def test_a_mark_stops_the_errors_that_run_and_goes_on_with_the_tasks() -> None:
    inner = group("s", "Sequential", job("a"), job("b"), branches={"errors": (job("e"),)})
    world = World(flow(inner), outcomes={"a": [F]}, silent={"e"}).start().run()
    world.tell(marked("a", S))
    assert c.CancelJob(key=RunKey("e"), attempt=1) in world.commands
    world.run()
    assert world.states() == {"s": "SUCCESS", "a": "SUCCESS", "b": "SUCCESS"}


def test_a_running_job_that_is_marked_is_cancelled_and_its_end_changes_nothing() -> None:
    world = World(flow(job("a"), job("b")), silent={"a", "b"}).start().run()
    world.tell(e.JobStarted(at=NOON, key=RunKey("a"), attempt=1)).tell(marked("a", S))
    assert c.CancelJob(key=RunKey("a"), attempt=1) in world.commands
    before = world.fold.execution()
    world.tell(ended("a", 1, K))
    assert world.fold.execution() == before


def test_a_late_report_of_the_attempt_before_a_mark_is_not_taken_for_the_next() -> None:
    """The task waits for its `runIf`: nothing was asked for since it was marked."""
    world = World(flow(job("a", run_if="{{ x }}")), silent={"a"}, answers={"a:runIf": {"runIf": 1}})
    world.start().run()
    assert jobs(world) == [("a", 1)]
    world.tell(marked("a", State.RESTARTED))
    before = world.fold.execution()
    world.tell(ended("a", 1))
    assert world.fold.execution() == before
    world.run()
    assert jobs(world) == [("a", 1), ("a", 2)]


def test_an_execution_stays_paused_while_another_task_of_it_is() -> None:
    made = flow(group("p", "Parallel", group("one", "Pause"), group("two", "Pause")), job("end"))
    world = World(made).start().run()
    world.tell(marked("one", S)).run()
    assert world.history() == "CREATED RUNNING PAUSED RESTARTED PAUSED"
    world.tell(e.Resumed(at=NOON)).run()
    assert world.state is S


def test_a_marked_flowable_leaves_behind_what_runs_in_it() -> None:
    inner = group("s", "Sequential", group("wait", "Pause"), job("x"))
    world = World(flow(group("p", "Parallel", inner, job("b")), job("c"))).start().run()
    world.tell(marked("s", S)).run()
    assert world.state is S
    assert world.states()["wait"] == "KILLED"
    assert "x" not in world.states()


@pytest.mark.parametrize("branch", ["tasks", "finally"])
def test_no_part_of_what_runs_after_the_end_runs_again(branch: str) -> None:
    after = group("s", "Sequential", branches={"tasks": (job("b"),), branch: (job("x"),)})
    world = World(flow(job("a"), after_execution=(after,))).start().run()
    assert "runs after the end" in refused(world, "x", State.RUNNING)


def test_nothing_opens_below_a_flowable_that_is_given_an_end() -> None:
    inner = group("s", "Sequential", job("x", run_if="{{ x }}"))
    world = World(flow(group("p", "Parallel", job("a"), inner)), outcomes={"a": [F]}).start()
    world.todo = [command for command in world.todo if isinstance(command, c.RunJob)]
    world.run()
    assert world.states() == {"p": "FAILED", "a": "FAILED", "s": "KILLED", "x": "KILLED"}
    asked = len(world.commands)
    world.tell(marked("s", K))
    assert world.commands[asked:] == [c.End(state=K)]
    assert world.states()["x"] == "KILLED"


def test_nothing_opens_for_what_runs_after_the_end() -> None:
    world = World(flow(job("a"), after_execution=(job("after"),))).start().run()
    world.tell(marked("after", F))
    assert world.states() == {"a": "SUCCESS", "after": "FAILED"}
    assert world.ends() == [S]
    assert world.state is S


def refused(world: World, key: str, state: State) -> str:
    """Why the mark is refused; told all the same, it changes nothing."""
    before = world.fold.execution()
    reason = unmarkable(world.plan, world.fold.head, world.fold.run(RunKey(key)), state)
    world.tell(marked(key, state))
    assert world.fold.execution() == before
    return reason or ""


@pytest.mark.parametrize("state", sorted(set(State) - MARKS))
def test_a_task_run_is_given_no_state_that_nothing_would_end(state: State) -> None:
    world = World(flow(job("a"))).start().run()
    assert f"'a' cannot be given the state '{state}'" in refused(world, "a", state)


def test_no_task_run_is_marked_while_the_execution_is_killed_or_after_its_end_runs() -> None:
    world = World(flow(job("a"), after_execution=(job("after"),)), silent={"a", "after"})
    world.start().tell(e.JobStarted(at=NOON, key=RunKey("a"), attempt=1))
    world.tell(e.KillRequested(at=NOON))
    assert "being killed" in refused(world, "a", S)
    world.tell(ended("a", 1, K)).run()
    assert "after the end" in refused(world, "a", S)
    world.tell(ended("after", 1))
    assert "runs after the end" in refused(world, "after", State.RUNNING)


def test_a_part_of_a_working_directory_is_not_marked_but_the_directory_is() -> None:
    world = World(flow(group("wd", "WorkingDirectory", job("a"))), silent={"wd"}).start().run()
    history = ((State.CREATED, NOON), (State.RUNNING, NOON), (F, NOON))
    child = e.ChildEnd(task_id="a", history=history, attempt_state=F)
    world.tell(e.ChildrenReported(at=NOON, key=RunKey("wd"), attempt=1, children=(child,)))
    world.tell(ended("wd", 1, F))
    assert "change the state of 'wd'" in refused(world, "a", S)
    world.tell(marked("wd", S))
    assert world.state is S


def test_a_loop_that_is_marked_while_it_waits_waits_anew() -> None:
    often = {"condition": "{{ x }}", "checkFrequency": {"interval": "PT1S"}}
    world = World(flow(group("l", "LoopUntil", job("a"), properties=often)))
    world.answers["l:condition"] = [{**often, "condition": ""}] * 2 + [{"condition": "true"}]
    world.start().run(timers=False)
    world.tell(marked("a#1", State.WARNING)).run(timers=False)
    timers = world.asked(c.StartTimer)
    assert [timer.attempt for timer in timers] == [1, 2]
    assert "a#2" not in world.states()
    world.todo.extend(timers)
    world.run()
    assert world.state is S
    assert [key for key, _ in jobs(world)] == ["a#1", "a#2"]
