"""What should not come but does: each has an outcome, and the log of the execution says it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.executor.harness import NOON, World
from tests.executor.test_executor import SHELL, report_of

from penstock_runner.engine.state import State
from penstock_runner.executor.memory import MemoryStore

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


def test_reports_that_are_late_doubled_or_of_nobody_change_nothing() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    job = world.sent[0]
    world.executor.runner_left("r1")
    world.runner(name="r2")
    for late in (job, {**job, "key": "nobody"}, {**job, "execution_id": "nobody"}):
        world.executor.report(report_of(late))
    world.settle()
    assert world.execution(execution_id).state is State.RUNNING
    world.executor.report(report_of(world.sent[1]))
    world.settle()
    ended = world.execution(execution_id)
    assert ended.state is State.SUCCESS
    world.executor.report(report_of(world.sent[1], "FAILED"))
    world.settle()
    later = world.execution(execution_id)
    assert (later.history, later.runs) == (ended.history, ended.runs)


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
