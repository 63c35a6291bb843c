"""Restart, replay, and task runs that a person marks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.engine.story import NOON, World, constant, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import RunKey, State
from penstock_runner.flow.model import Task

F = State.FAILED
RESTART = e.RestartRequested(at=NOON)


def nested(kind: str = "EachSequential") -> Task:
    inner = group(
        "1-2_each",
        kind,
        job("1-2-1"),
        job("1-2-2"),
        properties={"value": '["a a", "b b"]'},
    )
    return group(
        "1_each", kind, job("1-1"), inner, job("1-3"), properties={"value": ["1", "2", "3"]}
    )


def test_a_restart_runs_what_failed_and_then_the_rest() -> None:
    world = World(flow(job("a"), job("b"), job("c")), outcomes={"b": [F]}).start().run()
    world.tell(RESTART).run()
    assert world.states() == {"a": "SUCCESS", "b": "SUCCESS", "c": "SUCCESS"}
    assert world.history() == "CREATED RUNNING FAILED RESTARTED RUNNING SUCCESS"
    assert world.history("b") == "CREATED RUNNING FAILED RESTARTED RUNNING SUCCESS"
    assert len(world.fold.run("b").attempts) == 2
    assert world.fold.head.attempt_number == 2
    assert world.ends() == [F, State.SUCCESS]


def test_an_answer_shows_the_restart_before_it_goes_on() -> None:
    world = World(flow(job("a"), job("b")), outcomes={"b": [F]}).start().run()
    assert world.fold.apply(RESTART) == ()
    assert world.history() == "CREATED RUNNING FAILED RESTARTED"
    stored = Fold(world.plan, world.fold.execution())
    assert stored.settle() == (c.RunJob(key=RunKey("b"), attempt=2, task_id="b"),)
    assert world.fold.settle() == (c.RunJob(key=RunKey("b"), attempt=2, task_id="b"),)


def test_a_restart_forgets_errors_and_finally_and_opens_the_flowables_again() -> None:
    inner = group("seq", "Sequential", job("a"), job("b"), branches={"errors": (job("e"),)})
    made = flow(inner, job("c"), errors=(job("outer"),), finally_=(job("f"),))
    world = World(made, outcomes={"b": [F, F]}).start().run()
    assert list(world.states()) == ["seq", "a", "b", "e", "outer", "f"]
    world.fold.apply(RESTART)
    assert world.states() == {"seq": "RUNNING", "a": "SUCCESS", "b": "RESTARTED"}
    world.todo.extend(world.fold.settle())
    world.run()
    assert list(world.states()) == ["seq", "a", "b", "e", "outer", "f"]
    assert world.state is F
    world.tell(RESTART).run()
    assert list(world.states()) == ["seq", "a", "b", "c", "f"]
    assert world.state is State.SUCCESS


def test_nothing_failed_means_nothing_to_restart() -> None:
    world = World(flow(job("a"))).start().run()
    assert world.fold.feed(RESTART) == ()
    assert world.state is State.SUCCESS


def test_a_restart_takes_up_what_a_failure_cut_off() -> None:
    beside = group("s", "Sequential", job("b"), job("c"))
    waits = job("w", retry=constant(9, max_attempts=2))
    made = flow(group("p", "Parallel", job("a"), beside, waits, job("x", run_if="{{ x }}")))
    world = World(made, outcomes={"w": [F]}, silent={"a", "b"}).start()
    world.todo = [command for command in world.todo if not isinstance(command, c.Evaluate)]
    world.run(timers=False)
    world.tell(e.JobEnded(at=NOON, key=RunKey("a"), attempt=1, state=F))
    assert world.states() == {
        "p": "FAILED",
        "a": "FAILED",
        "s": "RUNNING",
        "w": "FAILED",
        "x": "KILLED",
        "b": "CREATED",
    }
    world.silent.clear()
    world.tell(RESTART)
    world.tell(e.JobEnded(at=NOON, key=RunKey("b"), attempt=1, state=State.SUCCESS)).run()
    assert set(world.states().values()) == {"SUCCESS"}
    assert world.state is State.SUCCESS


def test_a_flowable_that_could_not_decide_decides_again() -> None:
    made = group("if", "If", properties={"condition": "{{ ko }}"}, branches={"then": (job("yes"),)})
    world = World(flow(made), answers={"if:condition": ["no ko", {"condition": "true"}]})
    world.start().run()
    assert world.state is F
    world.tell(RESTART).run()
    assert world.states() == {"if": "SUCCESS", "yes": "SUCCESS"}


def test_a_restart_of_a_paused_execution_goes_on() -> None:
    made = flow(group("wait", "Pause"), job("b"))
    world = World(made).start().tell(RESTART).run()
    assert world.history() == "CREATED RUNNING PAUSED RESTARTED RUNNING SUCCESS"
    assert world.states() == {"wait": "SUCCESS", "b": "SUCCESS"}


def test_a_replay_keeps_what_came_before_the_task() -> None:
    world = World(flow(nested(), job("2_end"))).start().run()
    assert len(world.states()) == 1 + 3 * 7 + 1

    def replayed(key: str) -> Fold:
        copy = Fold(world.plan, replace(world.fold.execution(), id="x2"))
        copy.apply(e.ReplayRequested(at=NOON, key=RunKey(key)))
        return copy

    again = replayed("1-2_each.0")
    assert len(again.runs) == 5
    assert again.run("1-2_each.0").state is State.RUNNING
    again = replayed("1-2-1.0.0")
    assert len(again.runs) == 6
    assert again.run("1-2-1.0.0").state is State.RESTARTED
    assert again.run("1_each").state is State.RUNNING
    again = replayed("2_end")
    assert len(again.runs) == 23


def test_a_replay_of_one_of_many_beside_each_other_leaves_the_others() -> None:
    inner = group("seq", "Sequential", job("a"), job("b"))
    made = group("each", "EachParallel", inner, properties={"value": ["1", "2", "3"]})
    world = World(flow(made, job("end"))).start().run()
    world.fold.apply(e.ReplayRequested(at=NOON, key=RunKey("seq.0")))
    assert len(world.fold.runs) == 8


def test_a_replay_ends_like_the_first_time() -> None:
    world = World(flow(nested(), job("2_end"))).start().run()
    world.tell(e.ReplayRequested(at=NOON, key=RunKey("1-2-1.0.1"))).run()
    assert world.state is State.SUCCESS
    assert Counter(world.states().values()) == {"SUCCESS": 23}
    assert world.ends() == [State.SUCCESS, State.SUCCESS]


def test_a_marked_failure_opens_what_is_around_and_errors_follow() -> None:
    made = flow(group("seq", "Sequential", job("a"), job("b")), errors=(job("e"),))
    world = World(made).start().run()
    world.fold.apply(e.TaskRunMarked(at=NOON, key=RunKey("a"), state=F))
    assert world.states() == {"seq": "RUNNING", "a": "FAILED", "b": "SUCCESS"}
    assert world.history() == "CREATED RUNNING SUCCESS RESTARTED"
    assert world.fold.run("a").attempts[-1].state is F
    world.todo.extend(world.fold.settle())
    world.run()
    assert world.states() == {"seq": "FAILED", "a": "FAILED", "b": "SUCCESS", "e": "SUCCESS"}


def test_a_pause_that_is_marked_running_goes_on() -> None:
    world = World(flow(group("wait", "Pause"), job("b"))).start()
    world.tell(e.TaskRunMarked(at=NOON, key=RunKey("wait"), state=State.RUNNING)).run()
    assert world.states() == {"wait": "SUCCESS", "b": "SUCCESS"}
    assert world.state is State.SUCCESS


def test_a_status_is_only_changed_between_ends() -> None:
    world = World(flow(job("a")), silent={"a"}).start()
    world.tell(e.StatusChanged(at=NOON, state=F))
    assert world.state is State.RUNNING
    world.tell(e.JobEnded(at=NOON, key=RunKey("a"), attempt=1, state=State.SUCCESS))
    world.tell(e.StatusChanged(at=NOON, state=F))
    assert world.history() == "CREATED RUNNING SUCCESS FAILED"
    assert world.ends() == [State.SUCCESS]


def test_a_forced_execution_runs_at_once() -> None:
    world = World(flow(job("a"))).tell(e.Queued(at=NOON, state=State.QUEUED))
    world.tell(e.Forced(at=NOON)).run()
    assert world.history() == "CREATED QUEUED RUNNING SUCCESS"


def test_a_limit_that_cancels_or_fails_ends_the_execution_without_a_task() -> None:
    made = flow(job("a"), errors=(job("e"),))
    world = World(made).tell(e.Queued(at=NOON, state=F))
    assert world.history() == "CREATED FAILED"
    assert world.logs() == ["Flow is FAILED due to concurrency limit exceeded"]
    assert world.ends() == [F]


def test_a_failed_finally_is_what_a_restart_runs_again() -> None:
    world = World(flow(job("a"), finally_=(job("f"),)), outcomes={"f": [F]}).start().run()
    assert world.state is F
    world.tell(RESTART).run()
    assert world.states() == {"a": "SUCCESS", "f": "SUCCESS"}
    assert world.state is State.SUCCESS
    assert [command.attempt for command in world.asked(c.RunJob)] == [1, 1, 2]


def test_a_replay_of_a_pause_pauses_again() -> None:
    world = World(flow(job("a"), group("wait", "Pause"), job("b"))).start().run()
    world.tell(e.Resumed(at=NOON)).run()
    world.tell(e.ReplayRequested(at=NOON, key=RunKey("wait"))).run()
    assert world.states() == {"a": "SUCCESS", "wait": "PAUSED"}
    assert world.state is State.PAUSED


def test_a_replay_of_what_still_runs_starts_its_jobs_anew() -> None:
    made = flow(job("a"), group("p", "Parallel", job("b"), job("c")))
    world = World(made, silent={"c"}).start().run()
    copy = Fold(world.plan, replace(world.fold.execution(), id="x2"))
    copy.apply(e.ReplayRequested(at=NOON, key=RunKey("b")))
    assert {command.key for command in copy.settle()} == {"b", "c"}


def test_a_restart_lets_a_switch_choose_again() -> None:
    made = flow(
        group("s", "Switch", properties={"value": "{{ x }}"}, branches={"cases.a": (job("in_a"),)})
    )
    answers = {"s:value": [{"value": "none"}, {"value": "a"}]}
    world = World(made, answers=answers).start().run()
    assert world.state is F
    world.tell(RESTART).run()
    assert world.states() == {"s": "SUCCESS", "in_a": "SUCCESS"}
