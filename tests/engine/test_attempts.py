"""Attempts: retries, lost runners, late reports, time-outs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.engine.story import NOON, World, constant, flow, group, job

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.state import RunKey, State
from penstock_runner.flow.model import RetryBehavior

F, S = State.FAILED, State.SUCCESS
A = RunKey("a")


def ended(state: State, attempt: int = 1, key: RunKey = A) -> e.JobEnded:
    return e.JobEnded(at=NOON, key=key, attempt=attempt, state=state)


def test_a_job_that_ends_without_having_started_was_running() -> None:
    world = World(flow(job("a"))).start().tell(ended(S))
    assert world.history("a") == "CREATED RUNNING SUCCESS"
    [attempt] = world.fold.run(A).attempts
    assert [state.value for state, _ in attempt.history] == ["CREATED", "RUNNING", "SUCCESS"]


def test_a_failed_attempt_waits_and_then_runs_again() -> None:
    made = flow(job("a", retry=constant(30, max_attempts=2)), errors=(job("e"),))
    world = World(made).start().tell(ended(F))
    assert world.history("a") == "CREATED RUNNING FAILED RETRYING"
    assert world.history() == "CREATED RUNNING FAILED RETRYING"
    [timer] = world.asked(c.StartTimer)
    assert timer == c.StartTimer(key=A, attempt=1, at=NOON + timedelta(seconds=30), purpose="retry")
    world.outcomes = {"a": [S]}
    world.todo = [timer]
    world.run()
    assert world.history("a") == "CREATED RUNNING FAILED RETRYING CREATED RUNNING SUCCESS"
    assert world.history() == "CREATED RUNNING FAILED RETRYING RUNNING SUCCESS"
    assert [attempt.state for attempt in world.fold.run(A).attempts] == [F, S]


def test_a_retry_that_is_spent_fails_and_errors_run_once() -> None:
    made = flow(job("a", retry=constant(max_attempts=3)), job("b"), errors=(job("e"),))
    world = World(made, outcomes={"a": [F, F, F]}).start().run()
    assert world.states() == {"a": "FAILED", "e": "SUCCESS"}
    assert len(world.fold.run(A).attempts) == 3


def test_the_retry_of_a_flowable_or_of_the_flow_counts_for_its_tasks() -> None:
    inner = group("seq", "Sequential", job("a"), retry=constant(max_attempts=3))
    world = World(flow(inner), outcomes={"a": [F] * 5}).start().run()
    assert len(world.fold.run(A).attempts) == 3
    world = World(flow(job("a"), retry=constant(max_attempts=2)), outcomes={"a": [F] * 5})
    assert len(world.start().run().fold.run(A).attempts) == 2


def test_an_allowed_failure_is_not_seen_by_the_retry_of_the_flow() -> None:
    made = flow(job("a", allow_failure=True), retry=constant(max_attempts=2))
    world = World(made, outcomes={"a": [F]}).start().run()
    assert world.states() == {"a": "WARNING"}


def test_warning_on_retry_shows_that_it_took_more_than_one_try() -> None:
    made = flow(job("a", retry=constant(max_attempts=4, warning_on_retry=True)))
    assert World(made, outcomes={"a": [F, F, F, S]}).start().run().state is State.WARNING
    assert World(made).start().run().state is S


def test_a_retry_of_the_execution_ends_it_as_retried() -> None:
    again = constant(max_attempts=2, behavior=RetryBehavior.CREATE_NEW_EXECUTION)
    world = World(flow(group("s", "Sequential", job("a"), retry=again), job("b")))
    world.outcomes = {"a": [F]}
    world.start().run()
    assert world.states() == {"s": "RETRIED", "a": "RETRIED"}
    assert world.ends() == [State.RETRIED]
    assert world.asked(c.RetryExecution) == [c.RetryExecution(at=NOON + timedelta(seconds=1))]


def test_a_late_report_of_an_old_attempt_changes_nothing() -> None:
    world = World(flow(job("a", retry=constant(max_attempts=2)))).start().tell(ended(F))
    world.tell(e.TimerFired(at=NOON, key=A, attempt=1, purpose="retry"))
    before = world.fold.execution()
    for late in (
        ended(S, attempt=1),
        e.JobStarted(at=NOON, key=A, attempt=1),
        e.JobLost(at=NOON, key=A, attempt=1),
        e.TimerFired(at=NOON, key=A, attempt=1, purpose="retry"),
        ended(S, attempt=3),
        ended(S, key=RunKey("nobody")),
    ):
        assert world.fold.feed(late) == ()
    assert world.fold.execution() == before


def test_a_lost_job_is_started_again_once_outside_the_retries() -> None:
    world = World(flow(job("a", retry=constant(max_attempts=1))), silent={"a"}).start()
    world.tell(e.JobStarted(at=NOON, key=A, attempt=1))
    world.tell(e.JobLost(at=NOON, key=A, attempt=1))
    assert [command.attempt for command in world.asked(c.RunJob)] == [1, 2]
    assert world.fold.run(A).attempts[0].reason == "runner-lost"
    world.tell(e.JobLost(at=NOON, key=A, attempt=2))
    assert world.states() == {"a": "FAILED"}
    assert world.fold.run(A).attempts[1].reason == "runner-lost"


def test_a_planned_stop_of_the_runner_is_no_loss_however_often_it_comes() -> None:
    world = World(flow(job("a", retry=constant(max_attempts=1))), silent={"a"}).start()
    for attempt in (1, 2, 3):
        world.tell(e.JobStarted(at=NOON, key=A, attempt=attempt))
        world.tell(e.JobLost(at=NOON, key=A, attempt=attempt, planned=True))
    world.tell(e.JobStarted(at=NOON, key=A, attempt=4))
    world.tell(e.JobLost(at=NOON, key=A, attempt=4))
    world.tell(e.JobEnded(at=NOON, key=A, attempt=5, state=S))
    assert world.states() == {"a": "SUCCESS"}
    reasons = [attempt.reason for attempt in world.fold.run(A).attempts]
    assert reasons == ["runner-stopped"] * 3 + ["runner-lost", None]


def test_a_task_that_must_not_run_twice_fails_with_a_planned_stop_too() -> None:
    world = World(flow(job("a", on_runner_lost="FAIL")), silent={"a"}).start()
    world.tell(e.JobStarted(at=NOON, key=A, attempt=1))
    world.tell(e.JobLost(at=NOON, key=A, attempt=1, planned=True))
    assert (world.state, world.logs()) == (F, ["The runner of attempt 1 was stopped"])


def test_on_runner_lost_fail_does_not_start_it_again() -> None:
    world = World(flow(job("a", on_runner_lost="FAIL")), silent={"a"}).start()
    world.tell(e.JobLost(at=NOON, key=A, attempt=1))
    assert world.state is F


def test_a_job_that_outlives_its_time_out_by_far_is_cancelled_and_failed() -> None:
    world = World(flow(job("a", timeout="PT10S")), silent={"a"}).start()
    world.tell(e.JobStarted(at=NOON, key=A, attempt=1))
    world.run()
    assert world.logs() == ["Timeout after 00:00:10.000"]
    assert world.asked(c.CancelJob) == [c.CancelJob(key=A, attempt=1)]
    assert world.state is F


def test_a_random_delay_is_the_same_whenever_it_is_computed() -> None:
    spread = constant(0, max_attempts=2).model_copy(
        update={
            "type": "random",
            "min_interval": timedelta(seconds=1),
            "max_interval": timedelta(seconds=9),
        }
    )
    first, second = (
        World(flow(job("a", retry=spread))).start().tell(ended(F)).asked(c.StartTimer)
        for _ in range(2)
    )
    assert first == second
    assert NOON + timedelta(seconds=1) <= first[0].at < NOON + timedelta(seconds=9)


def test_the_file_of_a_log_is_noted_on_its_attempt() -> None:
    world = World(flow(job("a", retry=constant(max_attempts=2))), silent={"a"}).start()
    failed = e.JobEnded(
        at=NOON, key=RunKey("a"), attempt=1, state=State.FAILED, log_file="kestra:///1.log"
    )
    world.tell(failed).run()
    world.tell(e.JobEnded(at=NOON, key=RunKey("a"), attempt=2, state=State.SUCCESS))
    assert [one.log_file for one in world.fold.run(RunKey("a")).attempts] == [
        "kestra:///1.log",
        None,
    ]


@pytest.mark.parametrize(
    ("conditions", "reason", "exit_code", "again"),
    [
        ({}, "exit", 1, True),
        ({"when": ("timeout", "oom")}, "timeout", None, True),
        ({"when": ("timeout", "oom")}, "exit", 1, False),
        ({"exit_codes": (3, 42)}, "exit", 42, True),
        ({"exit_codes": (3, 42)}, "exit", 1, False),
        ({"when": ("timeout",), "exit_codes": (3,)}, "exit", 3, True),
    ],
)
def test_a_retry_may_name_the_failures_that_it_tries_again(
    conditions: dict[str, Any], reason: str, exit_code: int | None, again: bool
) -> None:
    retry = constant(30, max_attempts=2).model_copy(update=conditions)
    failure = e.JobEnded(at=NOON, key=A, attempt=1, state=F, reason=reason, exit_code=exit_code)
    world = World(flow(job("a", retry=retry))).start().tell(failure)
    assert (world.fold.run(A).state is State.RETRYING) is again
