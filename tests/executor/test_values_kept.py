"""What is kept of an execution, and how: secrets, large outputs, long lines, listeners, replays."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.executor.harness import World
from tests.executor.test_executor import report_of

from penstock_runner.engine import events as e
from penstock_runner.engine.state import State
from penstock_runner.executor.ciphers import passing_cipher
from penstock_runner.executor.customs import NO_CUSTOMS
from penstock_runner.executor.inbox import Remove
from penstock_runner.executor.live import Live
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Start
from penstock_runner.executor.resumes import first_paused, resume_outputs
from penstock_runner.jobs.protocol import Metric
from penstock_runner.jobs.secrets import Scope, Secrets

HANDED = """
id: handed
namespace: team
tasks:
  - id: ask
    type: io.kestra.plugin.scripts.shell.Commands
    env: {TOKEN: "{{ secret('TOKEN') }}"}
    commands: [echo]
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "it is {{ outputs.ask.vars.x }}"}
"""
TAGGED = """
id: tagged
namespace: team
tasks:
  - {id: say, type: io.kestra.plugin.core.debug.Return, format: "{{ secret('TOKEN') }}"}
  - {id: ask, type: io.kestra.plugin.scripts.shell.Commands, commands: [echo]}
"""
READ = """
id: read
namespace: team
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "it is {{ secret('TOKEN') }}"}
"""
SECRET = """
id: hidden
namespace: team
inputs: [{id: pass.word, type: SECRET}]
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "it is {{ inputs.pass.word }}"}
  - {id: hand, type: io.kestra.plugin.core.debug.Return, format: "{{ inputs.pass.word }}"}
outputs: [{id: back, type: SECRET, value: "{{ inputs.pass.word }}"}]
"""
LARGE = """
id: large
namespace: team
inputs: [{id: text, type: STRING}]
tasks:
  - id: make
    type: io.kestra.plugin.core.debug.Return
    format: "{{ inputs.text }}{{ inputs.text }}"
"""
LONG = """
id: long
namespace: team
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "TEXT"}
"""
LATE = """
id: late
namespace: team
tasks:
  - {id: sleep, type: io.kestra.plugin.core.flow.Sleep, duration: PT1H, timeout: PT2S}
"""
HEARD = """
id: heard
namespace: team
tasks:
  - {id: fail, type: io.kestra.plugin.core.execution.Fail}
listeners:
  - conditions: [{type: io.kestra.plugin.core.condition.ExecutionStatus, in: [SUCCESS]}]
    tasks: [{id: good, type: io.kestra.plugin.core.log.Log, message: good}]
  - conditions: [{type: io.kestra.plugin.core.condition.ExecutionStatus, in: [FAILED]}]
    tasks: [{id: bad, type: io.kestra.plugin.core.log.Log, message: bad}]
"""
TWO = """
id: two
namespace: team
tasks:
  - {id: a, type: io.kestra.plugin.core.log.Log, message: a}
  - {id: b, type: io.kestra.plugin.core.log.Log, message: b}
"""


def test_a_secret_input_is_kept_encrypted_shown_to_tasks_and_hidden_in_logs() -> None:
    cipher = passing_cipher()
    world = World(SECRET, cipher=cipher)
    execution = world.execution(world.start("hidden", inputs={"pass.word": "open sesame"}))
    kept = (execution.inputs or {})["pass"]["word"]  # type: ignore[index]
    assert kept != "open sesame"
    assert cipher.decrypt(kept) == "open sesame"
    hand = next(run for run in execution.runs.values() if run.task_id == "hand")
    assert hand.outputs == {"value": "open sesame"}
    assert world.messages(execution.id) == ["it is ******", "******"]
    assert cipher.decrypt(str((execution.outputs or {})["back"])) == "open sesame"


def test_outputs_that_are_too_large_fail_the_task_and_are_not_kept() -> None:
    world = World(LARGE)
    execution = world.execution(world.start("large", inputs={"text": "x" * 600_000}))
    [run] = execution.runs.values()
    assert (execution.state, run.outputs) == (State.FAILED, None)
    assert world.messages(execution.id)[-1].startswith("Unable to emit the worker task result")


def test_a_long_line_becomes_several_a_millisecond_apart() -> None:
    world = World(LONG.replace("TEXT", "x" * 25_000))
    execution_id = world.start("long")
    assert isinstance(world.store, MemoryStore)
    lines = world.store.lines(execution_id)
    assert [len(line.message) for line in lines] == [10_240, 10_240, 4_520]
    assert lines[2].at - lines[0].at == timedelta(milliseconds=2)


def test_a_sleep_longer_than_its_timeout_fails_at_the_timeout() -> None:
    world = World(LATE)
    execution_id = world.start("late")
    world.wait(1)
    assert world.execution(execution_id).state is State.RUNNING
    world.wait(2)
    assert world.execution(execution_id).state is State.FAILED
    assert "Timeout after 00:00:02.000" in world.messages(execution_id)


def test_only_listeners_whose_conditions_hold_run_after_the_end() -> None:
    world = World(HEARD)
    execution_id = world.start("heard")
    assert list(world.states(execution_id)) == ["fail", "bad"]


def test_a_replay_from_a_task_is_shown_before_it_goes_on_and_keeps_what_came_before() -> None:
    world = World(TWO)
    old = world.execution(world.start("two"))
    outcomes: list[Outcome] = []
    again = Start(
        namespace="team",
        flow_id="two",
        inputs=old.inputs,
        replay_of=old,
        replay_from=next(key for key in old.runs if key == "b"),
    )
    world.executor.transact(starts=[again], done=outcomes.append)
    world.settle()
    [shown] = outcomes[0].executions
    assert [state.value for state, _ in shown.history][-1] == "RESTARTED"
    assert world.states(shown.id) == {"a": "SUCCESS", "b": "SUCCESS"}
    assert world.execution(shown.id).state is State.SUCCESS


def test_a_resumed_execution_is_shown_before_it_goes_on() -> None:
    world = World(
        TWO.replace("type: io.kestra.plugin.core.log.Log, message: a", "PAUSE").replace(
            "PAUSE", "type: io.kestra.plugin.core.flow.Pause"
        )
    )
    execution_id = world.start("two")
    outcomes: list[Outcome] = []
    world.executor.tell_when(
        execution_id, lambda _live, at: (e.Resumed(at=at),), done=outcomes.append
    )
    world.settle()
    assert outcomes[0].executions[0].state is State.RESTARTED
    assert world.execution(execution_id).state is State.SUCCESS


def test_log_lines_outlive_a_deleted_execution_when_they_are_kept() -> None:
    world = World(TWO)
    execution_id = world.start("two")
    world.executor.remove(Remove(execution_id=execution_id, keep=frozenset({"logs"})))
    world.settle()
    assert world.store.load([execution_id]) == {}
    assert world.messages(execution_id) == ["a", "b"]


ASKS = """
id: asks
namespace: team
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Pause
    onResume: [{id: code, type: SECRET}, {id: count, type: INT, defaults: 3}]
  - {id: hand, type: io.kestra.plugin.core.debug.Return, format: "{{ outputs.wait.onResume.code }}"}
"""


def render(source: str, variables: object) -> object:
    return source


def resumed(world: World, execution_id: str, given: dict[str, object]) -> Outcome:
    outcomes: list[Outcome] = []

    def make(live: Live, at: datetime) -> list[e.Event]:
        encrypt = world.cipher.encrypt if world.cipher else None
        outputs = resume_outputs(live, given, render_typed=render, encrypt=encrypt)
        return [e.Resumed(at=at, key=first_paused(live.execution()), outputs=outputs)]

    world.executor.tell_when(execution_id, make, done=outcomes.append)
    world.settle()
    return outcomes[0]


def test_a_resume_gives_what_the_pause_asks_for_and_hides_its_secrets() -> None:
    world = World(ASKS, cipher=passing_cipher())
    execution_id = world.start("asks")
    assert resumed(world, execution_id, {"code": "open sesame"}).error is None
    runs = {run.task_id: run for run in world.execution(execution_id).runs.values()}
    kept = (runs["wait"].outputs or {})["onResume"]
    assert isinstance(kept, dict)
    assert (kept["count"], kept["code"] == "open sesame") == (3, False)
    assert runs["hand"].outputs == {"value": "open sesame"}
    assert "open sesame" not in world.messages(execution_id)


def test_a_resume_without_what_the_pause_asks_for_is_refused() -> None:
    world = World(ASKS, cipher=passing_cipher())
    execution_id = world.start("asks")
    assert "missing required input" in str(resumed(world, execution_id, {}).error)
    assert world.execution(execution_id).state is State.PAUSED


def test_a_secret_of_one_task_is_masked_in_the_log_of_every_other() -> None:
    world = World(HANDED, secrets={"TOKEN": "hunter-22"})
    world.runner()
    execution = world.start("handed")
    [job] = [message for message in world.sent if message["type"] == "job"]
    assert list(job["masks"]) == ["hunter-22"]
    world.executor.report(report_of(job, outputs={"vars": {"x": "hunter-22"}}))
    world.settle()
    assert "it is ******" in world.messages(execution)


def test_a_secret_is_masked_in_the_tags_of_measurements() -> None:
    world = World(TAGGED, secrets={"TOKEN": "hunter-22"})
    world.runner()
    execution = world.start("tagged")
    [job] = [message for message in world.sent if message["type"] == "job"]
    told = Metric(name="rows", kind="counter", value=1, tags={"at": "hunter-22", "by": "me"})
    world.executor.report(report_of(job, metrics=(told,)))
    world.settle()
    tags = {metric.name: dict(metric.tags) for metric in world.store.metrics(execution)}
    assert tags.pop("duration") == {"format": "******"}
    assert tags == {"length": {"format": "******"}, "rows": {"at": "******", "by": "me"}}


def test_what_a_job_has_learnt_to_hide_is_masked_in_later_tasks() -> None:
    world = World(HANDED.replace("{{ secret('TOKEN') }}", "x"))
    world.runner()
    execution = world.start("handed")
    [job] = [message for message in world.sent if message["type"] == "job"]
    report = report_of(job, outputs={"vars": {"x": "made-up-4711"}})
    world.executor.report(replace(report, masks=("made-up-4711",)))
    world.settle()
    assert "it is ******" in world.messages(execution)


@pytest.mark.parametrize("protected", [True, False])
def test_a_secret_of_protected_refs_is_given_in_the_step_and_to_jobs_alike(
    *, protected: bool
) -> None:
    scopes = [Scope(names="*", namespaces=("*",), protected=True)]
    customs = replace(NO_CUSTOMS, protected=lambda _git: protected)
    secrets = Secrets({"TOKEN": "hunter-22"}, scopes=scopes)
    world = World(HANDED, READ, secrets=secrets, customs=customs)
    world.runner()
    execution = world.start("read")
    assert world.execution(execution).state is (State.SUCCESS if protected else State.FAILED)
    world.start("handed")
    [job] = [message for message in world.sent if message["type"] == "job"]
    assert job["protected"] is protected
