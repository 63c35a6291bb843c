"""Executions that others start: subflows, a child for each batch of a file, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.executor.harness import NOON, World

from penstock_runner.engine.state import Execution, State
from penstock_runner.executor.inbox import Remove
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.jobs.protocol import Report

EACH = """
id: each
namespace: team
tasks:
  - id: all
    type: io.kestra.plugin.core.flow.ForEachItem
    items: kestra:///file.txt
    namespace: team
    flowId: one
    inputs: {{text: "{text}", n: "{{{{ taskrun.iteration }}}}"}}
"""
ONE = """
id: one
namespace: team
inputs: [{id: text, type: STRING}, {id: n, type: INT}]
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ inputs.n }}: {{ inputs.text }}"}
outputs: [{id: said, type: STRING, value: "{{ inputs.text }}"}]
"""
PARENT = """
id: parent
namespace: team
tasks:
  - id: call
    type: io.kestra.plugin.core.flow.Subflow
    namespace: team
    flowId: child
    outputs: {{got: "{{{{ {wanted} }}}}"}}
"""
CHILD = """
id: child
namespace: team
tasks:
  - {id: make, type: io.kestra.plugin.core.debug.Return, format: made}
"""
BATCHES = ("kestra:///batch-0.txt", "kestra:///batch-1.txt")


def report(message: dict[str, Any], outputs: dict[str, Any]) -> Report:
    return Report(
        execution_id=message["execution_id"],
        key=message["key"],
        attempt=message["attempt"],
        state="SUCCESS",
        at=NOON,
        outputs=outputs,
    )


def divided(folder: Path, text: str) -> tuple[World, str]:
    """A world in which the file of the flow has just been divided into two batches."""
    world = World(EACH.format(text=text), ONE, storage=folder)
    splits = world.storage.put_bytes("kestra:///splits.txt", "\n".join(BATCHES).encode())
    execution_id = world.start("each")
    world.runner()
    world.executor.report(report(world.sent.pop(), {"splits": splits}))
    world.settle()
    return world, execution_id


def children(world: World) -> list[Execution]:
    assert isinstance(world.store, MemoryStore)
    return [found for found in world.store.executions() if found.flow_id == "one"]


def test_each_batch_of_a_file_becomes_a_child_with_inputs_of_its_own(tmp_path: Path) -> None:
    world, execution_id = divided(tmp_path, "{{ taskrun.items }}")
    assert [child.inputs for child in children(world)] == [
        {"text": BATCHES[0], "n": 1},
        {"text": BATCHES[1], "n": 2},
    ]
    items = next(run for run in world.execution(execution_id).runs.values() if run.outputs)
    assert world.states(execution_id)["all_items"] == "SUCCESS", items


def test_the_outputs_of_the_children_wait_for_the_merge(tmp_path: Path) -> None:
    world, execution_id = divided(tmp_path, "{{ taskrun.items }}")
    runs = {str(key): run for key, run in world.execution(execution_id).runs.items()}
    outputs = runs["all_items"].outputs or {}
    assert outputs["iterations"] == {"CREATED": 0, "RUNNING": 0, "SUCCESS": 2}
    kept = f"{outputs['subflowOutputsBaseUri']}/2/outputs.ion"
    assert world.storage.read_bytes(kept) == b'{"said":"kestra:///batch-1.txt"}\n'
    assert [message["task"]["id"] for message in world.sent] == ["all_merge"]


def test_inputs_of_a_batch_that_must_not_be_rendered_here_are_asked_of_a_runner(
    tmp_path: Path,
) -> None:
    world, _ = divided(tmp_path, "{{ read(taskrun.items) }}")
    assert children(world) == []
    first, second = world.sent
    assert first["variables"]["taskrun"]["items"] == BATCHES[0]
    assert second["variables"]["taskrun"]["iteration"] == 2
    world.executor.report(report(second, {"inputs": {"text": "b", "n": "2"}}))
    world.executor.report(report(first, {"inputs": {"text": "a", "n": "1"}}))
    world.settle()
    assert [(child.inputs or {})["text"] for child in children(world)] == ["b", "a"]


def test_a_restart_asks_again_for_the_inputs_of_children_that_do_not_exist(tmp_path: Path) -> None:
    world, _ = divided(tmp_path, "{{ read(taskrun.items) }}")
    first, _second = world.sent
    world.executor.report(report(first, {"inputs": {"text": "a", "n": "1"}}))
    world.settle()
    world.sent.clear()
    world.restart()
    world.runner()
    [again] = world.sent
    assert again["variables"]["taskrun"]["items"] == BATCHES[1]


def test_without_the_flow_no_child_is_made_and_the_reason_is_said_once(tmp_path: Path) -> None:
    world = World(EACH.format(text="x"), storage=tmp_path)
    splits = world.storage.put_bytes("kestra:///splits.txt", "\n".join(BATCHES).encode())
    execution_id = world.start("each")
    world.runner()
    world.executor.report(report(world.sent.pop(), {"splits": splits}))
    world.settle()
    assert world.execution(execution_id).state is State.FAILED
    assert world.messages(execution_id) == ["Unable to find flow 'team'.'one' with revision '0'"]


def test_a_parent_gets_what_it_asks_of_a_child_that_declares_no_outputs() -> None:
    world = World(PARENT.format(wanted="outputs.make.value"), CHILD)
    execution = world.execution(world.start("parent"))
    [call] = execution.runs.values()
    assert execution.state is State.SUCCESS
    assert (call.outputs or {})["outputs"] == {"got": "made"}


def test_a_parent_that_asks_for_what_is_not_there_fails_and_its_child_does_not() -> None:
    world = World(PARENT.format(wanted="outputs.other.value"), CHILD)
    execution = world.execution(world.start("parent"))
    [call] = execution.runs.values()
    assert execution.state is State.FAILED
    assert world.execution(str((call.outputs or {})["executionId"])).state is State.SUCCESS
    assert any("Failed to extract outputs" in m for m in world.messages(execution.id))


def test_a_parent_waits_no_longer_for_a_child_that_is_deleted() -> None:
    waiting = CHILD.replace("debug.Return, format: made", "flow.Pause")
    world = World(PARENT.format(wanted="1"), waiting)
    execution_id = world.start("parent")
    [call] = world.execution(execution_id).runs.values()
    child = str((call.outputs or {})["executionId"])
    world.executor.remove(Remove(execution_id=child))
    world.settle()
    assert child not in world.store.load([child])
    assert world.execution(execution_id).state in (State.FAILED, State.KILLED)


def test_a_parent_and_its_child_are_deleted_together() -> None:
    waiting = CHILD.replace("debug.Return, format: made", "flow.Pause")
    world = World(PARENT.format(wanted="1"), waiting)
    execution_id = world.start("parent")
    [call] = world.execution(execution_id).runs.values()
    child = str((call.outputs or {})["executionId"])
    for one in (execution_id, child):
        world.executor.remove(Remove(execution_id=one))
    world.settle()
    assert world.store.load([execution_id, child]) == {}


def test_the_birth_of_a_child_is_said_once() -> None:
    world = World(PARENT.format(wanted="outputs.make.value"), CHILD)
    messages = world.messages(world.start("parent"))
    assert [m for m in messages if "Created new execution" in m][1:] == []
