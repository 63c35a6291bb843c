"""Going back: restart what failed, replay from a task run, or say how a task run ended.

All three open ended flowables again and leave the execution RESTARTED; the rules then run the rest.
"""

from __future__ import annotations

from dataclasses import replace

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine import tree
from penstock_runner.engine.draft import Draft, sent, started
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.index import index
from penstock_runner.engine.orders import InSequence
from penstock_runner.engine.pauses import wake
from penstock_runner.engine.plan import FINALLY, TASKS, Node
from penstock_runner.engine.state import DONE, KEPT, State, TaskRun

_AGAIN = frozenset({State.FAILED, State.PAUSED})
_OPEN_AGAIN = frozenset({State.CREATED, State.RUNNING, State.RESTARTED})


def restart(draft: Draft) -> None:
    """Run again what failed, was paused, or was cut off by a failure.

    When only a `finally` failed, the cleaning up is what runs again.
    """
    if not (draft.state.terminal or draft.state is State.PAUSED) or _between(draft):
        return
    found = [run for run in draft.runs.values() if restartable(run)]
    again = [run for run in found if not _aside(draft, run) and not _in_directory(draft, run)]
    cleanups = [run for run in found if draft.node(run).stage == FINALLY]
    if not again and not cleanups:
        return
    for run in again or cleanups:
        # What is around one may have gone with what is around another.
        if run.key in draft.runs:
            _reopen_around(draft, run)
    for run in again:
        if run.key in draft.runs:
            _again(draft, draft.runs[run.key])
    _restarted(draft)


def restartable(run: TaskRun) -> bool:
    """Whether a restart takes this task run up again."""
    return run.state in _AGAIN or (run.state.terminal and bool(run.facts.get("cut")))


def replay(draft: Draft, event: e.ReplayRequested) -> None:
    """Go on from one task run of a copy, without all that came after it.

    What still ran in the original begins anew in the copy, as nobody would report it here.
    """
    run = draft.runs.get(event.key)
    if run is None or _between(draft):
        return
    _forget_after(draft, run)
    for around in tree.ancestors(draft, run):
        _forget_after(draft, around)
    for lower in list(tree.below(draft, run, draft.node(run))):
        draft.remove(lower.key)
    _reopen_around(draft, run)
    # The task decides anew what it runs: a replay starts it from its beginning.
    fresh = replace(draft.runs[run.key], facts={}, values=None, branch=None)
    _again(draft, fresh, anew=True)
    for other in list(draft.runs.values()):
        group = "stage" in other.facts
        if other.key != run.key and not other.state.terminal and not group:
            _again(draft, other, anew=True)
    _restarted(draft)


def mark(draft: Draft, event: e.TaskRunMarked) -> None:
    """A task run ends as a person says, and what follows it runs."""
    run = draft.runs.get(event.key)
    if run is None or _between(draft):
        return
    if sent(run) or started(run):
        draft.command(c.CancelJob(key=run.key, attempt=run.attempt))
    _reopen_around(draft, run)
    if event.state in _OPEN_AGAIN:
        _again(draft, draft.runs[run.key])
    else:
        attempts = run.attempts
        if attempts:
            last = attempts[-1]
            history = (*last.history, (event.state, draft.at))
            attempts = (*attempts[:-1], replace(last, history=history))
        draft.move(draft.runs[run.key], event.state, attempts=attempts)
    _restarted(draft)


def _between(draft: Draft) -> bool:
    """Whether the execution is at its end but not through with it."""
    stage = draft.fact("stage")
    return draft.state.terminal and stage not in (None, DONE)


def _aside(draft: Draft, run: TaskRun) -> bool:
    """Whether the task run belongs to errors, finally or what runs after the end."""
    node = draft.node(run)
    nodes = [node, *draft.plan.parents(node.id)]
    return any(node.stage != TASKS for node in nodes)


def _in_directory(draft: Draft, run: TaskRun) -> bool:
    """Whether a working directory around the task run is what begins again."""
    around = None if run.parent is None else draft.runs.get(run.parent)
    return around is not None and draft.node(around).role is Role.DIRECTORY


def _again(draft: Draft, run: TaskRun, *, anew: bool = False) -> None:
    """Open one task run again: a flowable goes on, anything else starts anew.

    A pause that is opened again lets through; `anew` makes it pause again.
    """
    node = draft.node(run)
    facts = _clean(run)
    if node.role in (Role.GROUP, Role.PAUSE) and "stage" in facts:
        _forget_aside(draft, run, node)
        draft.move(run, State.RUNNING, facts={**facts, "stage": TASKS})
        return
    if node.role is Role.DIRECTORY:
        facts = {name: fact for name, fact in facts.items() if name not in ("stage", "ended")}
        for branch in node.branches:
            for child in list(tree.children(draft, run, node, branch)):
                tree.set_back(draft, child)
    going_on = node.role is Role.GROUP or (node.role is Role.PAUSE and not anew)
    state = State.RUNNING if going_on else State.RESTARTED
    draft.move(run, state, facts={**facts, "held": True})


def _clean(run: TaskRun) -> dict[str, object]:
    """What stays noted on a task run that is opened again."""
    ended = ("cut", "force", "through", "looking", "gate", "collected", "broken")
    return {name: fact for name, fact in run.facts.items() if name not in ended}


def _reopen_around(draft: Draft, run: TaskRun) -> None:
    for around in tree.ancestors(draft, run):
        if around.state is not State.RUNNING:
            facts = {**_clean(around), "stage": TASKS}
            _forget_aside(draft, around, draft.node(around))
            draft.move(around, State.RUNNING, facts=facts)


def _forget_aside(draft: Draft, run: TaskRun | None, node: Node) -> None:
    """Remove what ran in `errors`, `finally` and after the end of a flowable."""
    for branch, nodes in node.branches.items():
        if nodes and nodes[0].stage != TASKS:
            for child in list(tree.children(draft, run, node, branch)):
                tree.set_back(draft, child)


def _forget_after(draft: Draft, run: TaskRun) -> None:
    """Remove the siblings that come after a task run in its group."""
    node = draft.node(run)
    parent = None if run.parent is None else draft.runs[run.parent]
    owner = draft.plan.node(node.parent)
    for sibling in list(tree.children(draft, parent, owner, node.branch)):
        if _follows(owner, parent, run, sibling, draft.node(sibling)):
            tree.remove(draft, sibling)


def _follows(
    owner: Node, parent: TaskRun | None, run: TaskRun, sibling: TaskRun, its: Node
) -> bool:
    values = None if parent is None or parent.values is None else len(parent.values)
    ids = [node.task.id for node in owner.branches.get(its.branch, ())]
    order = owner.flowable.order(owner.task, ids, values)
    position = ids.index(run.task_id)
    if isinstance(order, InSequence):
        # Of later values, what comes before the task in the file is kept.
        return (its.position, sibling.place) > (position, run.place)
    if owner.task.depends_on:
        return run.task_id in _needed_by(owner, its.task.id)
    return its.position > position and sibling.place == run.place and values is not None


def _needed_by(dag: Node, task_id: str) -> set[str]:
    """All that a task of a dag depends on, directly or not."""
    found: set[str] = set()
    todo = [task_id]
    while todo:
        for other in dag.task.depends_on.get(todo.pop(), ()):
            if other not in found:
                found.add(other)
                todo.append(other)
    return found


def _restarted(draft: Draft) -> None:
    """Leave the execution RESTARTED, with its groups open."""
    _forget_aside(draft, None, draft.plan.root)
    kept = {name: draft.fact(name) for name in KEPT}
    facts = {"stage": TASKS, **{name: fact for name, fact in kept.items() if fact is not None}}
    number = draft.head.attempt_number + 1
    draft.update(facts=facts, outputs=None, attempt_number=number)
    draft.set_state(State.RESTARTED)
    index(draft)
    wake(draft)
