"""Opening again what has ended: the moves that restart, replay and marking a task run share.

They open ended flowables again and leave the execution RESTARTED; the rules then run the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock_runner.engine import commands as c
from penstock_runner.engine import tree
from penstock_runner.engine.draft import Draft, sent, started
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.groups import WORK
from penstock_runner.engine.index import index
from penstock_runner.engine.pauses import wake
from penstock_runner.engine.plan import FINALLY, TASKS, Node
from penstock_runner.engine.state import DONE, KEPT, Execution, State, TaskRun

# What a flowable waits to be told at its end; when it is opened again it asks anew.
_AWAITED = frozenset({"through", "looking", "gate", "collected", "due"})
_ENDED = _AWAITED | {"cut", "force", "broken"}


def between(execution: Execution) -> bool:
    """Whether the execution is at its end but not through with it."""
    return execution.state.terminal and execution.facts.get("stage") not in (None, DONE)


def aside(draft: Draft, run: TaskRun) -> bool:
    """Whether the task run belongs to errors, finally or what runs after the end."""
    node = draft.node(run)
    return any(each.stage != TASKS for each in (node, *draft.plan.parents(node.id)))


def directory_around(draft: Draft, run: TaskRun) -> TaskRun | None:
    """The working directory whose one job runs this task, too."""
    around = None if run.parent is None else draft.runs.get(run.parent)
    is_part = around is not None and draft.node(run).stage == TASKS
    return around if is_part and around and draft.node(around).role is Role.DIRECTORY else None


def again(draft: Draft, run: TaskRun, *, anew: bool = False) -> None:
    """Open one task run again: a flowable goes on, anything else starts anew.

    A pause that is opened again lets through; `anew` makes it pause again.
    """
    node = draft.node(run)
    facts = _without(run, _ENDED)
    if sent(run):
        # What was asked for before is no answer to what is asked for now.
        facts["base"] = run.attempt
    if node.role in (Role.GROUP, Role.PAUSE) and "stage" in facts:
        _forget_after_stage(draft, run, node, TASKS)
        stage = {"stage": None, "held": True} if _found_no_branch(run, node) else {"stage": TASKS}
        draft.note_run(draft.move(run, State.RUNNING, facts=facts), **stage)
        return
    if node.role is Role.DIRECTORY:
        facts = {name: fact for name, fact in facts.items() if name not in ("stage", "ended")}
        for branch in node.branches:
            for child in list(tree.children(draft, run, node, branch)):
                forget(draft, child)
    going_on = node.role is Role.GROUP or (node.role is Role.PAUSE and not anew)
    state = State.RUNNING if going_on else State.RESTARTED
    draft.move(run, state, facts={**facts, "held": True})


def _found_no_branch(run: TaskRun, node: Node) -> bool:
    """A flowable that failed as it had no branch to choose: it chooses again."""
    if node.role is not Role.GROUP or run.branch is not None:
        return False
    return node.flowable.result(node.task, None, State.SUCCESS) is State.FAILED


def open_around(draft: Draft, run: TaskRun, stage: str | None = None) -> str:
    """Open the flowables around a task run, at the stage it belongs to; gives that of the flow."""
    stage = stage or draft.node(run).stage
    for around in tree.ancestors(draft, run):
        node = draft.node(around)
        _forget_after_stage(draft, around, node, stage)
        ended = _AWAITED if around.state is State.RUNNING else _ENDED
        facts = {**_without(around, ended), "stage": stage}
        if around.state is not State.RUNNING or facts != around.facts:
            draft.move(around, State.RUNNING, facts=facts)
        stage = node.stage
    return stage


def restarted(draft: Draft, stage: str = TASKS) -> None:
    """Leave the execution RESTARTED, with its groups open and the flow at this stage.

    While something in it is paused it stays so.
    """
    _forget_after_stage(draft, None, draft.plan.root, stage)
    kept = {name: draft.fact(name) for name in KEPT}
    facts = {name: fact for name, fact in kept.items() if fact is not None}
    number = draft.head.attempt_number + 1
    draft.update(facts={**facts, "stage": stage}, outputs=None, attempt_number=number)
    draft.set_state(State.RESTARTED)
    index(draft)
    if draft.paused:
        draft.set_state(State.PAUSED)
    else:
        wake(draft)


def cancel(draft: Draft, run: TaskRun) -> None:
    """Stop what a task run that is taken from under it has going."""
    if run.state.terminal or not (sent(run) or started(run)):
        return
    if draft.node(run).role in (Role.JOB, Role.DIRECTORY):
        draft.command(c.CancelJob(key=run.key, attempt=run.attempt))
    elif draft.node(run).role in (Role.SUBFLOW, Role.BATCHES):
        child = run.child_execution or ""
        draft.command(c.KillSubflow(key=run.key, execution_id=child))


def awaits_nothing(run: TaskRun) -> dict[str, object]:
    """The notes of a flowable without what it waits to be told."""
    return _without(run, _AWAITED)


def _without(run: TaskRun, names: Iterable[str]) -> dict[str, object]:
    return {name: fact for name, fact in run.facts.items() if name not in names}


def _forget_after_stage(draft: Draft, run: TaskRun | None, node: Node, stage: str) -> None:
    """Remove what a flowable (the flow without one) has run in the stages after this one."""
    last = WORK.index(stage)
    for branch, nodes in node.branches.items():
        if nodes and (nodes[0].stage not in WORK or WORK.index(nodes[0].stage) > last):
            for child in list(tree.children(draft, run, node, branch)):
                forget(draft, child)


def forget(draft: Draft, run: TaskRun) -> None:
    """Remove a task run and all below it, and stop what it has going."""
    for gone in [*tree.below(draft, run, draft.node(run)), run]:
        cancel(draft, gone)
    tree.set_back(draft, run)


def stage_of_work(stage: str) -> str:
    """Where the flow is opened for a stage: what runs after its end begins by ending it again."""
    return stage if stage in WORK else FINALLY
