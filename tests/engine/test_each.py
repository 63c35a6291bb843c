"""Loops over values."""

from __future__ import annotations

import pytest
from tests.engine.story import World, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine.flowables.api import Undecidable
from penstock_runner.engine.flowables.each import each_values
from penstock_runner.engine.state import State


def each(*tasks: object, kind: str = "ForEach", limit: int | None = None, **more: object) -> object:
    properties: dict[str, object] = {"values": ["x", "y", "z"]}
    if limit is not None:
        properties["concurrencyLimit"] = limit
    return group("each", kind, *tasks, properties=properties, **more)


def test_each_runs_value_by_value() -> None:
    world = World(flow(each(job("a"), job("b")))).start().run()
    assert list(world.states()) == ["each", "a.0", "b.0", "a.1", "b.1", "a.2", "b.2"]
    assert [world.fold.run(key).value for key in ("a.0", "b.2")] == ["x", "z"]
    assert world.state is State.SUCCESS


def test_a_limit_runs_values_side_by_side_and_the_tasks_of_a_value_in_sequence() -> None:
    world = World(flow(each(job("a"), job("b"), limit=2))).start()
    assert [command.key for command in world.asked(c.RunJob)] == ["a.0", "a.1"]
    world.run()
    order = [command.key for command in world.asked(c.RunJob)]
    assert sorted(order) == ["a.0", "a.1", "a.2", "b.0", "b.1", "b.2"]
    assert all(order.index(f"a.{i}") < order.index(f"b.{i}") for i in range(3))


def test_each_parallel_runs_all_tasks_of_all_values_at_once() -> None:
    world = World(flow(each(job("a"), job("b"), kind="EachParallel"))).start()
    assert len(world.asked(c.RunJob)) == 6


def test_nested_loops_have_keys_of_all_places() -> None:
    inner = group("inner", "ForEach", job("a"), properties={"values": '["1", "2"]'})
    world = World(flow(each(inner))).start().run()
    assert "a.2.1" in world.states()
    assert world.fold.run("a.2.1").parent == "inner.2"


def test_no_values_is_success_and_a_failure_stops_the_loop() -> None:
    empty = group("each", "ForEach", job("a"), properties={"values": "[]"})
    assert World(flow(empty)).start().run().states() == {"each": "SUCCESS"}
    failing = each(job("a"), branches={"errors": (job("e"),)})
    world = World(flow(failing), outcomes={"a": [State.SUCCESS, State.FAILED]}).start().run()
    assert world.states() == {"each": "FAILED", "a.0": "SUCCESS", "a.1": "FAILED", "e": "SUCCESS"}


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ('["a", "b", "a"]', ("a", "b")),
        ('[1, {"k": 2}, [3]]', ("1", '{"k":2}', "[3]")),
        (["a", 1, {"k": "v"}], ("a", "1", '{"k":"v"}')),
    ],
)
def test_values_are_distinct_texts(given: object, values: tuple[str, ...]) -> None:
    assert each_values(given) == values


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", None], "Found '1' null values on Each, with values=[a, null]"),
        (
            '["1", null, {"key": "k", "on": true}, null]',
            "Found '1' null values on Each, with values=[1, null, {key=k, on=true}, null]",
        ),
        ([1.5], "Unknown value element type: number"),
        ("nothing", "The values of a loop are no JSON array"),
        ('{"a": 1}', "must be a JSON array"),
    ],
)
def test_what_cannot_be_looped_over_is_said(given: object, message: str) -> None:
    with pytest.raises(Undecidable) as caught:
        each_values(given)
    assert message in str(caught.value)
