"""Jobs go to runners that offer what they ask for, and else wait, fail or are cancelled."""

from __future__ import annotations

import pytest
from tests.executor.harness import World

from penstock_runner.engine import events as e

ASKING = """
id: asking
namespace: team
inputs: [{id: where, type: STRING, defaults: gpu}]
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    commands: ["true"]
    %s
"""
AFTER = """
  - {id: after, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}
"""
PLAIN = """
id: plain
namespace: team
tasks: [{id: work, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}]
"""


def sent_to(world: World) -> list[list[str]]:
    """What the jobs that were handed out ask for."""
    return [list(job["required"]) for job in world.sent if job["type"] == "job"]


@pytest.mark.parametrize(
    "spelling",
    [
        "runsOn: [gpu]",
        "runs-on: gpu",
        'runsOn: "{{ inputs.where }}"',
        "workerGroup: {key: gpu}",
        "workerSelector: {tags: [gpu]}",
        "workerSelector: {tags: [gpu, tpu], match: ANY}",
    ],
)
def test_a_job_goes_to_the_runner_that_offers_its_label(spelling: str) -> None:
    world = World(ASKING % spelling)
    there: list[str] = []
    world.runner(name="plain")
    world.runner(name="gpu", labels=["gpu"])
    for seat in world.executor.dispatch.seats:
        seat.send = lambda job, name=seat.name: there.append(name)  # type: ignore[misc]
    world.start("asking")
    assert there == ["gpu"]


def test_the_flow_says_for_all_its_tasks_and_a_task_says_otherwise() -> None:
    world = World(ASKING % "runsOn: cpu\nrunsOn: gpu", PLAIN + "runsOn: gpu\n")
    world.runner(labels=["gpu", "cpu"])
    world.start("asking")
    world.start("plain")
    assert sent_to(world) == [["cpu"], ["gpu"]]


def test_a_job_that_nobody_may_take_waits_and_says_for_what() -> None:
    world = World(ASKING % "runsOn: [gpu, region=eu]")
    world.runner(name="w1", labels=["gpu"])
    started = world.start("asking")
    assert world.states(started) == {"work": "CREATED"}
    [said] = world.messages(started)
    assert said == "waiting for [gpu, region=eu]: 0 of 1 runners match; closest: w1 lacks region=eu"
    world.runner(name="w2", labels=["gpu", "region=eu"])
    assert sent_to(world) == [["gpu", "region=eu"]]


def test_a_job_waits_no_longer_than_its_queue_timeout() -> None:
    world = World(ASKING % "runsOn: gpu\n    queueTimeout: PT10M")
    world.runner()
    started = world.start("asking")
    world.wait(599)
    assert world.states(started) == {"work": "CREATED"}
    world.wait(2)
    assert world.states(started) == {"work": "FAILED"}
    assert world.execution(started).state.value == "FAILED"
    assert world.messages(started)[-1].startswith(
        "No runner took this task within PT10M: waiting for [gpu]"
    )
    run = next(iter(world.execution(started).runs.values()))
    assert run.attempts[-1].reason == "no-runner"


def test_without_a_queue_timeout_a_job_waits_for_a_day_also_over_a_restart() -> None:
    world = World(ASKING % "runsOn: gpu")
    world.runner()
    started = world.start("asking")
    world.restart()
    world.runner()
    world.wait(23 * 3600)
    assert world.states(started) == {"work": "CREATED"}
    world.wait(2 * 3600)
    assert world.states(started) == {"work": "FAILED"}


def test_a_busy_runner_is_waited_for_without_a_limit() -> None:
    world = World(ASKING % "runsOn: gpu")
    world.runner(slots=1, labels=["gpu"])
    world.start("asking")
    second = world.start("asking")
    assert world.messages(second) == []
    world.wait(48 * 3600)
    assert world.states(second) == {"work": "CREATED"}


@pytest.mark.parametrize(
    ("spelling", "state"),
    [
        ("workerGroup: {key: gpu, fallback: FAIL}", "FAILED"),
        ("workerSelector: {tags: [gpu]}", "FAILED"),
        ("workerGroup: {key: gpu, fallback: CANCEL}", "CANCELLED"),
    ],
)
def test_a_fallback_ends_a_task_that_nobody_may_take(spelling: str, state: str) -> None:
    world = World((ASKING % spelling) + AFTER)
    world.runner()
    started = world.start("asking")
    assert world.states(started)["work"] == state
    assert world.execution(started).state.value == state
    assert "0 of 1 runners match" in world.messages(started)[-1]
    assert world.sent == []


def test_a_place_that_cannot_be_understood_fails_the_task() -> None:
    world = World(ASKING % 'runsOn: "{{ inputs.where }} and more"')
    world.runner()
    started = world.start("asking")
    assert world.states(started) == {"work": "FAILED"}
    assert "is no label of a runner" in world.messages(started)[-1]


def test_many_jobs_for_a_missing_runner_hold_up_nobody_else() -> None:
    world = World(ASKING % "runsOn: gpu", PLAIN)
    world.runner(slots=1)
    first = world.start("plain")
    for _ in range(300):
        world.start("asking")
    second = world.start("plain")
    assert world.states(second) == {"work": "CREATED"}
    job = world.sent[-1]
    world.executor.returned((first, job["key"], job["attempt"]))
    world.settle()
    assert [job["execution_id"] for job in world.sent] == [first, second]


def test_an_exclusive_runner_takes_only_what_asks_for_it() -> None:
    world = World(ASKING % "runsOn: gpu", PLAIN)
    world.runner(labels=["!gpu"])
    plain = world.start("plain")
    assert world.states(plain) == {"work": "CREATED"}
    world.start("asking")
    assert sent_to(world) == [["gpu"]]


def test_a_second_kill_stops_a_job_at_once() -> None:
    world = World(PLAIN)
    world.runner()
    started = world.start("plain")
    job = world.sent[0]
    world.executor.started((started, job["key"], job["attempt"]))
    for _ in range(2):
        world.executor.tell(started, e.KillRequested(at=world.now))
        world.settle()
    assert [one["force"] for one in world.sent if one["type"] == "cancel"] == [False, True]
