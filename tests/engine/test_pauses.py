"""Pausing, resuming, delays."""

from __future__ import annotations

from datetime import timedelta

from tests.engine.story import NOON, World, constant, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.state import RunKey, State

PAUSE = RunKey("wait")


def pause(*tasks: object, **properties: object) -> object:
    return group("wait", "Pause", *tasks, properties=properties)


def test_a_pause_holds_the_execution_until_it_is_resumed() -> None:
    world = World(flow(pause(), job("b"))).start().run()
    assert world.history() == "CREATED RUNNING PAUSED"
    assert world.history("wait") == "CREATED RUNNING PAUSED"
    world.tell(e.Resumed(at=NOON)).run()
    assert world.history() == "CREATED RUNNING PAUSED RESTARTED RUNNING SUCCESS"
    assert world.history("wait") == "CREATED RUNNING PAUSED RUNNING SUCCESS"
    assert world.states() == {"wait": "SUCCESS", "b": "SUCCESS"}


def test_what_runs_beside_a_pause_ends_but_nothing_new_starts() -> None:
    beside = group("s", "Sequential", job("a"), job("b"))
    made = flow(group("p", "Parallel", beside, pause(), job("x")))
    world = World(made, silent={"a"}).start().run()
    assert world.state is State.PAUSED
    assert world.states()["x"] == "SUCCESS"
    world.silent.clear()
    world.todo.extend(world.asked(c.RunJob)[:1])
    world.run()
    assert "b" not in world.states()
    assert world.states()["s"] == "RUNNING"
    world.tell(e.Resumed(at=NOON, key=PAUSE)).run()
    assert world.state is State.SUCCESS


def test_a_delay_resumes_by_itself_and_is_ignored_when_a_person_was_faster() -> None:
    world = World(flow(pause(job("sub"), delay="PT1S"), job("b"))).start().run(timers=False)
    [timer] = world.asked(c.StartTimer)
    assert timer.at == NOON + timedelta(seconds=1)
    fired = e.TimerFired(at=timer.at, key=PAUSE, attempt=timer.attempt, purpose=timer.purpose)
    world.tell(fired).run()
    assert world.history("wait") == "CREATED RUNNING PAUSED RUNNING SUCCESS"
    assert world.states() == {"wait": "SUCCESS", "sub": "SUCCESS", "b": "SUCCESS"}
    assert world.fold.feed(fired) == ()


def test_a_time_out_fails_the_pause_and_errors_run() -> None:
    made = flow(pause(timeout="{{ inputs.t }}"), job("b"), errors=(job("e"),))
    world = World(made, answers={"wait:pause": {"timeout": "PT5S"}}).start().run()
    assert world.states() == {"wait": "FAILED", "e": "SUCCESS"}
    assert world.history() == "CREATED RUNNING PAUSED RESTARTED RUNNING FAILED"


def test_a_pause_duration_ends_as_its_behavior_says() -> None:
    def end(behavior: str) -> State:
        made = flow(pause(pauseDuration="PT5S", behavior=behavior), job("b"))
        return World(made).start().run().state

    ends = {name: end(name) for name in ("RESUME", "WARN", "FAIL", "CANCEL")}
    assert ends == {
        "RESUME": State.SUCCESS,
        "WARN": State.WARNING,
        "FAIL": State.FAILED,
        "CANCEL": State.CANCELLED,
    }


def test_inputs_of_a_resume_become_outputs() -> None:
    world = World(flow(pause(onResume=[{"id": "x"}]))).start().run()
    world.tell(e.Resumed(at=NOON, key=PAUSE, outputs={"x": 1}))
    assert world.fold.run(PAUSE).outputs == {"onResume": {"x": 1}}


def test_the_execution_stays_paused_while_another_task_is() -> None:
    made = flow(group("each", "EachParallel", pause(job("l")), properties={"value": ["x", "y"]}))
    world = World(made).start().run()
    assert world.states() == {"each": "RUNNING", "wait.0": "PAUSED", "wait.1": "PAUSED"}
    world.tell(e.Resumed(at=NOON))
    assert world.state is State.PAUSED
    world.tell(e.Resumed(at=NOON)).run()
    assert world.state is State.SUCCESS
    assert len(world.states()) == 5


def test_a_person_pauses_and_resumes_without_touching_a_task() -> None:
    made = flow(job("a"), job("b", retry=constant(9, max_attempts=2)))
    world = World(made, silent={"a"}).start().tell(e.PauseRequested(at=NOON))
    world.silent.clear()
    world.run()
    assert world.states() == {"a": "SUCCESS"}
    world.tell(e.Resumed(at=NOON)).run()
    assert world.history() == "CREATED RUNNING PAUSED RUNNING SUCCESS"


def test_a_retry_that_is_due_in_a_pause_waits_for_the_resume() -> None:
    made = flow(job("a", retry=constant(9, max_attempts=2)))
    world = World(made, outcomes={"a": [State.FAILED]}).start().run(timers=False)
    world.tell(e.PauseRequested(at=NOON))
    world.tell(e.TimerFired(at=NOON, key=RunKey("a"), attempt=1, purpose="retry"))
    assert len(world.asked(c.RunJob)) == 1
    world.tell(e.Resumed(at=NOON)).run()
    assert world.states() == {"a": "SUCCESS"}


def test_a_kill_of_a_paused_execution_ends_it() -> None:
    world = World(flow(pause(), job("b"))).start().tell(e.KillRequested(at=NOON))
    assert world.history() == "CREATED RUNNING PAUSED KILLING KILLED"
    assert world.states() == {"wait": "KILLED"}


def test_a_resume_that_kills_ends_the_pause_and_the_execution() -> None:
    world = World(flow(pause(), job("b"))).start()
    world.tell(e.Resumed(at=NOON, state=State.KILLING)).run()
    assert world.states() == {"wait": "KILLED"}
    assert world.ends() == [State.KILLED]


def test_a_resumed_execution_is_restarted_until_the_rules_look_at_it() -> None:
    world = World(flow(pause(), job("b"))).start()
    world.fold.apply(e.Resumed(at=NOON))
    assert world.state is State.RESTARTED
    world.fold.settle()
    assert world.state is State.RUNNING
