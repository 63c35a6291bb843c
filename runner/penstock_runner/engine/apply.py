"""What each event moves, before the rules are applied."""

from __future__ import annotations

from penstock_runner.engine import (
    attempts,
    batches,
    directories,
    ends,
    gates,
    kills,
    loops,
    marks,
    pauses,
    replays,
    restarts,
    slas,
    subflows,
)
from penstock_runner.engine import events as e
from penstock_runner.engine.draft import WAITING, Draft
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.groups import ROOT
from penstock_runner.engine.plan import TASKS
from penstock_runner.engine.state import State
from penstock_runner.flow.model import Level


def apply(draft: Draft, event: e.Event) -> None:  # noqa: C901, PLR0912 - one line for each event
    """Move what the event names; what it does not fit, it does not move."""
    match event:
        case e.JobEnded():
            attempts.ended(draft, event)
        case e.JobStarted():
            attempts.begun(draft, event)
        case e.Evaluated():
            gates.answered(draft, event)
        case e.Started():
            _start(draft)
        case e.Queued():
            _queue(draft, event)
        case e.ChildrenReported():
            directories.reported(draft, event)
        case e.JobLost():
            attempts.lost(draft, event)
        case e.TimerFired():
            _timer(draft, event)
        case e.SubflowStarted() | e.SubflowEnded():
            _child(draft, event)
        case e.LabelsSet():
            draft.update(labels={**draft.head.labels, **event.labels})
        case e.VariablesSet():
            _variables(draft, event)
        case e.PauseRequested():
            pauses.request(draft)
        case e.Resumed():
            pauses.resumed(draft, event)
        case e.KillRequested():
            kills.requested(draft, event)
        case e.ExitRequested():
            kills.exit_now(draft, event)
        case e.Forced():
            _force(draft)
        case e.StatusChanged():
            if draft.state.terminal and event.state.terminal:
                draft.set_state(event.state)
        case e.RestartRequested():
            restarts.restart(draft)
        case e.ReplayRequested():
            replays.replay(draft, event)
        case e.TaskRunMarked():
            marks.mark(draft, event)


def _start(draft: Draft) -> None:
    """Begin the flow; an execution that is queued or waits for its date is RUNNING from here."""
    if draft.state not in (State.CREATED, State.QUEUED) or draft.fact("stage") is not None:
        return
    if draft.state is State.QUEUED:
        draft.set_state(State.RUNNING)
    slas.promise(draft)
    draft.note(stage=TASKS)
    draft.dirty.append(draft.open_group(None, draft.plan.root, TASKS))


def _queue(draft: Draft, event: e.Queued) -> None:
    if draft.state not in (State.CREATED, State.QUEUED) or draft.fact("stage") is not None:
        return
    if event.state is State.FAILED:
        reason = event.reason or "Flow is FAILED due to concurrency limit exceeded"
        draft.say(None, Level.ERROR, reason)
    elif event.reason:
        draft.say(None, Level.WARN, event.reason)
    if event.state.terminal:
        ends.conclude(draft, event.state)
    else:
        draft.set_state(State.QUEUED)
        slas.promise(draft)


def _child(draft: Draft, event: e.SubflowStarted | e.SubflowEnded) -> None:
    run = draft.runs.get(event.key)
    if run is not None and draft.node(run).role is Role.BATCHES:
        batches.moved(draft, event)
    elif isinstance(event, e.SubflowStarted):
        subflows.begun(draft, event)
    else:
        subflows.ended(draft, event)


def _timer(draft: Draft, event: e.TimerFired) -> None:
    match event.purpose:
        case "retry":
            attempts.again(draft, event)
        case "timeout":
            attempts.overdue(draft, event)
        case "loop":
            loops.due(draft, event)
        case promise if promise.startswith(slas.PURPOSE):
            slas.overdue(draft, event)
        case "pause":
            run = None if event.key is None else draft.runs.get(event.key)
            if run is not None and pauses.timer(draft, event, run) is State.CANCELLED:
                kills.requested(draft, e.KillRequested(at=event.at, state=State.CANCELLED))
        case _:
            pass


def _variables(draft: Draft, event: e.VariablesSet) -> None:
    merged = {**(draft.head.variables or {}), **event.variables}
    draft.update(variables={name: value for name, value in merged.items() if value is not None})


def _force(draft: Draft) -> None:
    if draft.state is State.PAUSED:
        pauses.force(draft)
    elif draft.state in WAITING:
        _start(draft)


def look_everywhere(draft: Draft) -> None:
    """Look at every open group, and at the flow first."""
    if ROOT in draft.groups:
        pauses.wake(draft)
