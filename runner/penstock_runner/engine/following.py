"""Which task runs of a group come after another, by the order in which the group opens them."""

from __future__ import annotations

from penstock_runner.engine.draft import Draft
from penstock_runner.engine.orders import InSequence
from penstock_runner.engine.plan import Node
from penstock_runner.engine.state import TaskRun


def comes_after(draft: Draft, sibling: TaskRun, run: TaskRun) -> bool:
    """Whether one task run of a group is only opened when another has ended."""
    node, its = draft.node(run), draft.node(sibling)
    if its.branch != node.branch:
        return False
    parent = None if run.parent is None else draft.runs[run.parent]
    owner = draft.plan.node(node.parent)
    values = None if parent is None or parent.values is None else len(parent.values)
    ids = [each.task.id for each in owner.branches.get(its.branch, ())]
    order = owner.flowable.order(owner.task, ids, values)
    if isinstance(order, InSequence):
        # Of later values, what comes before the task in the file is kept.
        return (its.position, sibling.place) > (node.position, run.place)
    if owner.task.depends_on:
        return run.task_id in _needed_by(owner, its.task.id)
    return its.position > node.position and sibling.place == run.place and values is not None


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
