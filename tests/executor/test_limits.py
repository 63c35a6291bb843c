"""A limit holds whoever starts the executions, and whatever ends them: their histories show it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.executor.harness import Act, World

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution, RunKey, State, TriggerOrigin
from penstock_runner.executor.inbox import Deed, Remove
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Start

LIMIT = 2
MANY = 7
LIMITED = """
id: limited
namespace: team
concurrency: {limit: 2, behavior: QUEUE}
tasks:
  - {id: doze, type: io.kestra.plugin.core.flow.Sleep, duration: PT10S}
  - {id: say, type: io.kestra.plugin.core.log.Log, message: awake}
"""
PARENT = """
id: parent
namespace: team
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [1, 2, 3, 4, 5, 6, 7]
    concurrencyLimit: 0
    tasks:
      - {id: call, type: io.kestra.plugin.core.flow.Subflow, namespace: team, flowId: limited}
"""


def of_flow(world: World) -> list[Execution]:
    assert isinstance(world.store, MemoryStore)
    return [one for one in world.store.executions() if one.flow_id == "limited"]


def most_at_once(executions: list[Execution]) -> int:
    """How many ran at the same moment, by what their histories say."""
    changes: list[tuple[object, int]] = []
    for one in executions:
        begun = [at for state, at in one.history if state is State.RUNNING]
        if begun:
            changes += [(begun[0], 1), (one.history[-1][1], -1)]
    running, most = 0, 0
    for _, change in sorted(changes, key=lambda pair: (pair[0], pair[1])):
        running += change
        most = max(most, running)
    return most


def ended(world: World) -> list[Execution]:
    """All executions of the flow, once each of them has ended; the limit held for all of them."""
    world.wait(10 * MANY)
    found = of_flow(world)
    assert all(one.through for one in found), [one.history for one in found]
    assert most_at_once(found) == LIMIT
    return found


def start(**more: object) -> Start:
    return Start(namespace="team", flow_id="limited", resolve=True, **more)  # type: ignore[arg-type]


def one_by_one(world: World) -> None:
    for _ in range(MANY):
        world.start("limited")


def in_one_transaction(world: World) -> None:
    world.executor.transact(starts=[start() for _ in range(MANY)])


def by_triggers(world: World) -> None:
    for number in range(MANY):
        origin = TriggerOrigin(id=f"t{number}", type="io.kestra.plugin.core.trigger.Schedule")
        world.executor.transact(starts=[start(trigger=origin, origin="trigger")])


def by_a_parent(world: World) -> None:
    world.start("parent")


def again_together(world: World) -> None:
    """Replays of an execution that is there already, asked for at once."""
    first = world.start("limited")

    def once_more(old: Execution) -> Start:
        return start(replay_of=old)

    deeds = [
        Deed(execution_id=first, make=lambda _l, _a: (), starts=once_more) for _ in range(MANY - 1)
    ]
    outcomes: list[Outcome] = []
    world.executor.act_on_many(deeds, outcomes.append)
    world.settle()
    assert outcomes[0].error is None


@pytest.mark.parametrize(
    "begin", [one_by_one, in_one_transaction, by_triggers, by_a_parent, again_together]
)
@pytest.mark.parametrize("stops", [False, True], ids=["", "stopped-on-the-way"])
def test_a_limit_holds_however_executions_are_started(
    begin: Callable[[World], None], *, stops: bool
) -> None:
    world = World(LIMITED, PARENT)
    begin(world)
    world.settle()
    if stops:
        for _ in range(3):
            world.wait(5)
            world.restart()
    found = ended(world)
    assert len(found) == MANY
    assert {one.state for one in found} == {State.SUCCESS}


def killed(world: World) -> None:
    for one in of_flow(world)[::2]:
        world.executor.tell(one.id, e.KillRequested(at=world.now))


def deleted(world: World) -> None:
    for one in of_flow(world)[::2]:
        world.executor.remove(Remove(execution_id=one.id))


def ended_otherwise(world: World) -> None:
    for one in of_flow(world)[::2]:
        world.executor.tell(one.id, e.KillRequested(at=world.now, state=State.CANCELLED))


@pytest.mark.parametrize("act", [killed, deleted, ended_otherwise])
def test_a_slot_that_is_given_back_early_is_taken_by_one(act: Act) -> None:
    world = World(LIMITED)
    in_one_transaction(world)
    world.settle()
    world.now += timedelta(seconds=1)
    act(world)
    world.settle()
    running = [one for one in of_flow(world) if one.state is State.RUNNING]
    assert len(running) == LIMIT
    ended(world)
    after = world.start("limited")
    assert world.execution(after).state is State.RUNNING


def test_a_restarted_execution_holds_a_slot_like_any_other() -> None:
    failing = LIMITED.replace("core.log.Log, message: awake", "core.execution.Fail")
    world = World(failing)
    failed = world.start("limited")
    world.wait(10)
    assert world.execution(failed).state is State.FAILED
    sleeping = world.start("limited")
    world.executor.tell(
        failed, e.TaskRunMarked(at=world.now, key=RunKey("doze"), state=State.RESTARTED)
    )
    world.settle()
    third = world.start("limited")
    states = [world.execution(one).state for one in (failed, sleeping, third)]
    assert states == [State.RUNNING, State.RUNNING, State.QUEUED]
    world.wait(10)
    assert world.execution(third).state is State.RUNNING
