"""Kills and exits."""

from __future__ import annotations

from tests.engine.story import NOON, World, constant, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.fold import fold
from penstock_runner.engine.state import RunKey, State

A = RunKey("a")
KILL = e.KillRequested(at=NOON)


def test_a_kill_cancels_what_runs_and_waits_for_it() -> None:
    made = flow(group("s", "Sequential", job("a"), job("b")), errors=(job("e"),))
    world = World(made, silent={"a"}).start()
    world.tell(e.JobStarted(at=NOON, key=A, attempt=1)).tell(KILL)
    assert world.asked(c.CancelJob) == [c.CancelJob(key=A, attempt=1)]
    assert world.states() == {"s": "KILLING", "a": "KILLING"}
    assert world.state is State.KILLING
    world.tell(e.JobEnded(at=NOON, key=A, attempt=1, state=State.KILLED))
    assert world.states() == {"s": "KILLED", "a": "KILLED"}
    assert world.history() == "CREATED RUNNING KILLING KILLED"
    assert world.ends() == [State.KILLED]


def test_a_kill_ends_what_waits_at_once() -> None:
    made = flow(group("p", "Parallel", job("a"), job("b", retry=constant(9, max_attempts=2))))
    world = World(made, silent={"a"}, outcomes={"b": [State.FAILED]}).start().run(timers=False)
    assert world.states()["b"] == "RETRYING"
    world.tell(KILL)
    assert set(world.states().values()) == {"KILLED"}
    assert world.ends() == [State.KILLED]


def test_finally_runs_after_a_kill_and_a_second_kill_ends_it() -> None:
    made = flow(job("a"), errors=(job("e"),), finally_=(job("f1"), job("f2")))
    world = World(made, silent={"a", "f1"}).start().tell(KILL)
    world.todo.clear()
    assert world.states() == {"a": "KILLED", "f1": "CREATED"}
    assert world.state is State.KILLING
    world.tell(e.JobStarted(at=NOON, key=RunKey("f1"), attempt=1)).tell(KILL)
    world.tell(e.JobEnded(at=NOON, key=RunKey("f1"), attempt=1, state=State.KILLED))
    assert world.states() == {"a": "KILLED", "f1": "KILLED"}
    assert world.ends() == [State.KILLED]


def test_a_kill_before_the_start_ends_it_without_a_task() -> None:
    world = World(flow(job("a"))).tell(e.Queued(at=NOON, state=State.QUEUED)).tell(KILL)
    assert world.history() == "CREATED QUEUED KILLING KILLED"
    assert world.ends() == [State.KILLED]
    world.start()
    assert world.states() == {}


def test_a_kill_of_an_ended_execution_changes_nothing() -> None:
    world = World(flow(job("a"))).start().run()
    assert world.fold.feed(KILL) == ()
    assert world.state is State.SUCCESS


def test_an_exit_gives_its_state_to_the_task_its_parents_and_the_execution() -> None:
    made = flow(group("s", "Sequential", job("a"), job("b")), job("c"), finally_=(job("f"),))
    world = World(made, silent={"a"}).start()
    world.tell(e.ExitRequested(at=NOON, key=A, state=State.WARNING))
    world.tell(e.JobEnded(at=NOON, key=A, attempt=1, state=State.SUCCESS)).run()
    assert world.states() == {"s": "WARNING", "a": "WARNING", "f": "SUCCESS"}
    assert world.ends() == [State.WARNING]


def test_an_exit_that_is_told_after_the_end_takes_back_what_was_opened() -> None:
    world = World(flow(job("a"), job("b")), silent={"b"}).start()
    world.todo.clear()
    world.tell(e.JobEnded(at=NOON, key=A, attempt=1, state=State.SUCCESS))
    world.tell(e.ExitRequested(at=NOON, key=A, state=State.WARNING))
    assert world.states() == {"a": "WARNING", "b": "KILLED"}
    assert world.asked(c.CancelJob) == [c.CancelJob(key=RunKey("b"), attempt=1)]
    assert world.ends() == [State.WARNING]


def test_a_job_that_succeeds_although_cancelled_is_killed_and_keeps_its_outputs() -> None:
    world = World(flow(job("a")), silent={"a"}).start()
    world.tell(e.JobStarted(at=NOON, key=A, attempt=1)).tell(KILL)
    done = e.JobEnded(at=NOON, key=A, attempt=1, state=State.SUCCESS, outputs={"x": 1})
    world.tell(done)
    assert world.states() == {"a": "KILLED"}
    assert world.fold.run(A).outputs == {"x": 1}


def test_a_finally_that_a_pause_held_up_goes_on_in_a_kill() -> None:
    cleaning = group("clean", "Sequential", job("first"), job("second"))
    world = World(flow(job("a"), finally_=(cleaning,)), silent={"first"}).start().run()
    world.tell(e.PauseRequested(at=NOON))
    world.tell(e.JobEnded(at=NOON, key=RunKey("first"), attempt=1, state=State.SUCCESS))
    assert "second" not in world.states()
    world.tell(e.KillRequested(at=NOON)).run()
    assert world.states()["second"] == "SUCCESS"
    assert world.state is State.KILLED


def test_a_killed_loop_runs_its_finally_whatever_it_had_asked() -> None:
    """Also when it is read from the store while its `finally` runs."""
    often = {"condition": "{{ x }}"}
    finally_ = {"finally": (job("f"),)}
    loop = group("l", "LoopUntil", job("a"), properties=often, branches=finally_)
    world = World(flow(loop), silent={"f"}).start()
    world.tell(e.JobEnded(at=NOON, key=RunKey("a#1"), attempt=1, state=State.SUCCESS)).tell(KILL)
    end = e.JobEnded(at=NOON, key=RunKey("f#1"), attempt=1, state=State.SUCCESS)
    assert fold(world.plan, world.fold.execution(), [end]).execution.state is State.KILLED


def test_a_task_that_is_not_interruptible_ends_as_it_will_and_nothing_follows() -> None:
    kept = job("a", interruptible=False, retry=constant(9, max_attempts=2))
    for state in (State.SUCCESS, State.FAILED):
        world = World(flow(group("s", "Sequential", kept, job("b"))), silent={"a"}).start()
        world.tell(e.JobStarted(at=NOON, key=A, attempt=1)).tell(KILL)
        assert world.asked(c.CancelJob) == []
        assert world.state is State.KILLING
        world.tell(e.JobEnded(at=NOON, key=A, attempt=1, state=state)).run()
        assert world.states() == {"s": "KILLED", "a": state.value}
        assert world.ends() == [State.KILLED]


def test_a_second_kill_cuts_a_task_that_is_not_interruptible() -> None:
    world = World(flow(job("a", interruptible=False)), silent={"a"}).start()
    world.tell(e.JobStarted(at=NOON, key=A, attempt=1)).tell(KILL).tell(KILL)
    assert world.asked(c.CancelJob) == [c.CancelJob(key=A, attempt=1)]


def test_a_task_that_is_not_interruptible_and_has_not_begun_does_not_begin() -> None:
    world = World(flow(job("a", interruptible=False)), silent={"a"}).start().tell(KILL)
    assert world.states() == {"a": "KILLED"}
