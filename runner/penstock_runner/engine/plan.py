"""The plan: a flow compiled once per revision into an index, so that nobody searches.

The flow itself is the root of the tree, a sequence under the empty id, so that `errors`, `finally`
and the retry of a flow need no rules of their own. A node's id is the task's, which is unique in a
flow; the tasks of a template, which may be there several times, have the id of the task that brings
them in before their own (`deploy/notify`).
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
    TEMPLATE,
    flowable,
)
from penstock_runner.engine.flowables.template import Templates, branches_of
from penstock_runner.engine.state import RunKey
from penstock_runner.flow.model import Flow, Retry, Task

ROOT_ID = ""
# What stands between the id of a task that brings a template in, and those of the template's tasks.
OF_TEMPLATE = "/"
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

    `id` and `parent` are the names of nodes in their plan.
    `stage` is the part of the parent's life that the branch belongs to: `tasks`, `errors`,
    `finally`, ... `retry` is the one that counts: the task's own, else the nearest ancestor's,
    else the flow's.
    """

    id: str
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

    def __init__(
        self, flow: Flow, root: Node, nodes: Mapping[str, Node], templates: Templates
    ) -> None:
        self.flow = flow
        self.root = root
        self._nodes = nodes
        self._templates = templates
        self._kinds = frozenset(node.task.kind for node in nodes.values())

    @classmethod
    def of(cls, flow: Flow, templates: Templates | None = None) -> Plan:
        """Compile the effective flow, defaults applied, with what its templates turned out to be.

        `templates` has the tasks of each template by the node that brings it in.
        """
        nodes: dict[str, Node] = {}
        templates = templates or {}
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
        root = _compile(whole, nodes, templates)
        return cls(flow, root, nodes, templates)

    def with_templates(self, templates: Templates) -> Plan:
        """The plan of an execution for which these templates were found."""
        return self if templates == self._templates else Plan.of(self.flow, templates)

    def node(self, node_id: str) -> Node:
        """The place of a task."""
        try:
            return self._nodes[node_id]
        except KeyError:
            raise UnknownTask(f"flow '{self.flow.id}' has no task '{node_id}'") from None

    def node_of(self, key: RunKey) -> Node:
        """The place of the task that a task run is of."""
        # Outside of loops the two have one name, and this is asked more often than anything else.
        return self._nodes.get(key) or self.node(node_id(key))

    def knows(self, key: RunKey) -> bool:
        """Whether the flow has the task that a task run is of."""
        return node_id(key) in self._nodes

    def has_kind(self, kind: str) -> bool:
        """Whether a task of the flow is of this kind."""
        return kind in self._kinds

    def task(self, task_id: str) -> Task:
        """The task as the effective flow has it."""
        return self.node(task_id).task

    def parents(self, node_id: str) -> Iterator[Node]:
        """The flowables around a task, innermost first, without the flow itself."""
        node = self.node(self.node(node_id).parent)
        while node.id != ROOT_ID:
            yield node
            node = self.node(node.parent)

    def children(self, task_id: str, branch: str) -> tuple[Node, ...]:
        """The enabled children of one branch, in the order of the file."""
        return self.node(task_id).branches.get(branch, ())


def node_id(key: RunKey) -> str:
    """The name of the node that a task run is of: its key without values and rounds."""
    return key.split("#", 1)[0].split(".", 1)[0]


def _compile(
    task: Task,
    nodes: dict[str, Node],
    templates: Templates,
    *,
    parent: str = ROOT_ID,
    around: str = "",
    branch: str = TASKS,
    position: int = 0,
    retry: Retry | None = None,
) -> Node:
    node = Node(
        id=around + task.id,
        task=task,
        flowable=flowable(task.kind),
        parent=parent,
        branch=branch,
        stage=branch if branch in _STAGES or branch.startswith(LISTENERS) else TASKS,
        position=position,
        retry=task.retry or retry,
    )
    nodes[node.id] = node
    if task.kind == TEMPLATE:
        around = node.id + OF_TEMPLATE
    for name, children in _branches(node, templates).items():
        enabled = [child for child in children if not child.disabled]
        placed = {child.id: place for place, child in enumerate(enabled)}
        compiled = [
            _compile(
                child,
                nodes,
                templates,
                parent=node.id,
                around=around,
                branch=name,
                position=placed.get(child.id, -1),
                retry=node.retry,
            )
            for child in children
        ]
        node.branches[name] = tuple(child for child in compiled if not child.task.disabled)
    return node


def _branches(node: Node, templates: Templates) -> Mapping[str, tuple[Task, ...]]:
    """The branches as the engine has them: some flowables have parts that no author writes."""
    task = node.task
    if task.kind == TEMPLATE:
        return branches_of(templates.get(node.id))
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
