"""What the executor promises around the engine: slots, restarts, lost jobs, batches that fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.executor.harness import NOON, World, stored

from penstock_runner.engine import events as e
from penstock_runner.engine.state import REQUEST, RunKey, State
from penstock_runner.executor.inbox import Remove
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Refused, Start
from penstock_runner.executor.store import Batch
from penstock_runner.jobs.protocol import Report

HELLO = """
id: hello
namespace: team
inputs: [{id: name, type: STRING, defaults: world}]
tasks:
  - {id: greet, type: io.kestra.plugin.core.log.Log, message: "Hello {{ inputs.name }}"}
"""
SLOW_QUESTION = """
id: question
namespace: team
tasks:
  - id: choose
    type: io.kestra.plugin.core.flow.If
    condition: "{{ [1, 2] | jq('map(. + 1)') | first == 2 }}"
    then: [{id: yes, type: io.kestra.plugin.core.log.Log, message: yes}]
"""
LIMITED = """
id: limited
namespace: team
concurrency: {{limit: 1, behavior: {behavior}}}
tasks:
  - {{id: wait, type: io.kestra.plugin.core.flow.Sleep, duration: PT10S}}
"""
SHELL = """
id: shell
namespace: team
tasks:
  - {id: work, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}
  - {id: after, type: io.kestra.plugin.core.log.Log, message: done}
"""


def report_of(message: dict[str, Any], state: str = "SUCCESS", **more: Any) -> Report:
    return Report(
        execution_id=message["execution_id"],
        key=message["key"],
        attempt=message["attempt"],
        state=state,
        at=NOON,
        **more,
    )


def test_a_flow_of_inline_tasks_is_created_and_ended_in_one_write() -> None:
    world = World(HELLO)
    execution = world.execution(world.start("hello", inputs={"name": "Ada"}))
    assert execution.state is State.SUCCESS
    assert execution.version == 1
    assert world.messages(execution.id) == ["Hello Ada"]


def test_an_unknown_flow_is_refused_and_nothing_is_written() -> None:
    world = World(HELLO)
    with pytest.raises(Refused, match="Requested Flow is not found"):
        world.start("nobody")
    assert isinstance(world.store, MemoryStore)
    assert not world.store.executions()


def test_a_start_sent_twice_gives_the_first_execution() -> None:
    world = World(HELLO)
    first = world.start("hello", idempotency_key="k1")
    assert world.start("hello", idempotency_key="k1") == first
    assert world.start("hello", idempotency_key="k2") != first


def test_a_key_that_was_used_for_another_request_is_refused() -> None:
    world = World(HELLO)
    first = world.start("hello", idempotency_key="k1", facts={REQUEST: "a"})
    assert world.start("hello", idempotency_key="k1", facts={REQUEST: "a"}) == first
    with pytest.raises(Refused, match=f"'k1' was used to start execution {first} with another"):
        world.start("hello", idempotency_key="k1", facts={REQUEST: "b"})


def test_who_waits_for_a_start_sent_twice_waits_for_the_first_execution() -> None:
    world = World(LIMITED.format(behavior="QUEUE"))
    first = world.start("limited", idempotency_key="k")
    outcomes: list[Outcome] = []
    again = Start(namespace="team", flow_id="limited", idempotency_key="k", resolve=True)
    world.executor.start_and_wait(again, outcomes.append)
    world.settle()
    assert not outcomes
    world.wait(11)
    [ended] = outcomes[0].executions
    assert (ended.id, ended.state) == (first, State.SUCCESS)


def test_two_starts_of_one_key_in_one_batch_make_one_execution() -> None:
    world = World(HELLO)
    outcomes: list[Outcome] = []
    start = Start(namespace="team", flow_id="hello", idempotency_key="k", resolve=True)
    world.executor.transact(starts=[start], done=outcomes.append)
    world.executor.transact(starts=[start], done=outcomes.append)
    world.settle()
    ids = {outcome.executions[0].id for outcome in outcomes}
    assert len(ids) == 1


def test_who_waits_is_answered_when_the_execution_has_ended() -> None:
    world = World(LIMITED.format(behavior="QUEUE"))
    outcomes: list[Outcome] = []
    start = Start(namespace="team", flow_id="limited", resolve=True)
    world.executor.start_and_wait(start, outcomes.append)
    world.settle()
    assert not outcomes
    world.wait(11)
    assert outcomes[0].executions[0].state is State.SUCCESS


def test_an_execution_over_the_limit_waits_and_takes_the_slot_when_it_is_free() -> None:
    world = World(LIMITED.format(behavior="QUEUE"))
    first, second = world.start("limited"), world.start("limited")
    assert world.execution(second).state is State.QUEUED
    world.wait(10)
    assert world.execution(first).state is State.SUCCESS
    assert world.execution(second).state is State.RUNNING


@pytest.mark.parametrize(
    ("behavior", "state"), [("FAIL", State.FAILED), ("CANCEL", State.CANCELLED)]
)
def test_an_execution_over_the_limit_ends_at_once_if_the_flow_says_so(
    behavior: str, state: State
) -> None:
    world = World(LIMITED.format(behavior=behavior))
    world.start("limited")
    assert world.execution(world.start("limited")).state is state


def test_a_deleted_execution_gives_its_slot_back() -> None:
    world = World(LIMITED.format(behavior="QUEUE"))
    first, second = world.start("limited"), world.start("limited")
    world.executor.remove(Remove(execution_id=first))
    world.settle()
    assert world.execution(second).state is State.RUNNING


def test_a_deleted_execution_that_waited_is_gone_for_good() -> None:
    world = World(LIMITED.format(behavior="QUEUE"))
    world.start("limited")
    waiting = world.start("limited")
    outcomes: list[Outcome] = []
    world.executor.remove(Remove(execution_id=waiting, done=outcomes.append))
    world.settle()
    world.executor.remove(Remove(execution_id=waiting, done=outcomes.append))
    world.settle()
    assert outcomes[0].error is None
    assert isinstance(outcomes[1].error, Refused), "it is still held"
    world.wait(10)
    assert waiting not in world.store.load([waiting])
    assert world.execution(world.start("limited")).state is State.RUNNING


def test_the_limit_holds_through_a_restart() -> None:
    world = World(LIMITED.format(behavior="QUEUE"))
    world.start("limited")
    queued = world.start("limited")
    world.restart()
    assert world.execution(queued).state is State.QUEUED
    assert world.execution(world.start("limited")).state is State.QUEUED
    world.wait(11)
    assert world.execution(queued).state is State.RUNNING


def test_a_job_is_assigned_in_the_write_that_makes_it_and_sent_after() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    [row] = world.store.jobs()
    assert row.runner == "r1"
    assert [m["execution_id"] for m in world.sent] == [execution_id]


def test_a_job_without_a_free_slot_waits_for_one() -> None:
    world = World(SHELL)
    world.runner(slots=1)
    first, second = world.start("shell"), world.start("shell")
    assert [m["execution_id"] for m in world.sent] == [first]
    world.executor.report(report_of(world.sent[0]))
    world.settle()
    assert [m["execution_id"] for m in world.sent] == [first, second]


def test_the_end_of_a_job_lets_the_flow_go_on() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    world.executor.report(report_of(world.sent[0], outputs={"exitCode": 0}))
    world.settle()
    assert world.execution(execution_id).state is State.SUCCESS
    assert not world.store.jobs()


def test_a_report_that_comes_twice_changes_nothing() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    report = report_of(world.sent[0])
    for _ in range(2):
        world.executor.report(report)
        world.settle()
    assert world.messages(execution_id) == [
        "done",
        "Attempt 1 reported a second time; it was left aside",
    ]


def test_lines_that_come_twice_are_stored_once() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    job = (execution_id, "work", 1)
    lines = [
        [1, NOON.isoformat(), "INFO", "one", "stdout"],
        [2, NOON.isoformat(), "INFO", "two", ""],
    ]
    for _ in range(2):
        world.executor.lines(job, lines)
        world.settle()
    assert world.messages(execution_id) == ["one", "two"]


def test_the_jobs_of_a_runner_that_is_gone_are_started_again_once() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    world.executor.runner_left("r1")
    world.runner(name="r2")
    assert [m["attempt"] for m in world.sent] == [1, 2]
    world.executor.runner_left("r2")
    world.settle()
    assert world.execution(execution_id).state is State.FAILED


def test_jobs_of_a_runner_that_leaves_are_started_again_each_time() -> None:
    world = World(SHELL)
    execution_id = world.start("shell")
    for name in ("r1", "r2", "r3"):
        world.runner(name=name)
        world.executor.runner_leaving(name)
        world.executor.runner_left(name)
        world.settle()
    assert world.execution(execution_id).state is State.RUNNING
    world.runner(name="r4")
    assert [m["attempt"] for m in world.sent] == [1, 2, 3, 4]


def test_a_runner_that_leaves_gets_no_more_jobs_and_gives_back_what_it_has_not_begun() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    world.executor.runner_leaving("r1")
    later = world.start("shell")
    world.executor.returned((execution_id, "work", 1))
    world.settle()
    assert len(world.sent) == 1
    world.restart()
    world.runner(name="r2")
    assert [(m["execution_id"], m["attempt"]) for m in world.sent[1:]] == [
        (execution_id, 1),
        (later, 1),
    ]
    assert not world.execution(execution_id).runs[RunKey("work")].attempts


def test_a_question_that_is_given_back_is_asked_of_another_runner() -> None:
    world = World(SLOW_QUESTION)
    world.runner()
    execution_id = world.start("question")
    [asked] = world.sent
    world.executor.runner_leaving("r1")
    world.runner(name="r2")
    world.executor.returned((execution_id, asked["key"], asked["attempt"]))
    world.settle()
    assert [m["evaluate"]["purpose"] for m in world.sent] == ["condition"] * 2


def test_a_restart_takes_up_a_sleeping_execution_where_it_was() -> None:
    world = World(LIMITED.format(behavior="QUEUE"))
    execution_id = world.start("limited")
    world.wait(4)
    world.restart()
    world.wait(5)
    assert world.execution(execution_id).state is State.RUNNING
    world.wait(2)
    assert world.execution(execution_id).state is State.SUCCESS


def test_a_job_that_waited_for_a_runner_still_waits_after_a_restart() -> None:
    world = World(SHELL)
    execution_id = world.start("shell")
    world.restart()
    world.runner()
    assert [(m["execution_id"], m["attempt"]) for m in world.sent] == [(execution_id, 1)]


def test_a_job_that_was_under_way_is_lost_with_the_service_and_started_again() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    world.restart()
    world.runner(name="r2")
    assert [m["attempt"] for m in world.sent] == [1, 2]
    world.executor.report(report_of(world.sent[1]))
    world.settle()
    assert world.execution(execution_id).state is State.SUCCESS


class Flaky(MemoryStore):
    """A store that refuses batches with more than one execution, or all while `broken`."""

    broken = False

    def write(self, batch: Batch) -> None:
        if self.broken or len(batch.executions) > 1:
            raise OSError("no space left on device")
        super().write(batch)


def test_a_batch_that_cannot_be_written_is_taken_apart() -> None:
    store = Flaky([stored(HELLO)])
    world = World(store=store)
    outcomes: list[Outcome] = []
    for _ in range(3):
        start = Start(namespace="team", flow_id="hello", resolve=True)
        world.executor.transact(starts=[start], done=outcomes.append)
    world.settle()
    assert [outcome.error for outcome in outcomes] == [None, None, None]
    assert len(store.executions()) == 3


def test_a_start_that_cannot_be_written_is_answered_and_a_report_is_kept() -> None:
    store = Flaky([stored(SHELL)])
    world = World(store=store)
    world.runner()
    execution_id = world.start("shell")
    store.broken = True
    with pytest.raises(OSError, match="no space left"):
        world.start("shell")
    assert world.executor.trouble is not None
    world.executor.report(report_of(world.sent[0]))
    world.settle()
    store.broken = False
    world.wait(2)
    assert world.execution(execution_id).state is State.SUCCESS
    assert world.executor.trouble is None


def test_a_store_that_says_why_it_cannot_write_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full(Exception):
        status = 503

    class FullStore(MemoryStore):
        def write(self, batch: Batch) -> None:
            raise Full("the disk is full")

    world = World(store=FullStore([stored(HELLO)]))
    with pytest.raises(Full):
        world.start("hello")
    assert "the disk is full" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_write_that_refuses_undoes_its_own_transaction_only() -> None:
    world = World(HELLO)
    outcomes: list[Outcome] = []

    def refuse(_tx: object) -> None:
        raise Refused("not now", status=409)

    world.executor.transact(writes=[refuse], done=outcomes.append)
    world.executor.transact(
        starts=[Start(namespace="team", flow_id="hello", resolve=True)], done=outcomes.append
    )
    world.settle()
    assert isinstance(outcomes[0].error, Refused)
    assert outcomes[1].error is None
    assert world.executor.trouble is None


def test_a_kill_ends_what_sleeps_and_stops_what_runs() -> None:
    world = World(LIMITED.format(behavior="QUEUE"), SHELL)
    world.runner()
    asleep, working = world.start("limited"), world.start("shell")
    world.executor.started((working, "work", 1))
    world.settle()
    for execution_id in (asleep, working):
        world.executor.tell_when(execution_id, lambda _live, at: (e.KillRequested(at=at),))
    world.settle()
    assert world.execution(asleep).state is State.KILLED
    assert world.execution(working).state is State.KILLING
    assert world.sent[-1]["type"] == "cancel"
    world.executor.report(report_of(world.sent[0], "KILLED"))
    world.settle()
    assert world.execution(working).state is State.KILLED


def test_a_secret_is_masked_in_every_line_after_it_was_read() -> None:
    flow = """
id: secretive
namespace: team
tasks:
  - {id: keep, type: io.kestra.plugin.core.debug.Return, format: "{{ secret('TOKEN') }}"}
  - {id: tell, type: io.kestra.plugin.core.log.Log, message: "it is {{ outputs.keep.value }}"}
"""
    world = World(flow, secrets={"TOKEN": "hunter22"})
    execution_id = world.start("secretive")
    assert all("hunter22" not in message for message in world.messages(execution_id))
    assert "it is ******" in world.messages(execution_id)


def test_a_secret_is_masked_in_its_usual_encodings_and_beside_a_shorter_one() -> None:
    flow = """
id: encoded
namespace: team
tasks:
  - {id: short, type: io.kestra.plugin.core.log.Log, message: "{{ secret('SHORT') }}"}
  - id: tell
    type: io.kestra.plugin.core.log.Log
    message: "{{ secret('TOKEN') }} or {{ secret('TOKEN') | base64encode }}"
"""
    world = World(flow, secrets={"SHORT": "hunter", "TOKEN": "hunter22+more"})
    execution_id = world.start("encoded")
    assert world.messages(execution_id)[-1].startswith("****** or ******")
    assert all("aHVudGVy" not in message for message in world.messages(execution_id))


def test_a_template_that_is_not_pure_makes_its_task_a_job() -> None:
    flow = """
id: impure
namespace: team
variables: {found: "{{ '[1]' | jq('.[] + 1') }}"}
tasks:
  - {id: tell, type: io.kestra.plugin.core.log.Log, message: "{{ render(vars.found) }}"}
"""
    world = World(flow)
    world.runner()
    world.start("impure")
    assert [m["task"]["id"] for m in world.sent] == ["tell"]


def test_the_lines_of_each_attempt_carry_its_number() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    for attempt in (1, 2):
        job = (execution_id, "work", attempt)
        world.executor.lines(job, [[1, NOON, "INFO", f"line of {attempt}", "stdout"]])
        world.settle()
        if attempt == 1:
            world.executor.runner_left("r1")
            world.settle()
            world.runner()
    world.executor.report(report_of(world.sent[-1]))
    world.settle()
    assert isinstance(world.store, MemoryStore)
    found = [(row.attempt, row.message) for row in world.store.lines(execution_id)]
    assert found == [
        (1, "line of 1"),
        (1, "The runner of attempt 1 was lost; it is started again"),
        (2, "line of 2"),
        (1, "done"),
    ]


def test_what_a_filter_makes_of_a_secret_is_masked_too() -> None:
    flow = """
id: secretive
namespace: team
tasks:
  - {id: upper, type: io.kestra.plugin.core.log.Log, message: "{{ secret('TOKEN') | upper }}"}
  - {id: later, type: io.kestra.plugin.core.log.Log, message: "HUNTER22 and hunter22"}
"""
    world = World(flow, secrets={"TOKEN": "hunter22"})
    assert world.messages(world.start("secretive")) == ["******", "****** and ******"]


def test_a_beginning_that_is_told_with_the_end_keeps_its_moment() -> None:
    world = World(SHELL)
    world.runner()
    execution_id = world.start("shell")
    begun = world.now
    world.now += timedelta(seconds=3)
    world.executor.started((execution_id, "work", 1), begun)
    world.executor.report(report_of(world.sent[0], "SUCCESS"))
    world.settle()
    run = world.execution(execution_id).runs[RunKey("work")]
    assert [(state.value, (at - begun).total_seconds()) for state, at in run.history] == [
        ("CREATED", 0.0),
        ("RUNNING", 0.0),
        ("SUCCESS", 3.0),
    ]
