"""Checks of a flow: what they let begin, what they stop, and what they say."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.executor.harness import World

from penstock_runner.engine.state import RunKey, State
from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Refused, Start

BLOCK, FAIL, CREATE = "BLOCK_EXECUTION", "FAIL_EXECUTION", "CREATE_EXECUTION"


def check(condition: str, message: str, behavior: str = BLOCK, style: str = "ERROR") -> str:
    return (
        f'  - {{condition: "{condition}", message: {message}, behavior: {behavior}, '
        f"style: {style}}}\n"
    )


def flow(*checks: str) -> str:
    return (
        "id: build\nnamespace: team\nlabels: {env: prod}\n"
        "inputs:\n  - {id: n, type: INT, defaults: 1}\n"
        "  - {id: word, type: SECRET, required: false}\n"
        f"checks:\n{''.join(checks)}"
        "tasks:\n  - {id: say, type: io.kestra.plugin.core.log.Log, message: done}\n"
    )


def failed(source: str, **inputs: Any) -> list[str]:
    world = World(source)
    start = Start(namespace="team", flow_id="build", inputs={"n": 1, **inputs})
    return [one.message for one in world.executor.failed_checks(start)]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("{{ inputs.n > 3 }}", False),
        ("{{ inputs.n < 3 }}", True),
        ("{{ labels.env == 'prod' and flow.id == 'build' }}", True),
        ("{{ inputs.n }}", False),
        ("true", True),
        ("{{ [1] | jq('map(. == 1)') | first | first }}", True),
    ],
)
def test_a_check_holds_only_if_its_condition_is_true(condition: str, holds: bool) -> None:
    assert failed(flow(check(condition, "wrong"))) == ([] if holds else ["wrong"])


def test_a_check_that_cannot_be_told_blocks_and_says_why() -> None:
    source = flow(check("{{ inputs.nobody }}", "wrong", CREATE))
    [message] = failed(source)
    assert message.startswith("The check `{{ inputs.nobody }}` cannot be told: ")
    with pytest.raises(Refused, match="Flow execution blocked: The check"):
        World(source).start("build", origin="api")


@pytest.mark.parametrize("origin", ["api", "ui", "cli"])
def test_a_blocked_start_is_refused_with_the_message_and_nothing_is_made(origin: str) -> None:
    world = World(flow(check("{{ inputs.n > 3 }}", "n is small")))
    with pytest.raises(Refused, match="Flow execution blocked: n is small") as refused:
        world.start("build", origin=origin)
    assert refused.value.status == 422
    assert isinstance(world.store, MemoryStore)
    assert not world.store.executions()
    assert world.execution(world.start("build", inputs={"n": 4})).state is State.SUCCESS


def test_what_a_trigger_starts_is_kept_as_failed_when_a_check_blocks_it() -> None:
    world = World(flow(check("{{ inputs.n > 3 }}", "n is small")))
    execution = world.execution(world.start("build", origin="schedule"))
    assert (execution.state, dict(execution.runs)) == (State.FAILED, {})
    assert world.messages(execution.id) == ["n is small"]


def test_a_subflow_that_a_check_blocks_fails_the_task_that_asked_for_it() -> None:
    caller = (
        "id: caller\nnamespace: team\ntasks:\n  - {id: call, namespace: team, flowId: build, "
        "type: io.kestra.plugin.core.flow.Subflow}\n"
    )
    world = World(caller, flow(check("{{ inputs.n > 3 }}", "n is small")))
    execution_id = world.start("caller")
    assert world.states(execution_id) == {"call": "FAILED"}
    assert "Flow execution blocked: n is small" in world.messages(execution_id)


def test_a_check_may_fail_the_execution_before_it_begins() -> None:
    world = World(flow(check("{{ inputs.n > 3 }}", "n is small", FAIL)))
    execution = world.execution(world.start("build"))
    assert [state for state, _ in execution.history] == [State.CREATED, State.FAILED]
    assert dict(execution.runs) == {}
    assert world.messages(execution.id) == ["n is small"]


def test_a_check_may_only_say_something_in_the_log() -> None:
    world = World(flow(check("{{ inputs.n > 3 }}", "n is small", CREATE, "WARNING")))
    execution = world.execution(world.start("build"))
    assert execution.state is State.SUCCESS
    assert isinstance(world.store, MemoryStore)
    said = [(line.level, line.message) for line in world.store.lines(execution.id)]
    assert said == [("WARN", "n is small"), ("INFO", "done")]


def test_of_several_failing_checks_the_gravest_wins() -> None:
    fails = "{{ inputs.n > 3 }}"
    checks = [check(fails, "c", CREATE), check(fails, "f", FAIL), check(fails, "b")]
    with pytest.raises(Refused, match=r"blocked: b$"):
        World(flow(*checks)).start("build", origin="api")
    world = World(flow(*checks[:2]))
    execution_id = world.start("build")
    assert world.execution(execution_id).state is State.FAILED
    assert world.messages(execution_id) == ["f"]


def test_a_check_sees_a_secret_input_as_it_is_and_tells_nobody() -> None:
    key = base64.b64encode(b"k" * 32).decode()
    source = flow(check("{{ inputs.word | length > 8 }}", "too short"))
    world = World(source, cipher=Cipher(key))
    with pytest.raises(Refused, match="too short"):
        world.start("build", origin="api", inputs={"word": "short"})
    assert world.execution(world.start("build", inputs={"word": "a long secret"})).state is (
        State.SUCCESS
    )


def test_a_replay_is_not_checked_again() -> None:
    world = World(flow(check("{{ inputs.n > 3 }}", "n is small")))
    old = world.execution(world.start("build", inputs={"n": 4}))
    assert isinstance(world.store, MemoryStore)
    again = world.start("build", replay_of=old, replay_from=RunKey("say"), labels=old.labels)
    assert world.execution(again).state is State.SUCCESS


def test_one_blocked_start_of_a_transaction_keeps_all_back() -> None:
    world = World(flow(check("{{ inputs.n > 3 }}", "n is small")))
    outcomes: list[Outcome] = []
    starts = [
        Start(namespace="team", flow_id="build", resolve=True, inputs={"n": n}) for n in (4, 1)
    ]
    world.executor.transact(starts=starts, done=outcomes.append)
    world.settle()
    assert isinstance(outcomes[0].error, Refused)
    assert isinstance(world.store, MemoryStore)
    assert not world.store.executions()
