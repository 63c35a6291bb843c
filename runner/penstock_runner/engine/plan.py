"""The plan: a flow compiled once per revision into an index, so that nobody searches.

The flow itself is the root of the tree, a sequence under the empty id, so that `errors`, `finally`
and the retry of a flow need no rules of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from penstock_runner.engine.flowables.api import Flowable, Role
from penstock_runner.engine.flowables.table import (
    FOR_EACH_ITEM,
    ITEMS,
    ITERATION_KIND,
    LOOP_KIND,
    MERGE,
    PREFIX,
    SPLIT,
    flowable,
)
from penstock_runner.flow.model import Flow, Retry, Task

ROOT_ID = ""
TASKS, ERRORS, FINALLY, AFTER, LISTENERS = (
    "tasks",
    "errors",
    "finally",
    "afterExecution",
    "listeners",
)
_STAGES = frozenset({ERRORS, FINALLY, AFTER})


class UnknownTask(KeyError):
    """A task id that the flow does not have."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """One task in its place: its parent, its branch, its position among the enabled ones there.

    `stage` is the part of the parent's life that the branch belongs to: `tasks`, `errors`,
    `finally`, ... `retry` is the one that counts: the task's own, else the nearest ancestor's,
    else the flow's.
    """

    task: Task
    flowable: Flowable
    parent: str
    branch: str
    stage: str
    position: int
    retry: Retry | None
    branches: dict[str, tuple[Node, ...]] = field(default_factory=dict)

    @property
    def role(self) -> Role:
        """How the engine carries the task out."""
        return self.flowable.role


class Plan:
    """A flow with its index; immutable once made."""

    def __init__(self, flow: Flow, root: Node, nodes: Mapping[str, Node]) -> None:
        self.flow = flow
        self.root = root
        self._nodes = nodes

    @classmethod
    def of(cls, flow: Flow) -> Plan:
        """Compile the effective flow, defaults applied."""
        nodes: dict[str, Node] = {}
        branches: dict[str, tuple[Task, ...]] = {
            TASKS: flow.tasks,
            ERRORS: flow.errors,
            FINALLY: flow.finally_,
            AFTER: flow.after_execution,
        }
        for index, listener in enumerate(flow.listeners):
            branches[f"{LISTENERS}.{index}"] = listener.tasks
        whole = Task(
            id=ROOT_ID,
            type=PREFIX + "Sequential",
            kind=PREFIX + "Sequential",
            retry=flow.retry,
            branches=branches,
        )
        root = _compile(whole, nodes)
        return cls(flow, root, nodes)

    def node(self, task_id: str) -> Node:
        """The place of a task."""
        try:
            return self._nodes[task_id]
        except KeyError:
            raise UnknownTask(f"flow '{self.flow.id}' has no task '{task_id}'") from None

    def knows(self, task_id: str) -> bool:
        """Whether the flow has this task."""
        return task_id in self._nodes

    def task(self, task_id: str) -> Task:
        """The task as the effective flow has it."""
        return self.node(task_id).task

    def parents(self, task_id: str) -> Iterator[Node]:
        """The flowables around a task, innermost first, without the flow itself."""
        node = self.node(self.node(task_id).parent)
        while node.task.id != ROOT_ID:
            yield node
            node = self.node(node.parent)

    def children(self, task_id: str, branch: str) -> tuple[Node, ...]:
        """The enabled children of one branch, in the order of the file."""
        return self.node(task_id).branches.get(branch, ())


def _compile(
    task: Task,
    nodes: dict[str, Node],
    *,
    parent: str = ROOT_ID,
    branch: str = TASKS,
    position: int = 0,
    retry: Retry | None = None,
) -> Node:
    node = Node(
        task=task,
        flowable=flowable(task.kind),
        parent=parent,
        branch=branch,
        stage=branch if branch in _STAGES or branch.startswith(LISTENERS) else TASKS,
        position=position,
        retry=task.retry or retry,
    )
    nodes[task.id] = node
    for name, children in _branches(task).items():
        enabled = [child for child in children if not child.disabled]
        placed = {child.id: place for place, child in enumerate(enabled)}
        compiled = [
            _compile(
                child,
                nodes,
                parent=task.id,
                branch=name,
                position=placed.get(child.id, -1),
                retry=node.retry,
            )
            for child in children
        ]
        node.branches[name] = tuple(child for child in compiled if not child.task.disabled)
    return node


def _branches(task: Task) -> Mapping[str, tuple[Task, ...]]:
    """The branches as the engine has them: some flowables have parts that no author writes."""
    if task.kind == LOOP_KIND:
        iteration = Task(
            id=f"{task.id}_iteration",
            type=ITERATION_KIND,
            kind=ITERATION_KIND,
            properties=task.properties,
            branches=task.branches,
        )
        return {TASKS: (iteration,)}
    if task.kind != FOR_EACH_ITEM:
        return task.branches
    parts = tuple(
        Task(id=f"{task.id}_{name}", type=kind, kind=kind, properties=task.properties)
        for name, kind in (("split", SPLIT), ("items", ITEMS), ("merge", MERGE))
    )
    return {**task.branches, TASKS: parts}
