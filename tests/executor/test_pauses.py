"""What a pause does before it waits, and a wait for somebody's approval."""

from __future__ import annotations

from typing import Any

import pytest
from tests.executor.harness import World
from tests.executor.test_executor import report_of

from penstock_runner.engine import events as e
from penstock_runner.engine.state import RunKey, State
from penstock_runner.executor.resumes import asked_on_resume

LOG = "io.kestra.plugin.core.log.Log"


def flow(told: str, more: str = "", end: str = "") -> str:
    return f"""
id: gate
namespace: team
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Pause
    onPause: {told}
{more}
  - {{id: after, type: {LOG}, message: goes on}}
{end}
"""


TOLD = f"{{id: tell, type: {LOG}, message: please look}}"
SHELL = '{id: tell, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}'


def resume(world: World, execution_id: str, **more: Any) -> None:
    world.executor.tell(execution_id, e.Resumed(at=world.now, key=RunKey("wait"), **more))
    world.settle()


def test_a_pause_tells_of_itself_and_then_waits() -> None:
    world = World(flow(TOLD))
    execution_id = world.start("gate")
    assert world.execution(execution_id).state is State.PAUSED
    assert world.states(execution_id) == {"wait": "PAUSED", "tell": "SUCCESS"}
    assert world.messages(execution_id) == ["please look"]
    resume(world, execution_id)
    assert world.execution(execution_id).state is State.SUCCESS
    assert world.messages(execution_id) == ["please look", "goes on"]


def test_the_time_of_a_pause_begins_when_it_has_told_of_itself() -> None:
    world = World(flow(SHELL, "    pauseDuration: PT10S"))
    world.runner()
    execution_id = world.start("gate")
    world.wait(20)
    assert world.states(execution_id) == {"wait": "RUNNING", "tell": "CREATED"}
    world.executor.report(report_of(world.sent[-1]))
    world.settle()
    assert world.execution(execution_id).state is State.PAUSED
    world.wait(10)
    assert world.execution(execution_id).state is State.SUCCESS


@pytest.mark.parametrize("stops", [False, True])
def test_a_pause_that_cannot_tell_of_itself_fails_with_its_errors(*, stops: bool) -> None:
    errors = f"    errors: [{{id: sorry, type: {LOG}, message: sorry}}]"
    world = World(flow(SHELL, errors))
    world.runner()
    execution_id = world.start("gate")
    if stops:
        world.sent.clear()
        world.restart()
        world.runner(name="r2")
    world.executor.report(report_of(world.sent[-1], "FAILED"))
    world.settle()
    assert world.states(execution_id) == {"wait": "FAILED", "tell": "FAILED", "sorry": "SUCCESS"}


def test_the_finally_of_a_pause_runs_after_the_pause() -> None:
    world = World(flow(TOLD, f"    finally: [{{id: tidy, type: {LOG}, message: tidy}}]"))
    execution_id = world.start("gate")
    assert "tidy" not in world.states(execution_id)


def test_a_kill_while_a_pause_tells_of_itself_ends_it() -> None:
    world = World(flow(SHELL))
    world.runner()
    execution_id = world.start("gate")
    world.executor.tell(execution_id, e.KillRequested(at=world.now))
    world.settle()
    assert world.states(execution_id) == {"wait": "KILLED", "tell": "KILLED"}
    assert world.execution(execution_id).state is State.KILLED


def test_a_restart_tells_again_only_what_had_failed() -> None:
    world = World(flow(SHELL))
    world.runner()
    execution_id = world.start("gate")
    world.executor.report(report_of(world.sent[-1], "FAILED"))
    world.settle()
    world.executor.tell(execution_id, e.RestartRequested(at=world.now))
    world.settle()
    world.executor.report(report_of(world.sent[-1]))
    world.settle()
    assert world.states(execution_id) == {"wait": "PAUSED", "tell": "SUCCESS"}
    assert world.execution(execution_id).state is State.PAUSED


APPROVAL = f"""
id: gate
namespace: team
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Approval
    timeout: PT1H
    onResume: [{{id: why, type: STRING}}]
  - {{id: after, type: {LOG}, message: "{{{{ outputs.wait.onResume.why }}}}"}}
"""


def test_an_approval_waits_for_a_person_and_keeps_what_was_said() -> None:
    world = World(APPROVAL)
    execution_id = world.start("gate")
    execution = world.execution(execution_id)
    assert execution.state is State.PAUSED
    task = world.executor.flows.get("team", "gate").plan.task("wait")
    assert [one.id for one in asked_on_resume(task)] == ["why"]
    resume(world, execution_id, outputs={"why": "it is good"})
    assert world.messages(execution_id) == ["it is good"]


def test_an_approval_that_nobody_gives_in_time_fails() -> None:
    world = World(APPROVAL)
    execution_id = world.start("gate")
    world.wait(3600)
    assert world.states(execution_id) == {"wait": "FAILED"}
