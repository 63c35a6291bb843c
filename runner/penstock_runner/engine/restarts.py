"""Restart: run again what failed in an ended or paused execution."""

from __future__ import annotations

from penstock_runner.engine.draft import Draft
from penstock_runner.engine.plan import FINALLY, TASKS
from penstock_runner.engine.reopening import (
    again,
    aside,
    between,
    directory_around,
    open_around,
    restarted,
)
from penstock_runner.engine.state import State, TaskRun

_AGAIN = frozenset({State.FAILED, State.PAUSED})


def restart(draft: Draft) -> None:
    """Run again what failed, was paused, or was cut off by a failure.

    When only a `finally` failed, the cleaning up is what runs again.
    """
    if not (draft.state.terminal or draft.state is State.PAUSED) or between(draft.head):
        return
    found = [run for run in draft.runs.values() if restartable(run)]
    main = [run for run in found if not aside(draft, run)]
    chosen = [run for run in main if directory_around(draft, run) is None]
    cleanups = [run for run in found if draft.node(run).stage == FINALLY]
    if not chosen and not cleanups:
        return
    for run in chosen:
        # What is around one may have gone with what is around another.
        if run.key in draft.runs:
            open_around(draft, run)
    for run in chosen:
        if run.key in draft.runs:
            again(draft, draft.runs[run.key])
    for run in () if chosen else cleanups:
        if run.key in draft.runs:
            open_around(draft, run, TASKS)
    restarted(draft)


def restartable(run: TaskRun) -> bool:
    """Whether a restart takes this task run up again."""
    return run.state in _AGAIN or (run.state.terminal and bool(run.facts.get("cut")))
