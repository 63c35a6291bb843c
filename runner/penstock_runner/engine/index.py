"""From an execution as stored to the open groups of a draft, in one pass over its task runs."""

from __future__ import annotations

from collections import defaultdict

from penstock_runner.engine import iterations
from penstock_runner.engine.draft import Draft
from penstock_runner.engine.ends import OUTPUTS
from penstock_runner.engine.groups import ROOT, Group
from penstock_runner.engine.plan import TASKS
from penstock_runner.engine.state import DONE, RunKey, State, TaskRun


def index(draft: Draft) -> None:
    """Rebuild groups, counts and cursors; nothing is decided here."""
    draft.groups.clear()
    draft.dirty.clear()
    draft.held.clear()
    draft.paused.clear()
    children: dict[RunKey, list[TaskRun]] = defaultdict(list)
    stage = draft.fact("stage")
    if stage not in (None, DONE):
        root = draft.open_group(None, draft.plan.root, TASKS)
        root.stage, root.waiting = str(stage), stage == OUTPUTS
    for run in sorted(draft.runs.values(), key=lambda each: each.order):
        if draft.plan.knows(run.key):
            children[run.parent or ROOT].append(run)
            _place(draft, run)
    for key, group in draft.groups.items():
        _count(draft, group, children[key])


def _place(draft: Draft, run: TaskRun) -> None:
    if run.state.terminal:
        return
    if run.state is State.PAUSED:
        draft.paused.add(run.key)
    if run.facts.get("held"):
        draft.held.add(run.key)
    if "stage" in run.facts:
        group = draft.open_group(run, draft.node(run), run.branch)
        group.stage = str(run.facts["stage"])
        group.waiting = bool(run.facts.get("looking"))


def _count(draft: Draft, group: Group, runs: list[TaskRun]) -> None:
    group.enter(group.stage)
    if group.key in draft.runs and "ended" in draft.runs[group.key].facts:
        group.tallies[TASKS] = {State(str(draft.runs[group.key].facts["ended"])): 1}
    begun: dict[int, bool] = {}
    for run in runs:
        node, over = draft.node(run), run.state.terminal
        if node.stage == group.stage:
            begun[group.slot_of(node, run.place)] = over
            group.open += not over
        if over:
            tally = group.tallies.setdefault(node.stage, {})
            tally[run.state] = tally.get(run.state, 0) + 1
        else:
            group.children[run.key] = None
    group.order.restore(begun)
    if group.key in draft.runs and draft.runs[group.key].facts.get("broken"):
        iterations.stop(group)
