"""The head of an execution's pages: what it is, how it stands, what can be done with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock_runner.engine.state import Execution, State, TaskRun
from penstock_server.store.queries.home import ErrorLine
from penstock_server.web import ansi, rows, spans
from penstock_server.web.rows import Cause

KILLABLE = frozenset(
    {
        State.CREATED,
        State.QUEUED,
        State.RUNNING,
        State.PAUSED,
        State.RESTARTED,
        State.RETRYING,
        State.KILLING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What every tab of an execution begins with."""

    id: str
    namespace: str
    flow_id: str
    revision: int
    state: str
    seconds: float
    usual: float | None
    started: datetime
    cause: Cause
    git: Mapping[str, Any] | None
    labels: tuple[tuple[str, str], ...]
    parent_id: str | None
    original_id: str | None
    attempt: int
    can_kill: bool
    can_pause: bool
    can_resume: bool
    can_restart: bool
    can_replay: bool
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What went wrong first."""

    task: str
    told: str
    said: str
    line: int | None


def head(
    execution: Execution, git: Mapping[str, Any] | None, usual: float | None, now: datetime
) -> Head:
    """The head of an execution at a moment."""
    state = execution.state
    failed = any(run.state in {State.FAILED, State.PAUSED} for run in execution.runs.values())
    return Head(
        id=execution.id,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        revision=execution.flow_revision,
        state=state.value,
        seconds=spans.elapsed(execution.history, now),
        usual=usual,
        started=execution.history[0][1],
        cause=rows.cause(execution.trigger, execution.parent_id),
        git=git,
        labels=rows.shown_labels(execution.labels),
        parent_id=execution.parent_id,
        original_id=None if execution.original_id == execution.id else execution.original_id,
        attempt=execution.attempt_number,
        can_kill=state in KILLABLE and state is not State.KILLING,
        can_pause=state is State.RUNNING,
        can_resume=state is State.PAUSED,
        can_restart=state.terminal and failed,
        can_replay=state.terminal,
        open=not state.terminal,
    )


def first_failed(execution: Execution) -> TaskRun | None:
    """The innermost task run that failed first."""
    parents = {run.parent for run in execution.runs.values()}
    failed = [
        run
        for run in execution.runs.values()
        if run.state is State.FAILED and run.key not in parents
    ]
    return min(failed, key=lambda run: run.history[-1][1], default=None)


def why(run: TaskRun | None, lines: Sequence[ErrorLine]) -> Why | None:
    """Why an execution failed, out of its task run and its last error lines."""
    task = run.task_id if run is not None else None
    own = of_last_attempt(lines, task)
    said = "\n".join(ansi.plain(line.message) for line in own)
    first = own[0].n if own else None
    if run is None:
        return Why(task="", told="The execution failed", said=said, line=first) if own else None
    tries = len(run.attempts)
    reason = next((a.reason for a in reversed(run.attempts) if a.reason), None)
    return Why(
        task=run.task_id,
        told=f"failed on attempt {tries} of {tries}" if tries > 1 else "failed",
        said=said or reason or "",
        line=first,
    )


def of_last_attempt(lines: Sequence[ErrorLine], task: str | None = None) -> list[ErrorLine]:
    """The lines of the last attempt of a task, of the task that spoke last when none is named."""
    if task is None or not any(line.task_id == task for line in lines):
        task = lines[-1].task_id if lines else None
    own = [line for line in lines if line.task_id == task]
    return [line for line in own if line.attempt == own[-1].attempt]
