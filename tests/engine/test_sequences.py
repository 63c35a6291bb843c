"""Sequences, branches and errors."""

from __future__ import annotations

from tests.engine.story import World, constant, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine.state import State

F, S = State.FAILED, State.SUCCESS


def test_tasks_run_one_after_the_other_and_the_execution_ends_once() -> None:
    world = World(flow(job("a"), job("b"))).start().run()
    assert world.history() == "CREATED RUNNING SUCCESS"
    assert world.history("a") == "CREATED RUNNING SUCCESS"
    assert world.states() == {"a": "SUCCESS", "b": "SUCCESS"}
    assert world.ends() == [S]


def test_a_flow_of_disabled_tasks_succeeds_without_running() -> None:
    world = World(flow(job("a", disabled=True))).start().run()
    assert world.history() == "CREATED SUCCESS"
    assert world.states() == {}


def test_a_failure_ends_the_sequence_and_the_execution() -> None:
    world = World(flow(job("a"), job("b")), outcomes={"a": [F]}).start().run()
    assert world.states() == {"a": "FAILED"}
    assert world.ends() == [F]


def test_errors_run_after_a_failure_and_do_not_change_the_end() -> None:
    made = flow(job("a"), job("b"), errors=(job("e1"), job("e2")))
    world = World(made, outcomes={"a": [F], "e1": [F]}).start().run()
    assert world.states() == {"a": "FAILED", "e1": "FAILED", "e2": "SUCCESS"}
    assert world.state is F


def test_inner_errors_run_before_the_outer_ones() -> None:
    inner = group("seq", "Sequential", job("a"), branches={"errors": (job("inner"),)})
    world = World(flow(inner, errors=(job("outer"),)), outcomes={"a": [F]}).start().run()
    assert list(world.states()) == ["seq", "a", "inner", "outer"]
    assert world.history("seq") == "CREATED RUNNING FAILED"


def test_finally_runs_after_success_and_after_errors() -> None:
    made = flow(job("a"), errors=(job("e"),), finally_=(job("f"),))
    assert list(World(made).start().run().states()) == ["a", "f"]
    world = World(made, outcomes={"a": [F]}).start().run()
    assert list(world.states()) == ["a", "e", "f"]
    assert world.state is F


def test_a_failed_finally_fails_the_execution() -> None:
    world = World(flow(job("a"), finally_=(job("f"),)), outcomes={"f": [F]}).start().run()
    assert world.state is F


def test_a_warning_goes_on_and_shows_in_the_end() -> None:
    world = World(flow(job("a"), job("b")), outcomes={"a": [State.WARNING]}).start().run()
    assert world.state is State.WARNING


def test_allowances_soften_the_end_of_a_task() -> None:
    made = flow(job("a", allow_failure=True), job("b", allow_failure=True, allow_warning=True))
    world = World(made, outcomes={"a": [F], "b": [F]}).start().run()
    assert world.states() == {"a": "WARNING", "b": "SUCCESS"}
    assert world.fold.run("a").attempts[0].state is F


def test_allow_failure_group_turns_failure_into_warning_after_its_errors() -> None:
    made = group("af", "AllowFailure", job("a"), branches={"errors": (job("e"),)})
    world = World(flow(made, job("b")), outcomes={"a": [F]}).start().run()
    assert world.states() == {"af": "WARNING", "a": "FAILED", "e": "SUCCESS", "b": "SUCCESS"}


def test_parallel_opens_everything_at_once_within_its_limit() -> None:
    tasks = [job(name) for name in "abc"]
    world = World(flow(group("p", "Parallel", *tasks))).start()
    assert [command.key for command in world.asked(c.RunJob)] == ["a", "b", "c"]
    made = flow(group("p", "Parallel", *tasks, properties={"concurrent": 2}))
    world = World(made).start()
    assert [command.key for command in world.asked(c.RunJob)] == ["a", "b"]
    assert world.run().state is S


def test_a_failure_in_parallel_ends_at_once_and_late_results_are_joined() -> None:
    made = flow(group("p", "Parallel", job("a"), job("b")))
    world = World(made, outcomes={"a": [F]}, silent={"b"}).start().run()
    assert world.state is F
    world.silent.clear()
    world.todo.extend(world.asked(c.RunJob)[1:])
    world.run()
    assert world.states()["b"] == "SUCCESS"
    assert world.ends() == [F]


def test_what_was_left_behind_by_a_failure_opens_nothing_more() -> None:
    beside = group("s", "Sequential", job("b"), job("c"))
    waits = job("w", retry=constant(9, max_attempts=2))
    made = flow(group("p", "Parallel", job("a"), beside, waits))
    world = World(made, outcomes={"w": [F]}, silent={"a", "b"}).start().run(timers=False)
    world.outcomes["a"] = [F]
    world.silent.clear()
    world.todo.extend(world.asked(c.RunJob)[:1])
    world.run()
    assert world.states() == {
        "p": "FAILED",
        "a": "FAILED",
        "s": "RUNNING",
        "b": "CREATED",
        "w": "FAILED",
    }
    world.todo.extend(command for command in world.asked(c.RunJob) if command.key == "b")
    world.run()
    assert world.states()["b"] == "SUCCESS"
    assert world.states()["s"] == "KILLED"
    assert "c" not in world.states()


def test_a_dag_waits_for_what_a_task_depends_on() -> None:
    made = group(
        "dag", "Dag", job("a"), job("b"), job("c"), depends_on={"a": ("c",), "b": ("a", "c")}
    )
    world = World(flow(made)).start().run()
    assert list(world.states()) == ["dag", "c", "a", "b"]


def test_if_freezes_its_condition_and_runs_one_branch() -> None:
    made = group(
        "if",
        "If",
        properties={"condition": "{{ inputs.x }}"},
        branches={"then": (job("yes"),), "else": (job("no"),)},
    )
    world = World(flow(made), answers={"if:condition": {"condition": "false"}}).start().run()
    assert world.states() == {"if": "SUCCESS", "no": "SUCCESS"}
    assert world.fold.run("if").outputs == {"evaluationResult": False}


def test_if_without_else_succeeds_when_false() -> None:
    made = group("if", "If", properties={"condition": "0"}, branches={"then": (job("yes"),)})
    world = World(flow(made)).start().run()
    assert world.states() == {"if": "SUCCESS"}
    assert not world.asked(c.Evaluate)


def test_a_condition_that_cannot_be_rendered_fails_the_flowable() -> None:
    made = group("if", "If", properties={"condition": "{{ ko }}"}, branches={"then": (job("yes"),)})
    world = World(flow(made), answers={"if:condition": "no ko"}).start().run()
    assert world.states() == {"if": "FAILED"}
    assert world.logs() == ["Unable to resolve state from the Flowable task: no ko"]


def test_switch_runs_a_case_the_defaults_or_fails() -> None:
    def play(value: object, **branches: tuple[object, ...]) -> World:
        made = group("sw", "Switch", properties={"value": value}, branches=branches)
        return World(flow(made)).start().run()

    cases = {"cases.one": (job("a"),), "defaults": (job("d"),)}
    assert play("one", **cases).states() == {"sw": "SUCCESS", "a": "SUCCESS"}
    other = play("two", **cases)
    assert other.states() == {"sw": "SUCCESS", "d": "SUCCESS"}
    assert other.fold.run("sw").outputs == {"value": "two", "defaults": True}
    assert play(True, **{"cases.true": (job("a"),)}).states()["sw"] == "SUCCESS"
    nothing = play("two", **{"cases.one": (job("a"),)})
    assert nothing.states() == {"sw": "FAILED"}
    assert nothing.logs() == ["No task found on flow 'team.build', task 'sw', execution 'x1'"]


def test_run_if_skips_or_fails() -> None:
    made = flow(job("a", run_if="{{ x }}"), job("b", run_if="false"), job("c"))
    world = World(made, answers={"a:runIf": {"runIf": ""}}).start().run()
    assert world.history("a") == "CREATED SKIPPED"
    assert world.fold.run("a").attempts == ()
    assert world.states() == {"a": "SKIPPED", "b": "SKIPPED", "c": "SUCCESS"}
    world = World(made, answers={"a:runIf": "no x"}).start().run()
    assert world.states() == {"a": "FAILED"}
    assert world.logs()[0].startswith("Unable to evaluate the runIf condition for task a")


def test_after_execution_runs_after_the_end_and_does_not_change_it() -> None:
    made = flow(job("a"), after_execution=(job("bye"),))
    world = World(made, outcomes={"bye": [F]}).start()
    assert world.ends() == []
    world.run()
    assert world.history() == "CREATED RUNNING SUCCESS"
    assert world.states() == {"a": "SUCCESS", "bye": "FAILED"}
    assert world.ends() == [S]
