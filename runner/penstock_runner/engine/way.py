"""What stands in the way of a task run that is opened again: it would end the groups around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from penstock_runner.engine import tree
from penstock_runner.engine.draft import Draft
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.following import comes_after
from penstock_runner.engine.groups import ROOT, WORK
from penstock_runner.engine.plan import TASKS
from penstock_runner.engine.reopening import again, forget
from penstock_runner.engine.state import RunKey, State, TaskRun

# The ends that keep a group from going on.
STOPS = frozenset({State.FAILED, State.KILLED})


def clear_the_way(draft: Draft, run: TaskRun, states: Collection[State]) -> None:
    """Open again what was cut off around a task run, and what ended there in one of the states.

    What comes after the task run is forgotten instead: the rules open it when its time has come.
    """
    stages, path = _stages(draft, run), _path(draft, run)
    if states and draft.node(run).role is Role.GROUP:
        stages[run.key] = TASKS
    found = [(one, _in_the_way(draft, one, stages, states)) for one in draft.runs.values()]
    for other, around in found:
        if not around or other.key == run.key or other.key not in draft.runs:
            continue
        top = around[-1]
        if top.key == run.key and not states:
            # The task run is about to end, with all that is below it.
            continue
        beside = path.get(top.parent or ROOT)
        if beside is not None and comes_after(draft, top, beside):
            forget(draft, top)
            continue
        for flowable in reversed(around[1:]):
            _back_to_its_tasks(draft, flowable)
        again(draft, other, anew=True)


def _back_to_its_tasks(draft: Draft, run: TaskRun) -> None:
    """A flowable whose errors or finally run goes on with its tasks."""
    present = draft.runs[run.key]
    if not present.state.terminal and present.facts.get("stage") != TASKS:
        again(draft, present)


def _path(draft: Draft, run: TaskRun) -> dict[RunKey, TaskRun]:
    """The task run and those around it, each by the group that it is in."""
    return {each.parent or ROOT: each for each in (run, *tree.ancestors(draft, run))}


def _stages(draft: Draft, run: TaskRun) -> dict[RunKey, str]:
    """The flowables around a task run and the flow, with the stage at which they are opened."""
    stages: dict[RunKey, str] = {}
    stage = draft.node(run).stage
    for around in tree.ancestors(draft, run):
        stages[around.key] = stage
        stage = draft.node(around).stage
    return {**stages, ROOT: stage}


def _in_the_way(
    draft: Draft, run: TaskRun, stages: Mapping[RunKey, str], states: Collection[State]
) -> Sequence[TaskRun]:
    """The task run and those around it up to a group that is opened; none if it ends no such."""
    passed: list[TaskRun] = []
    if not run.state.terminal:
        return passed
    while run.facts.get("cut") or run.state in states or _left_open(run, states):
        passed.append(run)
        stage = draft.node(run).stage
        if (around := run.parent or ROOT) in stages:
            return passed if stages[around] == stage else []
        run = draft.runs[around]
        if stage != TASKS or draft.node(run).role is Role.DIRECTORY:
            return []
    return []


def _left_open(run: TaskRun, states: Collection[State]) -> bool:
    """A flowable that has not ended, and will as what is in it did."""
    stages = WORK if states else (TASKS,)
    return not run.state.terminal and run.facts.get("stage") in stages
