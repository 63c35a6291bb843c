"""Leaving work behind: a group that ends early does not wait for what still runs in it."""

from __future__ import annotations

from penstock_runner.engine import ends
from penstock_runner.engine.draft import Draft, sent, started
from penstock_runner.engine.groups import ROOT, Group
from penstock_runner.engine.state import State, TaskRun


def cut(draft: Draft, group: Group) -> None:
    """Leave behind what still runs in a group that ends: jobs go on, nothing else does.

    What is cut off is marked, so that a restart takes it up again.
    """
    for key in list(group.children):
        run = draft.runs[key]
        inner = draft.groups.get(key)
        if inner is not None:
            inner.cut = True
            cut(draft, inner)
            if not inner.children:
                close_cut(draft, inner)
        elif run.state is State.RETRYING:
            draft.end(draft.note_run(run, cut=True), State.FAILED)
        elif key in draft.held or not (sent(run) or started(run)):
            draft.end(draft.note_run(run, cut=True, held=None, gate=None), State.KILLED)


def close_cut(draft: Draft, group: Group) -> None:
    """End a group that was cut off, now that nothing runs in it."""
    run = draft.note_run(draft.runs[group.key], cut=True)
    draft.end(run, State.KILLED)


def end_around(draft: Draft, run: TaskRun, state: State) -> None:
    """End all flowables around a task run in this state, cutting off the rest of them."""
    while run.parent is not None:
        run = draft.runs[run.parent]
        group = draft.groups.get(run.key)
        if group is not None:
            cut(draft, group)
            run = draft.end(draft.runs[run.key], state)


def give_way(draft: Draft, run: TaskRun) -> None:
    """End the execution as RETRIED: another one starts from the beginning in its place."""
    end_around(draft, run, State.RETRIED)
    root = draft.groups.get(ROOT)
    if root is not None:
        cut(draft, root)
    draft.set_state(State.RETRIED)
    ends.done(draft)
