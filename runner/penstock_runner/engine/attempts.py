"""The attempts of a task run: started, ended, lost, tried again.

Every report names an attempt. One that is not the current attempt, or that comes when the task run
has gone on, is late or doubled, which is normal life, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import cast

from penstock_runner.engine import commands as c
from penstock_runner.engine import directories
from penstock_runner.engine import events as e
from penstock_runner.engine.cuts import give_way
from penstock_runner.engine.draft import WAITING, Draft, sent, started
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.outcomes import allowed, allows_failure
from penstock_runner.engine.plan import ROOT_ID
from penstock_runner.engine.retries import next_try
from penstock_runner.engine.state import Attempt, RunKey, State, TaskRun
from penstock_runner.engine.truth import constant
from penstock_runner.flow import durations
from penstock_runner.flow.model import Level, Retry, RetryBehavior
from penstock_runner.flow.retries import answers

LOST = "runner-lost"
STOPPED = "runner-stopped"
TIMEOUT = "timeout"
# The job enforces its time-out itself; the engine's timer only catches one that cannot.
MARGIN = timedelta(seconds=30)


def current(draft: Draft, key: RunKey, attempt: int) -> TaskRun | None:
    """The task run, if this is its attempt and it has not ended."""
    run = draft.runs.get(key)
    if run is None or run.attempt != attempt or run.attempt == 0:
        return None
    if run.state in WAITING:
        return run if sent(run) else None
    return run if run.state in (State.RUNNING, State.KILLING) and started(run) else None


def begun(draft: Draft, event: e.JobStarted) -> None:
    """An attempt has begun."""
    run = current(draft, event.key, event.attempt)
    if run is None or run.state not in WAITING:
        return
    start(draft, run)
    task = draft.node(run).task
    if task.timeout is not None and constant(task.timeout):
        try:
            at = draft.at + durations.parse(task.timeout) + MARGIN
        except durations.BadDuration:
            return
        draft.command(c.StartTimer(key=run.key, attempt=run.attempt, at=at, purpose=TIMEOUT))


def start(draft: Draft, run: TaskRun, **changes: object) -> TaskRun:
    """Move a task run whose attempt was asked for to RUNNING."""
    attempt = Attempt(number=run.attempt, history=(run.history[-1], (State.RUNNING, draft.at)))
    return draft.move(run, State.RUNNING, attempts=(*run.attempts, attempt), **changes)


def ended(draft: Draft, event: e.JobEnded) -> None:
    """An attempt has ended."""
    run = current(draft, event.key, event.attempt)
    if run is None:
        return
    if event.error is not None and draft.node(run).role not in (Role.JOB, Role.DIRECTORY):
        draft.say(run, Level.ERROR, event.error)
    conclude(
        draft,
        run,
        event.state,
        outputs=event.outputs,
        reason=event.reason,
        exit_code=event.exit_code,
        told={"log_file": event.log_file, "notes": event.notes},
    )


def lost(draft: Draft, event: e.JobLost) -> None:
    """An attempt will never report: it is started again, outside the author's retries.

    That is done once, lest a task that brings its runner down does so for ever; but as often as
    runners are stopped on purpose.
    """
    run = current(draft, event.key, event.attempt)
    if run is None or draft.node(run).role not in (Role.JOB, Role.DIRECTORY):
        return
    reason, losses = (STOPPED, run.lost) if event.planned else (LOST, run.lost + 1)
    message = f"The runner of attempt {run.attempt} was {'stopped' if event.planned else 'lost'}"
    given_up = run.state is State.KILLING or draft.orphaned(run)
    said = draft.node(run).task.on_runner_lost or draft.plan.flow.on_runner_lost
    if given_up or losses > 1 or said == "FAIL":
        draft.say(run, Level.ERROR, message)
        conclude(draft, replace(run, lost=losses), State.FAILED, reason=reason)
        return
    draft.say(run, Level.WARN, f"{message}; it is started again")
    attempts = _closed(draft, run, State.FAILED, reason)
    draft.hold(draft.move(run, State.CREATED, attempts=attempts, lost=losses))


def overdue(draft: Draft, event: e.TimerFired) -> None:
    """A job has not ended long after its time-out."""
    run = current(draft, event.key, event.attempt) if event.key is not None else None
    if run is None or run.state is not State.RUNNING:
        return
    timeout = draft.node(run).task.timeout
    shown = clock_text(durations.parse(timeout))
    draft.say(run, Level.ERROR, f"Timeout after {shown}")
    draft.command(c.CancelJob(key=run.key, attempt=run.attempt))
    conclude(draft, run, State.FAILED, reason=TIMEOUT)


def conclude(
    draft: Draft,
    run: TaskRun,
    state: State,
    *,
    outputs: Mapping[str, object] | None = None,
    reason: str | None = None,
    exit_code: int | None = None,
    told: Mapping[str, object] | None = None,
) -> None:
    """End the current attempt, and the task run unless it is tried again.

    `told` are fields of the attempt that its job has reported.
    """
    node = draft.node(run)
    attempts = _closed(draft, run, state, reason)
    if told is not None and any(told.values()):
        attempts = (*attempts[:-1], replace(attempts[-1], **told))  # type: ignore[arg-type]
    changes: dict[str, object] = {"attempts": attempts, "lost": run.lost}
    if outputs is not None:
        changes["outputs"] = outputs
    if run.state is State.KILLING:
        draft.end(run, State.KILLED, **changes)
        return
    # A failure that the author allows is only seen by the task's own retry.
    retry = node.task.retry if allows_failure(node.task, exit_code) else node.retry
    again = state is State.FAILED and retry is not None and answers(retry, reason, exit_code)
    if again and retry is not None and _tried_again(draft, run, retry, changes):
        return
    if state is State.SUCCESS and node.retry is not None and node.retry.warning_on_retry:
        state = State.WARNING if _tries(attempts) > 1 else state
    if node.role is Role.DIRECTORY and directories.goes_on(draft, run, state, changes):
        return
    draft.end(run, State.RUNNING, allowed(node.task, state, exit_code), **changes)


def close(draft: Draft, run: TaskRun, state: State) -> TaskRun:
    """End a task run whose current attempt says itself what its end is."""
    attempts = run.attempts
    if sent(run) or started(run):
        attempts = _closed(draft, run, state, None)
    states = (State.RUNNING, state) if run.state in WAITING else (state,)
    return draft.end(run, *states, attempts=attempts)


def _closed(draft: Draft, run: TaskRun, state: State, reason: str | None) -> tuple[Attempt, ...]:
    """The attempts with the current one closed; it keeps its own end."""
    if started(run):
        before, history = run.attempts[:-1], run.attempts[-1].history
    else:
        before, history = run.attempts, (run.history[-1], (State.RUNNING, draft.at))
    attempt = Attempt(number=run.attempt, history=(*history, (state, draft.at)), reason=reason)
    return (*before, attempt)


def _tries(attempts: tuple[Attempt, ...]) -> int:
    return len(attempts) - sum(attempt.reason in (LOST, STOPPED) for attempt in attempts[:-1])


def _tried_again(draft: Draft, run: TaskRun, retry: Retry, changes: Mapping[str, object]) -> bool:
    """Arrange the next try of a failed task run, if its retry allows one."""
    if draft.orphaned(run):
        return False
    group = draft.group_of(run)
    if draft.killing and (group is None or not draft.shelters(group)):
        return False
    if retry.behavior is RetryBehavior.CREATE_NEW_EXECUTION:
        return _execution_again(draft, run, retry, changes)
    attempts = cast("tuple[Attempt, ...]", changes["attempts"])
    first = attempts[0].history[0][1]
    seed = f"{draft.head.id}/{run.key}/{run.attempt}"
    at = next_try(retry, tries=_tries(attempts), ended=draft.at, first=first, seed=seed)
    if at is None:
        return False
    draft.move(run, State.RUNNING, State.FAILED, State.RETRYING, **changes)
    if draft.state is State.RUNNING:
        # The language shows the failure of a top-level task on the execution, too.
        node = draft.node(run)
        shown = node.parent == ROOT_ID and node.task.retry is not None
        draft.set_state(*((State.FAILED,) if shown else ()), State.RETRYING)
    draft.command(c.StartTimer(key=run.key, attempt=run.attempt, at=at, purpose="retry"))
    return True


def _execution_again(
    draft: Draft, run: TaskRun, retry: Retry, changes: Mapping[str, object]
) -> bool:
    if draft.state.terminal:
        return False
    first = draft.head.original_created or draft.head.history[0][1]
    seed = f"{draft.head.id}/{draft.head.attempt_number}"
    tries = draft.head.attempt_number
    at = next_try(retry, tries=tries, ended=draft.at, first=first, seed=seed)
    if at is None:
        return False
    draft.command(c.RetryExecution(at=at))
    states = (State.RUNNING, State.FAILED, State.RETRIED)
    give_way(draft, draft.end(run, *states, **changes))
    return True


def again(draft: Draft, event: e.TimerFired) -> None:
    """The delay of a retry is over."""
    run = None if event.key is None else draft.runs.get(event.key)
    if run is None or run.state is not State.RETRYING or run.attempt != event.attempt:
        return
    run = draft.move(run, State.CREATED)
    if draft.state is State.RETRYING:
        draft.set_state(State.RUNNING)
    draft.hold(run)


def clock_text(duration: timedelta) -> str:
    """The duration as `HH:mm:ss.SSS`, as logs show it."""
    millis = round(duration.total_seconds() * 1000)
    return (
        f"{millis // 3_600_000:02d}:{millis // 60_000 % 60:02d}"
        f":{millis // 1000 % 60:02d}.{millis % 1000:03d}"
    )
