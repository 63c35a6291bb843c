"""What should not come but does: each has an outcome, and the log of the execution says it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.executor.harness import NOON, World
from tests.executor.test_executor import SHELL, report_of

from penstock_runner.engine import events as e
from penstock_runner.engine.state import State
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.jobs.protocol import Report

RECURSIVE = """
id: {id}
namespace: team
tasks:
  - {{id: again, type: io.kestra.plugin.core.flow.Subflow, namespace: team, flowId: "{{{{ '{to}' }}}}"}}
"""  # noqa: E501
EACH = """
id: each
namespace: team
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: "{{ %s }}"
    tasks: [{id: say, type: io.kestra.plugin.core.log.Log, message: x}]
"""
SLEEPS = """
id: sleeps
namespace: team
tasks:
  - {id: doze, type: io.kestra.plugin.core.flow.Sleep, duration: PT10S}
  - {id: say, type: io.kestra.plugin.core.log.Log, message: awake}
"""


def test_outputs_over_the_limit_fail_the_task_and_are_not_kept() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    world.executor.report(report_of(world.sent[0], outputs={"text": "x" * (1 << 20)}))
    world.settle()
    execution = world.execution(execution_id)
    [run] = execution.runs.values()
    assert (execution.state, run.outputs) == (State.FAILED, None)
    assert any("1 MiB" in message for message in world.messages(execution_id))


def test_flows_that_start_one_another_for_ever_end_at_the_limit() -> None:
    world = World(RECURSIVE.format(id="one", to="two"), RECURSIVE.format(id="two", to="one"))
    execution_id = world.start("one")
    assert world.execution(execution_id).state is State.FAILED
    assert isinstance(world.store, MemoryStore)
    made = world.store.executions()
    assert len(made) == 51
    assert not world.store.unended()
    said = [message for one in made for message in world.messages(one.id)]
    assert "Subflows are nested 51 deep; does team.two start itself?" in said


@pytest.mark.parametrize("values", ["7", "'text'", "{'a': 1}", "[1, null]"])
def test_a_loop_over_what_is_no_list_fails_and_says_what_it_is(values: str) -> None:
    world = World(EACH % values)
    execution_id = world.start("each")
    assert world.states(execution_id) == {"each": "FAILED"}
    [message] = world.messages(execution_id)
    assert message.startswith("Unable to resolve state from the Flowable task: ")


def reported(world: World, execution_id: str, late: Report) -> list[str]:
    """What the log says more after a report, which changes nothing else."""
    before, said = world.execution(execution_id), len(world.messages(execution_id))
    for _ in range(3):
        world.executor.report(late)
        world.settle()
    after = world.execution(execution_id)
    assert (after.history, after.runs, after.labels) == (before.history, before.runs, before.labels)
    return list(dict.fromkeys(world.messages(execution_id)[said:]))


LABELS = {"labels": {"late": "yes"}}


def test_a_report_for_a_task_run_that_is_not_there_is_left_aside_and_told() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    job = {**world.sent[0], "key": "nobody"}
    [message] = reported(world, execution_id, report_of(job, effects=[LABELS]))
    assert message.startswith("A report for 'nobody' came, which is no task run of this execution")


def test_a_report_for_an_execution_that_is_not_there_harms_nobody() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    job = {**world.sent[0], "execution_id": "nobody"}
    assert reported(world, execution_id, report_of(job)) == []


def test_a_report_that_comes_again_is_left_aside_and_told() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    report = report_of(world.sent[0], effects=[LABELS])
    world.executor.report(report)
    world.settle()
    assert world.execution(execution_id).state is State.SUCCESS
    again = reported(world, execution_id, report)
    assert again == ["Attempt 1 reported a second time; it was left aside"]


def test_a_report_of_another_end_after_the_end_is_left_aside_and_told() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    world.executor.report(report_of(world.sent[0]))
    world.settle()
    late = report_of(world.sent[0], "FAILED", effects=[{"exit": "CANCELLED"}])
    [message] = reported(world, execution_id, late)
    assert message == "Attempt 1 reported after its task run ended; it was left aside"


def test_a_report_of_a_runner_that_was_given_up_is_left_aside_and_told() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    first = world.sent[0]
    world.executor.runner_left("r1")
    world.runner(name="r2")
    late = report_of(first, effects=[LABELS, {"exit": "KILLED"}], outputs={"x": 1})
    before = len(world.messages(execution_id))
    [message] = reported(world, execution_id, late)
    assert message == "Attempt 1 reported after its runner was given up for lost; it was left aside"
    assert len(world.messages(execution_id)) == before + 1
    assert world.execution(execution_id).state is State.RUNNING
    world.executor.report(report_of(world.sent[1]))
    world.settle()
    assert world.execution(execution_id).state is State.SUCCESS


def test_a_report_of_an_attempt_before_the_present_one_is_left_aside_and_told() -> None:
    retried = SHELL.replace('["true"]}', '["true"], retry: {type: constant, interval: PT1S}}')
    world = World(retried)
    world.runner()
    execution_id = world.start("shell")
    first = world.sent[0]
    world.executor.report(report_of(first, "FAILED"))
    world.settle()
    world.wait(2)
    [message] = reported(world, execution_id, report_of(first))
    assert message == "Attempt 1 reported after attempt 2 has begun; it was left aside"


def test_the_end_of_a_job_that_was_cancelled_is_no_news() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    world.executor.tell(execution_id, e.KillRequested(at=world.now))
    world.settle()
    assert reported(world, execution_id, report_of(world.sent[0], "KILLED")) == []


@pytest.mark.parametrize(
    ("jump", "told"),
    [
        (timedelta(days=-400), "jumped back by 400 days, 0:00:00"),
        (timedelta(hours=3), "jumped forward by 3:00:00"),
    ],
    ids=["back", "on"],
)
def test_when_the_clock_jumps_the_log_of_what_is_under_way_says_so(
    jump: timedelta, told: str
) -> None:
    passed = 0.0
    world = World(SHELL, elapsed=lambda: passed)
    world.runner()
    execution_id = world.start("shell")
    world.now += timedelta(seconds=40)
    passed += 40
    world.settle()
    assert world.messages(execution_id) == []
    world.now += jump
    world.settle()
    [message] = world.messages(execution_id)
    assert told in message
    world.executor.report(report_of(world.sent[0]))
    world.settle()
    assert world.execution(execution_id).state is State.SUCCESS
    assert [told in message for message in world.messages(execution_id)] == [True, False]


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400)], ids=["back", "on"])
def test_when_the_clock_jumps_what_waits_still_ends_and_no_history_runs_backwards(
    jump: timedelta,
) -> None:
    world = World(SLEEPS)
    execution_id = world.start("sleeps")
    world.now += jump
    world.settle()
    world.now = NOON + timedelta(seconds=11)
    world.settle()
    execution = world.execution(execution_id)
    assert execution.state is State.SUCCESS
    for history in (execution.history, *(run.history for run in execution.runs.values())):
        instants = [at for _, at in history]
        assert instants == sorted(instants)
