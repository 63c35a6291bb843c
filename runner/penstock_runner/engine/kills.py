"""Ending an execution early: by a person, a parent, a broken promise, or a task.

Waiting task runs end at once; running ones are cancelled (unless their author says that they are
not `interruptible`) and awaited, and the execution is KILLED
when all of them have ended: nobody should read KILLED while a job still writes (Kestra does not
wait for them). Nothing new opens, `errors` do not run, `finally` does; a second kill ends that,
too.
"""

from __future__ import annotations

from penstock_runner.engine import attempts, ends
from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.cuts import end_around
from penstock_runner.engine.draft import Draft, sent, started
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.groups import ROOT, Group
from penstock_runner.engine.pauses import wake
from penstock_runner.engine.plan import FINALLY
from penstock_runner.engine.state import State, TaskRun


def requested(draft: Draft, event: e.KillRequested) -> None:
    """Begin to kill; a second time, end what the first one let through."""
    root = draft.groups.get(ROOT)
    if draft.state.terminal:
        return
    cascade = event.cascade and event.state is State.KILLED
    paused = draft.state is State.PAUSED
    if draft.killing:
        draft.note(kills=2, cascade=True if cascade else None)
    else:
        draft.note(kills=1, end=event.state.value, cascade=True if cascade else None)
        draft.set_state(State.KILLING)
    if root is None:
        ends.conclude(draft, event.state)
        return
    stop(draft, root, hard=draft.fact("kills") == 2)
    draft.dirty.append(root)
    if paused:
        # A `finally` that was held up goes on.
        wake(draft)


def stop(draft: Draft, group: Group, *, hard: bool) -> None:
    """Stop all that runs in the group; what belongs to a `finally` only when `hard`."""
    for key in list(group.children):
        run = draft.runs[key]
        if not hard and _spared(draft, run):
            continue
        inner = draft.groups.get(key)
        if inner is None:
            stop_leaf(draft, run)
        else:
            draft.move(run, State.KILLING)
            stop(draft, inner, hard=hard)
            draft.dirty.append(inner)


def _spared(draft: Draft, run: TaskRun) -> bool:
    """Whether it cleans up, or is a job that has begun and that its author wants whole."""
    node = draft.node(run)
    whole = not node.task.interruptible and node.role in (Role.JOB, Role.DIRECTORY)
    return node.stage == FINALLY or (whole and started(run))


def stop_leaf(draft: Draft, run: TaskRun) -> None:
    """End a task run that waits; cancel one that runs."""
    role = draft.node(run).role
    if run.state is State.KILLING or (run.state is State.RUNNING and started(run)):
        run = draft.move(run, State.KILLING)
        if role not in (Role.SUBFLOW, Role.BATCHES):
            draft.command(c.CancelJob(key=run.key, attempt=run.attempt))
            return
        if draft.fact("cascade"):
            draft.command(c.KillSubflow(key=run.key, execution_id=run.child_execution or ""))
            return
        attempts.close(draft, run, State.KILLED)
        return
    if role in (Role.JOB, Role.DIRECTORY) and sent(run):
        draft.command(c.CancelJob(key=run.key, attempt=run.attempt))
    draft.end(run, State.KILLED)


def exit_now(draft: Draft, event: e.ExitRequested) -> None:
    """A task ends the execution in a state of its choice; what runs beside it goes on."""
    run = draft.runs.get(event.key)
    root = draft.groups.get(ROOT)
    if run is None or root is None or draft.state.terminal or draft.killing:
        return
    if run.state.terminal and run.state is not State.SUCCESS:
        return
    if event.state is State.KILLED:
        requested(draft, e.KillRequested(at=event.at, state=State.KILLED))
        return
    if run.state.terminal:
        run = draft.move(run, event.state)
    else:
        run = attempts.close(draft, run, event.state)
    _recall(draft, root)
    end_around(draft, run, event.state)
    draft.note(exit=event.state.value, end=event.state.value)
    draft.dirty.append(root)


def _recall(draft: Draft, group: Group) -> None:
    """Take back the jobs that were asked for and have not started."""
    for key in list(group.children):
        run = draft.runs[key]
        inner = draft.groups.get(key)
        if inner is not None:
            _recall(draft, inner)
        elif sent(run) and draft.node(run).role in (Role.JOB, Role.DIRECTORY):
            draft.command(c.CancelJob(key=run.key, attempt=run.attempt))
            draft.end(draft.note_run(run, cut=True), State.KILLED)
