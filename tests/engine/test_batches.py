"""ForEachItem: a split, a child for each batch, a merge."""

from __future__ import annotations

from tests.engine.story import NOON, World, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import RunKey, State
from penstock_runner.flow.model import Task

ITEMS = RunKey("each_items")


def each(allow_failure: bool = False, **properties: object) -> Task:
    said = {"items": "{{ inputs.file }}", "namespace": "team", "flowId": "child", **properties}
    said["inputs"] = {"uri": "{{ taskrun.items }}"}
    return group("each", "ForEachItem", properties=said, allow_failure=allow_failure)


def world_of(*uris: str, **more: object) -> World:
    answer = {"namespace": "team", "flowId": "child", "batches": list(uris), **more}
    made = flow(each(**more), job("after"))
    return World(made, answers={"each_items:batches": answer}).start().run()


def ended(index: int, state: State) -> e.SubflowEnded:
    return e.SubflowEnded(
        at=NOON, key=ITEMS, attempt=1, execution_id=f"c{index}", state=state, index=index
    )


def begun(index: int) -> e.SubflowStarted:
    return e.SubflowStarted(at=NOON, key=ITEMS, attempt=1, execution_id=f"c{index}", index=index)


def test_one_child_is_started_for_each_batch() -> None:
    world = world_of("u0", "u1")
    first, second = world.asked(c.StartSubflow)
    assert (first.index, second.index) == (0, 1)
    assert second.request["items"] == "u1"
    assert second.request["iteration"] == 2
    assert second.request["inputs"] == {"uri": "{{ taskrun.items }}"}
    assert world.fold.run(ITEMS).outputs == {"numberOfBatches": 2, "iterations": {"CREATED": 2}}


def test_all_children_are_waited_for_and_counted() -> None:
    world = world_of("u0", "u1")
    for index in (0, 1):
        world.tell(begun(index)).tell(ended(index, State.SUCCESS)).tell(ended(0, State.FAILED))
    world.run()
    assert world.fold.run(ITEMS).outputs == {
        "numberOfBatches": 2,
        "iterations": {"CREATED": 0, "RUNNING": 0, "SUCCESS": 2},
    }
    assert list(world.states()) == ["each", "each_split", "each_items", "each_merge", "after"]
    assert world.state is State.SUCCESS


def test_a_failed_child_fails_the_items_when_all_have_ended_and_nothing_is_merged() -> None:
    world = world_of("u0", "u1", transmitFailed=True)
    world.tell(ended(0, State.FAILED))
    assert world.state is State.RUNNING
    world.tell(ended(1, State.SUCCESS)).run()
    assert "each_merge" not in world.states()
    assert world.state is State.FAILED


def test_without_waiting_the_children_only_have_to_exist() -> None:
    world = world_of("u0", "u1", wait=False).tell(begun(0)).tell(begun(1)).run()
    assert world.fold.run(ITEMS).outputs["iterations"] == {"RUNNING": 0, "SUCCESS": 2}
    assert world.state is State.SUCCESS


def test_an_empty_file_has_no_batches() -> None:
    world = world_of()
    assert world.history("each_items") == "CREATED SUCCESS"
    assert world.states()["each_merge"] == "SUCCESS"


def test_a_kill_ends_all_children() -> None:
    world = world_of("u0", "u1").tell(e.KillRequested(at=NOON))
    assert world.asked(c.KillSubflow) == [c.KillSubflow(key=ITEMS, execution_id="")]
    world.tell(ended(0, State.KILLED)).tell(ended(1, State.KILLED))
    assert world.ends() == [State.KILLED]


def test_children_that_do_not_exist_when_the_service_starts_again_are_asked_for_again() -> None:
    world = world_of("u0", "u1").tell(begun(0))
    stored = Fold(world.plan, world.fold.execution())
    [again] = [command for command in stored.pending() if isinstance(command, c.StartSubflow)]
    assert (again.index, again.request["iteration"]) == (1, 2)
    assert again.request["flowId"] == "child"


def test_the_place_of_the_children_s_outputs_is_shown() -> None:
    world = world_of("u0", subflowOutputsBaseUri="kestra:///here")
    assert (world.fold.run(ITEMS).outputs or {})["subflowOutputsBaseUri"] == "kestra:///here"


def test_a_task_id_that_holds_the_name_of_a_part_is_no_trouble() -> None:
    made = flow(
        group("my_items", "ForEachItem", properties={"items": "u", "flowId": "f"}),
    )
    asked = World(made, silent={"my_items_merge"}).start().run().asked(c.Evaluate)
    assert [command.key for command in asked] == ["my_items_items"]


def test_items_that_are_restarted_have_all_their_children_anew() -> None:
    world = world_of("u0", "u1")
    for index, state in enumerate((State.SUCCESS, State.FAILED)):
        world.tell(begun(index)).tell(ended(index, state))
    world.run()
    assert world.state is State.FAILED
    world.tell(e.RestartRequested(at=NOON)).run()
    assert [(one.attempt, one.index) for one in world.asked(c.StartSubflow)][2:] == [(2, 0), (2, 1)]
    for index in (0, 1):
        assert world.state is State.RUNNING
        child = {
            "at": NOON,
            "key": ITEMS,
            "attempt": 2,
            "index": index,
            "execution_id": f"d{index}",
        }
        world.tell(e.SubflowStarted(**child)).tell(e.SubflowEnded(**child, state=State.SUCCESS))
    world.run()
    assert world.fold.run(ITEMS).outputs["iterations"] == {"CREATED": 0, "RUNNING": 0, "SUCCESS": 2}
    assert world.state is State.SUCCESS
