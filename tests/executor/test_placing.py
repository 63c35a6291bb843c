"""Jobs go to runners that offer what they ask for, and else wait, fail or are cancelled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.executor.harness import World, stored

from penstock_runner.engine import events as e
from penstock_runner.executor.customs import Customs, NamespaceDefault
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.store import Batch
from penstock_runner.flow.defaults import Default
from penstock_runner.jobs.protocol import Report

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
@pytest.mark.parametrize("after", ["", AFTER], ids=["the last task", "with one after it"])
def test_a_fallback_ends_a_task_that_nobody_may_take(spelling: str, state: str, after: str) -> None:
    world = World((ASKING % spelling) + after)
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


def taken(world: World) -> list[tuple[str, str]]:
    """Which runner got a job of which flow, in turn."""
    flows = {}
    for job in world.sent:
        if job["type"] == "job":
            flows[job["execution_id"]] = job["flow_id"]
    return [(job["to"], flows[job["execution_id"]]) for job in world.sent if job["type"] == "job"]


def end(world: World, job: dict[str, Any]) -> None:
    """The job is done."""
    report = Report(
        execution_id=job["execution_id"],
        key=job["key"],
        attempt=job["attempt"],
        state="SUCCESS",
        at=world.now,
    )
    world.executor.report(report)
    world.settle()


def test_a_runner_of_other_namespaces_takes_nothing_and_the_reason_says_so() -> None:
    world = World(ASKING % "runsOn: gpu")
    world.runner(name="w1", labels=["gpu"], namespaces=("prod", "prod.*"))
    started = world.start("asking")
    assert world.sent == []
    [said] = world.messages(started)
    assert said.endswith("closest: w1 is for the namespaces prod, prod.*")
    world.runner(name="w2", labels=["gpu"], namespaces=("team",))
    assert taken(world) == [("w2", "asking")]


def test_only_flows_of_protected_refs_get_a_protected_runner() -> None:
    customs = Customs(protected=lambda git: (git or {}).get("ref") == "refs/heads/main")
    world = World(PLAIN, ASKING % "runsOn: gpu", customs=customs)
    assert isinstance(world.store, MemoryStore)
    world.store.put_flow(
        replace(stored(PLAIN.replace("plain", "trusted")), git={"ref": "refs/heads/main"})
    )
    world.runner(name="safe", labels=["gpu"], protected=True)
    waiting = world.start("asking")
    world.start("plain")
    world.start("trusted")
    assert taken(world) == [("safe", "trusted")]
    assert world.messages(waiting)[0].endswith("closest: safe is for flows of protected refs")


def test_what_waits_over_a_restart_is_still_kept_from_runners_of_others() -> None:
    world = World(PLAIN)
    world.runner(slots=1)
    first = world.start("plain")
    waiting = world.start("plain")
    world.sent.clear()
    world.restart()
    world.runner(name="other", namespaces=("prod",))
    assert world.sent == []
    world.runner(name="ours", namespaces=("te*",))
    assert {job["execution_id"] for job in world.sent} == {first, waiting}
    assert {job["to"] for job in world.sent} == {"ours"}


@pytest.mark.parametrize(
    ("task", "flow", "expected"),
    [
        ("runsOn: own", "runsOn: flow", ["own"]),
        ("", "runsOn: flow", ["flow"]),
        ("", "", ["of-type"]),
    ],
)
def test_labels_are_taken_from_the_nearest_level_that_says_any(
    task: str, flow: str, expected: list[str]
) -> None:
    script = "io.kestra.plugin.scripts"
    customs = Customs(
        defaults=[Default(type=script, values={"runsOn": ["of-type"]})],
        namespace=lambda _name: NamespaceDefault(runs_on=("of-namespace",)),
    )
    world = World((ASKING % task) + flow + "\n", customs=customs)
    world.runner(labels=["own", "flow", "of-type", "of-namespace"])
    world.start("asking")
    assert sent_to(world) == [expected]


def test_the_namespace_speaks_last() -> None:
    customs = Customs(
        namespace=lambda name: NamespaceDefault(runs_on=("gpu",) if name == "team" else None)
    )
    world = World(PLAIN, customs=customs)
    world.runner(labels=["gpu"])
    world.start("plain")
    assert sent_to(world) == [["gpu"]]


def test_a_job_goes_first_to_the_runner_that_suits_it_best_and_after_two_seconds_to_any() -> None:
    world = World(PLAIN)
    world.runner(name="gpu", labels=["gpu"], slots=4)
    world.runner(name="plain", slots=1)
    for _ in range(3):
        world.start("plain")
    assert taken(world) == [("plain", "plain")]
    world.wait(1.9)
    assert len(world.sent) == 1
    world.wait(0.2)
    assert [runner for runner, _ in taken(world)] == ["plain", "gpu", "gpu"]


def test_a_slot_that_becomes_free_goes_to_who_waits_and_not_to_what_comes_after() -> None:
    """A long sequence must not keep its slot while others wait for one."""
    steps = "\n".join(
        f"  - {{id: s{n}, type: io.kestra.plugin.scripts.shell.Commands, commands: ['true']}}"
        for n in range(5)
    )
    world = World(PLAIN, f"id: long\nnamespace: team\ntasks:\n{steps}\n")
    world.runner(slots=1)
    world.start("long")
    world.start("plain")
    end(world, world.sent[-1])
    assert [flow for _, flow in taken(world)] == ["long", "plain"]
    end(world, world.sent[-1])
    assert [flow for _, flow in taken(world)] == ["long", "plain", "long"]


def test_the_flow_with_the_higher_priority_goes_first_and_the_older_of_two_equals() -> None:
    world = World(
        PLAIN,
        PLAIN.replace("plain", "urgent") + "priority: 3\n",
        PLAIN.replace("plain", "later") + "priority: -1\n",
    )
    world.runner(slots=1)
    world.start("plain")
    for name in ("later", "plain", "urgent", "urgent", "plain"):
        world.start(name)
    for _ in range(5):
        end(world, world.sent[-1])
    order = [flow for _, flow in taken(world)]
    assert order == ["plain", "urgent", "urgent", "plain", "plain", "later"]


def test_who_waits_for_long_is_not_passed_by_what_is_more_urgent_for_ever() -> None:
    world = World(PLAIN, PLAIN.replace("plain", "urgent") + "priority: 3\n")
    world.runner(slots=1)
    world.start("urgent")
    world.start("plain")
    for _ in range(5):
        world.start("urgent")
        world.wait(60)
        end(world, world.sent[-1])
    assert [flow for _, flow in taken(world)].index("plain") == 4


def test_one_pass_hands_out_many_jobs_of_many_lines() -> None:
    world = World(ASKING % 'runsOn: "{{ inputs.where }}"')
    for n in range(40):
        world.start("asking", inputs={"where": f"l{n % 20}"})
    world.runner(slots=100, labels=[f"l{n}" for n in range(20)])
    assert len(sent_to(world)) == 40


def test_a_batch_that_is_not_written_leaves_nothing_assigned() -> None:
    class Refusing(MemoryStore):
        refuse = False

        def write(self, batch: Batch) -> None:
            if self.refuse and batch.jobs:
                raise RuntimeError("no room")
            super().write(batch)

    store = Refusing()
    store.put_flow(stored(PLAIN))
    world = World(store=store)
    world.runner(slots=1)
    world.start("plain")
    store.refuse = True
    with pytest.raises(RuntimeError):
        world.start("plain")
    assert world.executor.dispatch.waiting == 0
    store.refuse = False
    second = world.start("plain")
    end(world, world.sent[0])
    assert world.sent[-1]["execution_id"] == second


def test_a_kill_while_a_task_waits_for_its_retry_ends_it_killed() -> None:
    world = World(ASKING % "retry: {type: constant, interval: PT1H, maxAttempts: 2}")
    world.runner()
    started = world.start("asking")
    job = world.sent[0]
    failed = Report(
        execution_id=started, key=job["key"], attempt=1, state="FAILED", at=world.now, reason="exit"
    )
    world.executor.report(failed)
    world.settle()
    assert world.states(started) == {"work": "RETRYING"}
    world.executor.tell(started, e.KillRequested(at=world.now))
    world.settle()
    assert world.states(started) == {"work": "KILLED"}
    assert world.execution(started).state.value == "KILLED"
    world.wait(2 * 3600)
    assert [one["type"] for one in world.sent] == ["job"]


@pytest.mark.parametrize(
    ("flow", "namespace", "state"),
    [
        ("", None, "CREATED"),
        ("onRunnerLost: FAIL", None, "FAILED"),
        ("", "FAIL", "FAILED"),
        ("onRunnerLost: RETRY", "FAIL", "CREATED"),
    ],
)
def test_the_nearest_level_says_what_becomes_of_a_task_whose_runner_is_lost(
    flow: str, namespace: Any, state: str
) -> None:
    customs = Customs(namespace=lambda _name: NamespaceDefault(on_runner_lost=namespace))
    world = World((ASKING % "") + flow + "\n", customs=customs)
    world.runner(name="r1")
    started = world.start("asking")
    world.executor.runner_left("r1")
    world.settle()
    assert world.states(started) == {"work": state}


def test_a_job_whose_runner_goes_away_while_it_waits_is_told_once_and_waits_for_a_day() -> None:
    world = World(ASKING % "runsOn: gpu")
    world.runner(name="gpu", slots=1, labels=["gpu"])
    world.start("asking")
    waiting = world.start("asking")
    world.runner(name="cpu")

    def look() -> None:
        world.executor.look_at_waiting()
        world.settle()

    look()
    assert world.messages(waiting) == []
    world.executor.runner_left("gpu")
    look()
    assert world.messages(waiting) == []
    for _ in range(3):
        look()
    [said] = world.messages(waiting)
    assert said == "waiting for [gpu]: 0 of 1 runners match; closest: cpu lacks gpu"
    world.wait(25 * 3600)
    assert world.states(waiting) == {"work": "FAILED"}


def test_a_runner_that_comes_back_strands_nobody() -> None:
    world = World(ASKING % "runsOn: gpu")
    world.runner(slots=1, labels=["gpu"])
    world.start("asking")
    waiting = world.start("asking")
    for _ in range(3):
        world.executor.runner_left("r1")
        world.executor.look_at_waiting()
        world.runner(slots=1, labels=["gpu"])
        world.executor.look_at_waiting()
        world.settle()
    assert not any("waiting for" in line for line in world.messages(waiting))
