"""Loops that repeat until a condition holds."""

from __future__ import annotations

from datetime import timedelta

from tests.engine.story import NOON, World, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine.state import State
from penstock_runner.flow.model import Task


def loop(*tasks: Task, **properties: object) -> Task:
    given = {"condition": "{{ x }}", "checkFrequency": {"interval": "PT2S"}, **properties}
    return group("loop", "LoopUntil", *tasks, properties=given)


def answers(*conditions: str, **frequency: object) -> dict[str, object]:
    often = {"interval": "PT2S", **frequency}
    return {"loop:condition": [{"condition": said, "checkFrequency": often} for said in conditions]}


def test_a_loop_runs_its_children_anew_until_the_condition_holds() -> None:
    world = World(flow(loop(job("a"), job("b"))), answers=answers("false", "", "true"))
    world.start().run()
    assert world.states() == {"loop": "SUCCESS", "a#3": "SUCCESS", "b#3": "SUCCESS"}
    assert world.fold.run("loop").outputs == {"iterationCount": 3}
    assert world.fold.run("a#3").iteration == 3
    assert [timer.at for timer in world.asked(c.StartTimer)] == [
        NOON + timedelta(seconds=2),
        NOON + timedelta(seconds=4),
    ]
    assert world.history() == "CREATED RUNNING SUCCESS"


def test_at_most_max_iterations_rounds_run() -> None:
    made = flow(loop(job("a"), failOnMaxReached=True))
    given = answers("false", maxIterations=3)
    given["loop:condition"][0]["failOnMaxReached"] = "true"
    world = World(made, answers=given).start().run()
    assert len(world.asked(c.RunJob)) == 3
    assert world.logs() == ["Max iterations reached"]
    assert world.state is State.FAILED


def test_a_failed_child_ends_the_loop_without_another_round() -> None:
    world = World(flow(loop(job("a"))), outcomes={"a": [State.FAILED]}).start().run()
    assert world.states() == {"loop": "FAILED", "a#1": "FAILED"}


def test_loops_in_loops_and_values_have_keys_of_all_rounds() -> None:
    inner = group("each", "ForEach", job("a"), properties={"values": ["x"]})
    outer = loop(group("again", "LoopUntil", inner, properties={"condition": "{{ y }}"}))
    said = {**answers("false", "true")}
    said["again#1:condition"] = [{"condition": "false"}, {"condition": "true"}]
    said["again#2:condition"] = [{"condition": "true"}]
    world = World(flow(outer), answers=said).start().run()
    assert world.state is State.SUCCESS
    assert list(world.states()) == ["loop", "again#2", "each#2#1", "a.0#2#1"]
    assert world.fold.removed >= {"again#1", "each#1#2", "a.0#1#2"}


def test_the_old_name_of_the_loop_gives_up_after_a_hundred_rounds_a_second_apart() -> None:
    for kind, rounds, apart in (("WaitFor", 100, 1), ("LoopUntil", 150, 60)):
        made = flow(group("loop", kind, job("a"), properties={"condition": "{{ x }}"}))
        given = ["false"] * 149 + ["true"]
        asked = [{"condition": said, "checkFrequency": {}} for said in given]
        world = World(made, answers={"loop:condition": asked}).start().run()
        assert len(world.asked(c.RunJob)) == rounds, kind
        assert world.asked(c.StartTimer)[0].at == NOON + timedelta(seconds=apart)
