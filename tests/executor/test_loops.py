"""Loop: iterations in worlds of their own, and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.executor.harness import World, stored
from tests.executor.test_executor import report_of

from penstock_runner.engine import events as e
from penstock_runner.engine.state import RunKey, State
from penstock_runner.executor.memory import MemoryStore

LOG = "io.kestra.plugin.core.log.Log"
RETURN = "io.kestra.plugin.core.debug.Return"


def looping(more: str, tasks: str, after: str = "") -> str:
    """A flow with one loop, whose properties and tasks are given, and one task after it."""
    last = after or f"  - {{id: end, type: {LOG}, message: end}}"
    lines = "\n".join(f"    {line}" for line in more.strip().splitlines())
    inside = "\n".join(f"      {line}" for line in tasks.strip().splitlines())
    return f"""
id: looping
namespace: team
tasks:
  - {{id: before, type: {RETURN}, format: from outside}}
  - id: loop
    type: io.kestra.plugin.core.flow.Loop
{lines}
    tasks:
{inside}
{last}
"""


def say(template: str) -> str:
    return f'- {{id: say, type: {LOG}, message: "{template}"}}'


def give(template: str) -> str:
    return f'- {{id: give, type: {RETURN}, format: "{template}"}}'


OUTPUTS = 'outputs: [{id: got, type: STRING, value: "{{ outputs.give.value }}"}]'


@pytest.mark.parametrize(
    ("values", "template", "said"),
    [
        ("[a, b, a]", "{{ item.index }}={{ item.value }}", ["0=a", "1=b", "2=a"]),
        ("[1, {x: 2}]", "{{ item.value }}", ["1", '{"x":2}']),
        ("{dev: d, prod: p}", "{{ item.key }}:{{ item.value }}", ["dev:d", "prod:p"]),
        ("'[\"p\", \"q\"]'", "{{ item.value }}", ["p", "q"]),
        ('"{{ [7, 8] }}"', "{{ item.value }}", ["7", "8"]),
        ("[]", "never", []),
    ],
    ids=["list", "objects", "map", "text", "expression", "nothing"],
)  # fmt: skip
def test_each_item_has_its_turn(values: str, template: str, said: list[str]) -> None:
    world = World(looping(f"values: {values}", say(template)))
    execution_id = world.start("looping")
    assert world.execution(execution_id).state is State.SUCCESS
    lines = [line for line in world.messages(execution_id) if line not in ("end", "from outside")]
    assert lines == said


def test_the_lines_of_a_file_are_items_and_outputs_go_to_a_file(tmp_path: Path) -> None:
    source = looping(f'values: "kestra:///items.ion"\n{OUTPUTS}', give("{{ item.value }}!"))
    world = World(source, storage=tmp_path)
    world.storage.put_bytes("kestra:///items.ion", b'"one"\n{"n": 2}\n')
    execution = world.execution(world.start("looping"))
    outputs = execution.runs[RunKey("loop")].outputs or {}
    assert outputs["iterationCount"] == 2
    assert "outputs" not in outputs
    lines = world.storage.read_bytes(str(outputs["uri"])).decode().splitlines()
    assert [json.loads(line)["outputs"]["got"] for line in lines] == ["one!", '{"n":2}!']


def test_outputs_are_seen_inside_of_their_iteration_and_declared_ones_after_the_loop() -> None:
    template = (
        "{{ loopOutputs(outputs.loop.outputs, 'got') | join(',') }} {{ outputs.give ?? '-' }}"
    )
    after = f'  - {{id: end, type: {LOG}, message: "{template}"}}'
    tasks = (
        f"{give('{{ outputs.before.value }} {{ item.index }}')}\n{say('{{ outputs.give.value }}')}"
    )
    world = World(looping(f"values: [a, a]\n{OUTPUTS}", tasks, after))
    execution_id = world.start("looping")
    said = world.messages(execution_id)
    assert said[-1] == "from outside 0,from outside 1 -"
    loop = world.execution(execution_id).runs[RunKey("loop")]
    assert loop.outputs == {
        "iterationCount": 2,
        "runningIterations": 0,
        "terminatedIterations": {"SUCCESS": 2},
        "outputs": [
            {"item": {"value": "a", "iteration": n}, "outputs": {"got": f"from outside {n}"}}
            for n in (0, 1)
        ],
    }


def test_inner_loops_know_the_items_around_them() -> None:
    inner = f"""
- id: inner
  type: io.kestra.plugin.core.flow.Loop
  values: [x, y]
  concurrencyLimit: 1
  tasks:
    - id: if
      type: io.kestra.plugin.core.flow.If
      condition: "{{{{ item.value == 'y' }}}}"
      then:
        - {{id: say, type: {LOG}, message: "{{{{ item.parents[0].value }}}}{{{{ item.value }}}}"}}
"""
    world = World(looping("values: [1, 2]\nconcurrencyLimit: 1", inner))
    execution_id = world.start("looping")
    assert [line for line in world.messages(execution_id) if "y" in line] == ["1y", "2y"]


FAILS = """
- {id: fail, type: io.kestra.plugin.core.execution.Fail, condition: "{{ item.value == 'b' }}"}
- {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ item.value }}"}
"""


def test_a_failed_iteration_ends_the_loop() -> None:
    world = World(looping("values: [a, b, c]\nconcurrencyLimit: 1", FAILS))
    execution_id = world.start("looping")
    states = world.states(execution_id)
    assert world.execution(execution_id).state is State.FAILED
    assert (states["loop_iteration.1"], states["loop"]) == ("FAILED", "FAILED")
    assert "loop_iteration.2" not in states


def test_a_loop_that_transmits_no_failure_goes_on_and_each_iteration_has_its_errors() -> None:
    more = """
values: [a, b, c]
transmitFailed: false
errors:
  - {id: told, type: io.kestra.plugin.core.log.Log, message: "sorry {{ item.value }}"}
"""
    world = World(looping(more, FAILS))
    execution_id = world.start("looping")
    execution = world.execution(execution_id)
    assert execution.state is State.SUCCESS
    loop = execution.runs[RunKey("loop")]
    assert loop.outputs is not None
    assert loop.outputs["terminatedIterations"] == {"SUCCESS": 2, "FAILED": 1}
    said = world.messages(execution_id)
    assert [line for line in said if line in ("a", "b", "c", "sorry b")] == ["a", "sorry b", "c"]


def test_a_break_lets_no_further_iteration_begin() -> None:
    more = "values: [a, b, c, d]\nconcurrencyLimit: 1\nbreakWhen: \"{{ item.value == 'b' }}\""
    world = World(looping(more, say("{{ item.value }}")))
    execution_id = world.start("looping")
    assert world.execution(execution_id).state is State.SUCCESS
    assert "loop_iteration.1" in world.states(execution_id)
    assert "loop_iteration.2" not in world.states(execution_id)


@pytest.mark.parametrize(
    ("more", "tasks", "message"),
    [
        ("values: 7", say("x"), "must be a list, a map or a file, but are `7`"),
        ("values: one", say("x"), "are no JSON"),
        ('values: "kestra:///gone.ion"', say("x"), "File not found: kestra:///gone.ion"),
        ("values: [a]\n" + OUTPUTS, say("x"), "Failed to render output values"),
        (
            "values: [a]\noutputs: [{id: got, type: INT, value: '{{ item.value }}'}]",
            say("x"),
            "Failed to render output values",
        ),
    ],
    ids=["number", "no json", "no file", "no output", "wrong type"],
)
def test_what_cannot_be_fails_the_loop_and_is_said(
    more: str, tasks: str, message: str, tmp_path: Path
) -> None:
    world = World(looping(more, tasks), storage=tmp_path)
    execution_id = world.start("looping")
    assert world.execution(execution_id).state is State.FAILED
    assert any(message in line for line in world.messages(execution_id))


SLEEPS = "- {id: doze, type: io.kestra.plugin.core.flow.Sleep, duration: PT10S}\n"


def test_a_loop_goes_on_after_a_stop_where_it_was() -> None:
    more = f"values: [a, b, c, d]\nconcurrencyLimit: 2\n{OUTPUTS}"
    source = looping(
        f"{more}\nbreakWhen: \"{{{{ item.value == 'c' }}}}\"", SLEEPS + give("{{ item.index }}")
    )
    world = World(store=MemoryStore([stored(source)]))
    execution_id = world.start("looping")
    world.wait(5)
    world.restart()
    world.wait(6)
    states = world.states(execution_id)
    assert [states[f"loop_iteration.{n}"] for n in range(4)] == ["SUCCESS"] * 2 + ["RUNNING"] * 2
    world.restart()
    world.wait(30)
    execution = world.execution(execution_id)
    assert execution.state is State.SUCCESS
    outputs = execution.runs[RunKey("loop")].outputs or {}
    assert [one["outputs"]["got"] for one in outputs["outputs"]] == ["0", "1", "2", "3"]


def test_a_kill_ends_all_iterations() -> None:
    world = World(looping(f"values: [a, b, c]\n{OUTPUTS}", SLEEPS + give("x")))
    execution_id = world.start("looping")
    world.executor.tell(execution_id, e.KillRequested(at=world.now))
    world.settle()
    assert world.execution(execution_id).state is State.KILLED
    states = world.states(execution_id)
    assert {state for key, state in states.items() if key != "before"} == {"KILLED"}


def test_a_restart_runs_only_the_iteration_that_failed() -> None:
    more = f"values: [a, b, c]\ntransmitFailed: true\n{OUTPUTS}"
    tasks = '- {id: work, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}\n'
    world = World(looping(more, tasks + give("{{ item.value }}")))
    world.runner(slots=3)
    execution_id = world.start("looping")
    for message in list(world.sent):
        state = "FAILED" if message["key"] == "work.1" else "SUCCESS"
        world.executor.report(report_of(message, state))
    world.settle()
    assert world.execution(execution_id).state is State.FAILED
    world.executor.tell(execution_id, e.RestartRequested(at=world.now))
    world.settle()
    assert [message["key"] for message in world.sent[3:]] == ["work.1"]
    world.executor.report(report_of(world.sent[3]))
    world.settle()
    execution = world.execution(execution_id)
    assert execution.state is State.SUCCESS
    outputs = execution.runs[RunKey("loop")].outputs or {}
    assert [one["outputs"]["got"] for one in outputs["outputs"]] == ["a", "b", "c"]
