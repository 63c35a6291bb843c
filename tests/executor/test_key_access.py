"""Whose keys a flow may use, and which of them a purge deletes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.executor.harness import NOON, World

from penstock_runner.engine.state import State
from penstock_runner.executor.key_calls import KeyCalls
from penstock_runner.executor.store import Batch, KvWrite
from penstock_runner.tasks.api import KvEntry, TaskFailed
from penstock_runner.tasks.purging import Purge

KV = "io.kestra.plugin.core.kv"
RETURN = "io.kestra.plugin.core.debug.Return"
REFUSAL = "Cannot access the KV store. The namespace 'nowhere' does not exist."
WRITES = f"""
id: writes
namespace: team
inputs: [{{id: where, type: STRING}}]
tasks:
  - {{id: set, type: {KV}.Set, key: k, value: v, namespace: "{{{{ inputs.where }}}}"}}
  - {{id: get, type: {KV}.Get, key: k, namespace: "{{{{ inputs.where }}}}"}}
  - {{id: back, type: {RETURN}, format: "{{{{ kv('k', inputs.where) }}}}"}}
"""
READS = f"""
id: reads
namespace: team
tasks:
  - {{id: read, type: {RETURN}, format: "{{{{ kv('k', 'nowhere') }}}}"}}
"""
NEIGHBOUR = f"""
id: neighbour
namespace: other.deep
tasks:
  - {{id: say, type: {RETURN}, format: hello}}
"""


def put(world: World, namespace: str, *keys: str, hours: int | None = None) -> None:
    expires = None if hours is None else NOON + timedelta(hours=hours)
    writes = [
        KvWrite(
            namespace=namespace,
            key=key,
            entry=KvEntry(
                key=key, value=1, type="NUMBER", created=NOON, updated=NOON, expires=expires
            ),
        )
        for key in keys
    ]
    world.store.write(Batch(kv=writes))


@pytest.mark.parametrize("where", ["team", "other", "other.deep", "keys.only"])
def test_a_flow_uses_the_keys_of_any_namespace_that_is_there(where: str) -> None:
    world = World(WRITES, NEIGHBOUR)
    put(world, "keys.only", "first")
    execution = world.start("writes", inputs={"where": where})
    assert world.execution(execution).state is State.SUCCESS
    assert [entry.key for entry in world.store.kv_list(where)][-1] == "k"


def test_a_namespace_that_is_not_there_has_no_keys_to_use() -> None:
    world = World(WRITES, READS)
    for flow, inputs in (("writes", {"where": "nowhere"}), ("reads", {})):
        execution = world.start(flow, inputs=inputs)
        assert world.execution(execution).state is State.FAILED
        assert REFUSAL in "\n".join(world.messages(execution))
    assert world.store.kv_list("nowhere") == []


def test_a_job_that_asks_is_held_to_the_same_rule() -> None:
    world = World(WRITES)
    calls = KeyCalls(executor=world.executor, now=lambda: NOON)
    calls.answer("team.data", "kv.put", {"namespace": "team", "key": "k", "value": 1})
    assert calls.answer("team.data", "kv.keys", {"namespace": "team"}) == ["k"]
    with pytest.raises(TaskFailed, match="namespace 'nowhere' does not exist"):
        calls.answer("team.data", "kv.get", {"namespace": "nowhere", "key": "k"})


@pytest.mark.parametrize(
    ("purge", "left"),
    [
        pytest.param(Purge(), {"a": ["AI_x", "b"], "a.b": [], "ab": ["k"]}, id="expired"),
        pytest.param(
            Purge(expired_only=False, namespaces=("a",)),
            {"a": [], "a.b": [], "ab": ["k", "old"]},
            id="with-children",
        ),
        pytest.param(
            Purge(expired_only=False, namespaces=("a",), children=False),
            {"a": [], "a.b": ["old"], "ab": ["k", "old"]},
            id="one",
        ),
        pytest.param(
            Purge(expired_only=False, key_pattern="AI_*"),
            {"a": ["b", "old"], "a.b": ["old"], "ab": ["k", "old"]},
            id="keys",
        ),
        pytest.param(
            Purge(expired_only=False, namespace_pattern="a?"),
            {"a": ["AI_x", "b", "old"], "a.b": ["old"], "ab": []},
            id="pattern",
        ),
    ],
)
def test_a_purge_deletes_what_it_names(purge: Purge, left: dict[str, list[str]]) -> None:
    world = World()
    put(world, "a", "AI_x", "b")
    put(world, "ab", "k")
    for namespace in left:
        put(world, namespace, "old", hours=-1)
    before = sum(len(world.store.kv_list(namespace)) for namespace in left)
    calls = KeyCalls(executor=world.executor, now=lambda: NOON)
    gone = calls.answer("a", "kv.purge", {"purge": purge.to_wire()})
    after = {name: [e.key for e in world.store.kv_list(name)] for name in left}
    assert after == left
    assert gone == before - sum(map(len, left.values()))
