"""Concurrency groups: slots that several flows share, and newer executions that take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.executor.harness import World, stored
from tests.executor.test_executor import report_of

from penstock_runner.engine import events as e
from penstock_runner.engine.state import RunKey, State
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Start
from penstock_runner.executor.store import Batch

SLEEP = "  - {id: wait, type: io.kestra.plugin.core.flow.Sleep, duration: PT10S}"
SHELL = '  - {id: work, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}'
LOG = "  - {id: say, type: io.kestra.plugin.core.log.Log, message: done}"
CALL = """
  - id: call
    type: io.kestra.plugin.core.flow.Subflow
    namespace: team
    flowId: {}
"""
QUEUED, RUNNING, SUCCESS = State.QUEUED, State.RUNNING, State.SUCCESS
KILLED, CANCELLED, FAILED = State.KILLED, State.CANCELLED, State.FAILED


def flow(name: str, concurrency: str, tasks: str = SLEEP, namespace: str = "team") -> str:
    inputs = "inputs: [{id: env, type: STRING, defaults: prod}]"
    return (
        f"id: {name}\nnamespace: {namespace}\n{inputs}\n"
        f"concurrency: {{{concurrency}}}\ntasks:\n{tasks}\n"
    )


def states(world: World, *ids: str) -> list[State]:
    return [world.execution(one).state for one in ids]


def working(world: World, name: str) -> str:
    """An execution whose job has begun."""
    execution_id = world.start(name)
    world.executor.started((execution_id, "work", 1))
    world.settle()
    return execution_id


BY_LABEL = 'group: "deploy-{{ labels.env }}"'
BY_INPUT = 'group: "deploy-{{ inputs.env }}"'


def labelled(env: str) -> Mapping[str, Any]:
    return {"labels": {"env": env}}


def test_flows_whose_groups_have_one_name_wait_for_each_other() -> None:
    world = World(flow("build", BY_LABEL), flow("ship", BY_INPUT))
    first = world.start("build", **labelled("prod"))
    second = world.start("ship")
    apart = world.start("build", **labelled("test"))
    assert states(world, first, second, apart) == [RUNNING, QUEUED, RUNNING]
    world.wait(10)
    assert states(world, first, second, apart) == [SUCCESS, RUNNING, SUCCESS]
    world.wait(10)
    assert states(world, second) == [SUCCESS]


def test_each_flow_is_held_to_its_own_limit_of_a_group() -> None:
    world = World(flow("few", "limit: 1, group: g"), flow("many", "limit: 3, group: g"))
    ids = [world.start("many"), world.start("few"), world.start("many")]
    assert states(world, *ids) == [RUNNING, QUEUED, QUEUED]
    world.wait(10)
    assert states(world, *ids) == [SUCCESS, RUNNING, RUNNING]


def test_a_group_is_one_of_its_namespace() -> None:
    world = World(flow("build", "group: g"), flow("build", "group: g", namespace="other"))
    first = world.start("build")
    outcomes: list[Outcome] = []
    start = Start(namespace="other", flow_id="build", resolve=True)
    world.executor.transact(starts=[start], done=outcomes.append)
    world.settle()
    assert states(world, first, outcomes[0].executions[0].id) == [RUNNING, RUNNING]


@pytest.mark.parametrize(("behavior", "state"), [("CANCEL", CANCELLED), ("FAIL", FAILED)])
def test_a_full_group_turns_away_whom_its_flow_does_not_let_wait(
    behavior: str, state: State
) -> None:
    world = World(flow("build", "group: g"), flow("ship", f"group: g, behavior: {behavior}"))
    world.start("build")
    assert states(world, world.start("ship")) == [state]


def test_a_newer_execution_kills_the_one_that_runs_and_takes_its_place() -> None:
    world = World(flow("build", "group: g, cancelInProgress: true"))
    first = world.start("build")
    second = world.start("build")
    assert states(world, first, second) == [KILLED, RUNNING]
    told = f"Killed: execution {second} of concurrency group 'g' is newer"
    assert told in world.messages(first)
    world.wait(10)
    assert states(world, second) == [SUCCESS]


def test_a_newer_execution_waits_until_what_it_kills_has_stopped() -> None:
    world = World(flow("build", "group: g, cancelInProgress: true", SHELL))
    world.runner()
    first = working(world, "build")
    second = world.start("build")
    third = world.start("build")
    assert states(world, first, second, third) == [State.KILLING, CANCELLED, QUEUED]
    assert f"Cancelled: execution {third} of concurrency group 'g' is newer" in world.messages(
        second
    )
    jobs = [one for one in world.sent if one["type"] == "job"]
    world.executor.report(report_of(jobs[0], "KILLED"))
    world.settle()
    assert states(world, first, third) == [KILLED, RUNNING]


def test_only_as_many_are_killed_as_are_in_the_way() -> None:
    world = World(flow("build", "limit: 2, cancelInProgress: true"))
    ids = [world.start("build") for _ in range(3)]
    assert states(world, *ids) == [KILLED, RUNNING, RUNNING]


def test_a_killed_execution_takes_its_children_along() -> None:
    child = "id: child\nnamespace: team\ntasks:\n" + SLEEP
    call = CALL.format("child")
    world = World(child, flow("build", "cancelInProgress: true", call))
    first = world.start("build")
    inner = world.execution(first).runs[RunKey("call")].child_execution
    assert inner is not None
    second = world.start("build")
    assert states(world, first, inner, second) == [KILLED, KILLED, RUNNING]


def test_a_child_kills_none_of_those_that_wait_for_it() -> None:
    call = CALL.format("inner")
    inner = flow("inner", "limit: 1, group: g, cancelInProgress: true")
    world = World(flow("outer", "group: g", call), inner)
    outer = world.start("outer")
    child = world.execution(outer).runs[RunKey("call")].child_execution
    assert child is not None
    assert states(world, outer, child) == [RUNNING, QUEUED]


def test_only_the_newest_waits_when_the_queue_says_so() -> None:
    world = World(flow("build", "group: g, queue: latest"))
    ids = [world.start("build") for _ in range(4)]
    assert states(world, *ids) == [RUNNING, CANCELLED, CANCELLED, QUEUED]
    history = [state for state, _ in world.execution(ids[1]).history]
    assert history == [State.CREATED, QUEUED, CANCELLED]
    assert f"Cancelled: execution {ids[2]} of concurrency group 'g' is newer" in world.messages(
        ids[1]
    )
    world.wait(10)
    assert states(world, ids[0], ids[3]) == [SUCCESS, RUNNING]


def test_starts_of_one_transaction_are_judged_in_their_order() -> None:
    world = World(flow("build", "group: g, queue: latest"), flow("now", "cancelInProgress: true"))
    for name, expected in (
        ("build", [RUNNING, CANCELLED, CANCELLED, QUEUED]),
        ("now", [KILLED, KILLED, KILLED, RUNNING]),
    ):
        outcomes: list[Outcome] = []
        starts = [Start(namespace="team", flow_id=name, resolve=True) for _ in range(4)]
        world.executor.transact(starts=starts, done=outcomes.append)
        world.settle()
        assert states(world, *(one.id for one in outcomes[0].executions)) == expected


def test_a_killed_waiting_execution_is_passed_over() -> None:
    world = World(flow("build", "group: g"))
    first, second, third = (world.start("build") for _ in range(3))
    world.executor.tell(second, e.KillRequested(at=world.now))
    world.settle()
    world.wait(10)
    assert states(world, first, second, third) == [SUCCESS, KILLED, RUNNING]


def test_slots_and_those_who_wait_are_the_same_after_a_restart() -> None:
    world = World(flow("build", BY_INPUT), flow("ship", BY_INPUT))
    first, second = world.start("build"), world.start("ship")
    world.restart()
    third = world.start("build")
    assert states(world, first, second, third) == [RUNNING, QUEUED, QUEUED]
    world.wait(10)
    assert states(world, first, second, third) == [SUCCESS, RUNNING, QUEUED]


def test_what_is_being_killed_holds_its_slot_also_over_a_restart() -> None:
    world = World(flow("build", "limit: 1", SHELL))
    world.runner()
    first = working(world, "build")
    world.executor.tell(first, e.KillRequested(at=world.now))
    world.settle()
    world.executor = world.make()
    second = world.start("build")
    assert states(world, first, second) == [State.KILLING, QUEUED]
    world.executor.recover()
    world.settle()
    assert states(world, first, second) == [KILLED, RUNNING]
    assert states(world, world.start("build")) == [QUEUED]


def test_a_restarted_execution_takes_a_slot_of_its_group_again() -> None:
    world = World(flow("build", BY_INPUT, SHELL), flow("ship", BY_INPUT))
    world.runner()
    first = world.start("build")
    world.executor.report(report_of(world.sent[-1], "FAILED"))
    world.settle()
    assert states(world, first) == [FAILED]
    world.executor.tell(first, e.RestartRequested(at=world.now))
    world.settle()
    second = world.start("ship")
    assert states(world, first, second) == [RUNNING, QUEUED]


def test_a_replay_takes_a_slot_of_the_group_of_its_original() -> None:
    world = World(flow("build", BY_LABEL))
    first = world.start("build", **labelled("prod"))
    world.wait(10)
    old = world.execution(first)
    again = world.start("build", replay_of=old, replay_from=RunKey("wait"), labels=old.labels)
    assert states(world, again, world.start("build", **labelled("prod"))) == [RUNNING, QUEUED]


def test_what_runs_after_the_end_still_holds_the_slot() -> None:
    after = f"{LOG}\nafterExecution:\n{SLEEP}"
    world = World(flow("build", "limit: 1", after))
    first, second = world.start("build"), world.start("build")
    assert states(world, first, second) == [SUCCESS, QUEUED]
    world.wait(10)
    assert states(world, second) == [SUCCESS]


def test_a_limit_counts_executions_of_a_revision_that_had_none() -> None:
    plain = f"id: build\nnamespace: team\ntasks:\n{SLEEP}"
    world = World(plain)
    first = world.start("build")
    assert isinstance(world.store, MemoryStore)
    world.store.put_flow(stored(flow("build", "limit: 1"), revision=2))
    world.executor.flows.forget([("team", "build")])
    second = world.start("build")
    assert states(world, first, second) == [RUNNING, QUEUED]
    world.wait(10)
    third = world.start("build")
    assert states(world, first, second, third) == [SUCCESS, RUNNING, QUEUED]
    world.wait(10)
    world.wait(10)
    assert states(world, second, third, world.start("build")) == [SUCCESS, SUCCESS, RUNNING]


def test_a_long_queue_of_short_executions_drains_at_once() -> None:
    world = World(flow("long", "group: g"), flow("short", "group: g", LOG))
    world.start("long")
    ids = [world.start("short") for _ in range(300)]
    world.wait(10)
    assert set(states(world, *ids)) == {SUCCESS}


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ("{{ labels.nothing }}", "nothing"),
        ("{{ ' ' }}", "its name must have 1 to 200 characters"),
        ("{{ secret('KEY') }}", "it shows a secret"),
        ("{{ [1] | jq('map(. + 1)') | first }}", "jq"),
    ],
)
def test_an_execution_whose_group_cannot_be_told_fails_and_says_why(group: str, told: str) -> None:
    world = World(flow("build", f'group: "{group}"'), secrets={"KEY": "hush"})
    execution_id = world.start("build")
    assert states(world, execution_id) == [FAILED]
    [message] = world.messages(execution_id)
    assert message.startswith("The concurrency group cannot be told: ")
    assert told in message
    assert "hush" not in message


class Failing(MemoryStore):
    """A store that refuses one batch."""

    refuse = False

    def write(self, batch: Batch) -> None:
        if self.refuse:
            self.refuse = False
            raise OSError("the disk is full")
        super().write(batch)


def test_a_batch_that_is_not_written_gives_back_the_slots_it_took() -> None:
    store = Failing()
    store.put_flow(stored(flow("build", "group: g, cancelInProgress: true")))
    world = World(store=store)
    first = world.start("build")
    store.refuse = True
    with pytest.raises(OSError, match="full"):
        world.start("build")
    assert states(world, first) == [RUNNING]
    second = world.start("build")
    assert states(world, first, second) == [KILLED, RUNNING]
