"""Replay: a copy of an execution goes on from one of its task runs."""

from __future__ import annotations

from dataclasses import replace

from penstock_runner.engine import events as e
from penstock_runner.engine import tree
from penstock_runner.engine.draft import Draft
from penstock_runner.engine.following import comes_after
from penstock_runner.engine.reopening import (
    again,
    awaits_nothing,
    directory_around,
    open_around,
    restarted,
    stage_of_work,
)
from penstock_runner.engine.state import State, TaskRun
from penstock_runner.engine.way import STOPS, clear_the_way


def replay(draft: Draft, event: e.ReplayRequested) -> None:
    """Go on from one task run of a copy, without all that came after it.

    What still ran in the original begins anew in the copy, as nobody would report it here.
    """
    run = draft.runs.get(event.key)
    if run is None:
        return
    # What a working directory runs, it runs as one job.
    run = directory_around(draft, run) or run
    _forget_after(draft, run)
    for around in tree.ancestors(draft, run):
        _forget_after(draft, around)
    for lower in list(tree.below(draft, run, draft.node(run))):
        draft.remove(lower.key)
    stage = stage_of_work(open_around(draft, run))
    if run.key in draft.runs:
        clear_the_way(draft, run, STOPS)
        # The task decides anew what it runs: a replay starts it from its beginning.
        fresh = replace(draft.runs[run.key], facts={}, values=None, branch=None)
        again(draft, fresh, anew=True)
    for other in list(draft.runs.values()):
        if other.key != run.key and not other.state.terminal:
            _begin_anew(draft, other)
    restarted(draft, stage)
    # What was going on belongs to the original, which nobody has asked to stop.
    draft.commands.clear()


def _begin_anew(draft: Draft, run: TaskRun) -> None:
    if any(around.state.terminal for around in tree.ancestors(draft, run)):
        # It was left behind, and nobody waits for it here either.
        facts = {name: fact for name, fact in awaits_nothing(run).items() if name != "held"}
        draft.move(run, State.KILLED, facts={**facts, "cut": True})
    elif "stage" in run.facts:
        draft.move(run, State.RUNNING, facts=awaits_nothing(run))
    else:
        again(draft, run, anew=True)


def _forget_after(draft: Draft, run: TaskRun) -> None:
    """Remove the siblings that come after a task run in its group."""
    node = draft.node(run)
    parent = None if run.parent is None else draft.runs[run.parent]
    owner = draft.plan.node(node.parent)
    for sibling in list(tree.children(draft, parent, owner, node.branch)):
        if comes_after(draft, sibling, run):
            tree.remove(draft, sibling)
