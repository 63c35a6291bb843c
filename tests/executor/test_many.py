"""The same action on many executions: all of them or none, in one transaction."""

from __future__ import annotations

from typing import Any

import pytest
from tests.executor.harness import World, stored

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution, State
from penstock_runner.executor.inbox import Deed, Remove
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import ManyRefused, Outcome, Refused, Start
from penstock_runner.executor.store import Batch

WAITS = """
id: waits
namespace: team
tasks:
  - {id: pause, type: io.kestra.plugin.core.flow.Pause}
  - {id: say, type: io.kestra.plugin.core.log.Log, message: on}
"""
ONE = WAITS.replace("id: waits", "id: one\nconcurrency: {limit: 1, behavior: QUEUE}")


class Counting(MemoryStore):
    """Counts what was written, and fails to write when it is told to."""

    writes = 0
    full = False

    def write(self, batch: Batch) -> None:
        if self.full:
            raise OSError("the disk is full")
        super().write(batch)
        self.writes += 1


@pytest.fixture
def world() -> World:
    return World(store=Counting([stored(WAITS), stored(ONE)]))


def resume(execution_id: str, **more: Any) -> Deed:
    def make(live: Any, at: Any) -> tuple[e.Event, ...]:
        if live.state is not State.PAUSED:
            raise Refused("not paused")
        return (e.Resumed(at=at),)

    return Deed(execution_id=execution_id, make=make, **more)


def act(world: World, *deeds: Deed, **how: bool) -> Outcome:
    outcomes: list[Outcome] = []
    world.executor.act_on_many(deeds, outcomes.append, **how)
    world.settle()
    [outcome] = outcomes
    return outcome


def states(world: World, ids: list[str]) -> set[State]:
    return {world.execution(one).state for one in ids}


def test_all_are_acted_on_in_one_transaction(world: World) -> None:
    ids = [world.start("waits") for _ in range(20)]
    assert isinstance(world.store, Counting)
    before = world.store.writes
    outcome = act(world, *map(resume, ids))
    assert outcome.error is None
    assert len(outcome.executions) == 20
    assert world.store.writes == before + 1
    assert states(world, ids) == {State.SUCCESS}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_refuses_keeps_it_from_all_wherever_it_stands(world: World, place: int) -> None:
    ids = [world.start("waits") for _ in range(2)]
    named = [*ids[:place], "nobody", *ids[place:]]
    outcome = act(world, *map(resume, named))
    assert isinstance(outcome.error, ManyRefused)
    [refusal] = outcome.error.refusals
    assert (refusal.execution_id, refusal.reason) == ("nobody", "execution not found")
    assert states(world, ids) == {State.PAUSED}


def test_a_check_changes_nothing(world: World) -> None:
    ids = [world.start("waits") for _ in range(2)]
    assert act(world, *map(resume, ids), check=True).error is None
    assert states(world, ids) == {State.PAUSED}


def test_those_that_refuse_are_left_out_when_that_is_asked(world: World) -> None:
    ids = [world.start("waits") for _ in range(3)]
    act(world, resume(ids[1]))
    outcome = act(world, *map(resume, ids), leave_out=True)
    assert len(outcome.executions) == 2
    assert [refusal.execution_id for refusal in outcome.refusals] == [ids[1]]
    assert states(world, ids) == {State.SUCCESS}


def test_a_store_that_takes_no_writes_leaves_all_as_they_were(world: World) -> None:
    ids = [world.start("waits") for _ in range(2)]
    assert isinstance(world.store, Counting)
    world.store.full = True
    outcome = act(world, *map(resume, ids))
    assert isinstance(outcome.error, OSError)
    world.store.full = False
    assert states(world, ids) == {State.PAUSED}
    assert len(act(world, *map(resume, ids)).executions) == 2


def test_many_are_deleted_together_and_their_slot_goes_on(world: World) -> None:
    first, second, third = (world.start("one") for _ in range(3))
    assert states(world, [second, third]) == {State.QUEUED}
    act(
        world,
        *(
            Deed(execution_id=one, make=lambda _l, _a: (), removes=Remove(execution_id=one))
            for one in (first, second)
        ),
    )
    assert world.store.load([first, second]) == {}
    assert world.execution(third).state is State.PAUSED


def test_many_are_done_again_together_or_not_at_all(world: World) -> None:
    ids = [world.start("waits") for _ in range(2)]

    def once_more(old: Execution) -> Start:
        known = old.flow_id if old.id == ids[0] or good else "nobody"
        return Start(namespace="team", flow_id=known, replay_of=old)

    deeds = [Deed(execution_id=x, make=lambda _l, _a: (), starts=once_more) for x in ids]
    assert isinstance(world.store, Counting)
    good = False
    assert isinstance(act(world, *deeds).error, ManyRefused)
    assert len(world.store.executions()) == 2
    good = True
    assert act(world, *deeds).error is None
    assert {one.parent_id for one in world.store.executions()} == {None, *ids}
