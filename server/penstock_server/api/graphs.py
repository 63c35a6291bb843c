"""Flows as graphs: the tasks of one flow, and which flows start which others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask import Blueprint, Response, request

from penstock_runner.flow.model import Flow, Task
from penstock_server.api import parameters, routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.executions import found
from penstock_server.api.library import KnownFlow, Library
from penstock_server.api.problems import conflict, not_found
from penstock_server.api.routing import get, post
from penstock_server.api.sources import source_of
from penstock_server.core.shapes import Json, without_nulls
from penstock_server.store import queries

SUBFLOW = "io.kestra.plugin.core.flow.Subflow"
SUBFLOWS = frozenset({SUBFLOW, "io.kestra.plugin.core.flow.ForEachItem"})
FLOW_TRIGGER = "io.kestra.plugin.core.trigger.Flow"
SIDE_BY_SIDE = frozenset(
    {
        "io.kestra.plugin.core.flow.Parallel",
        "io.kestra.plugin.core.flow.EachParallel",
        "io.kestra.plugin.core.flow.Dag",
        "io.kestra.plugin.core.flow.If",
        "io.kestra.plugin.core.flow.Switch",
    }
)


class GraphRoutes:
    """The routes that answer with a graph."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    @get("/flows/<namespace>/<flow_id>/graph")
    def of_flow(self, namespace: str, flow_id: str) -> Response:
        """The tasks of a stored flow."""
        revision = parameters.whole(request.args, "revision")
        return json_answer(_graph(self._library.find(namespace, flow_id, revision)))

    @post("/flows/graph")
    def of_source(self) -> Response:
        """The tasks of a flow that is not stored."""
        parsed = self._library.validated(source_of(request))
        assert parsed.flow is not None  # noqa: S101 - a checked source has a flow
        return json_answer(flow_graph(parsed.flow))

    @get("/executions/<execution_id>/graph")
    def of_execution(self, execution_id: str) -> Response:
        """The tasks of the revision that an execution runs."""
        one = found(self._context, execution_id)
        known = self._library.find(one.namespace, one.flow_id, one.flow_revision, deleted=True)
        return json_answer(_graph(known))

    @get("/flows/<namespace>/<flow_id>/dependencies")
    def dependencies(self, namespace: str, flow_id: str) -> Response:
        """Which flows this one starts, and which start it."""
        if self._library.find(namespace, flow_id) is None:
            raise not_found()
        with self._context.database.read() as connection:
            records = queries.all_flows(connection, queries.FlowFilter())
        flows = [self._library.known(record) for record in records]
        only = parameters.flag(request.args, "destinationOnly", default=False)
        name = (namespace, flow_id)
        edges = [e for e in flow_edges(flows) if e[0] == name or (e[1] == name and not only)]
        return json_answer(_topology(flows, edges, {name}))


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes that answer with a graph."""
    return routing.blueprint("graphs", "", GraphRoutes(context, library))


Name = tuple[str, str]
Edge = tuple[Name, Name, str]


def flow_graph(flow: Flow) -> Json:
    """Nodes are tasks and triggers, edges say what comes after, clusters are flowables."""
    graph = _Graph()
    for trigger in flow.triggers:
        graph.node(f"root.Triggers.{trigger.id}", "GraphTrigger", trigger.id, trigger.type)
    graph.node("root.root", "GraphClusterRoot", None, None)
    last = graph.sequence(flow.tasks, "root", ["root.root"], None)
    graph.node("root.end", "GraphClusterEnd", None, None)
    for uid in last:
        graph.edge(uid, "root.end", None)
    for name, tasks in (("errors", flow.errors), ("finally", flow.finally_)):
        if tasks:
            graph.sequence(tasks, f"root.{name}", ["root.root"], name.upper())
    return {"nodes": graph.nodes, "edges": graph.edges, "clusters": graph.clusters}


def flow_edges(flows: Iterable[KnownFlow]) -> list[Edge]:
    """Who starts whom: by a subflow task, or by a flow trigger that names its flow."""
    edges: list[Edge] = []
    for known in flows:
        if known.flow is None:
            continue
        name = (known.flow.namespace, known.flow.id)
        for task in known.flow.walk():
            namespace, flow_id = (task.properties.get(key) for key in ("namespace", "flowId"))
            if task.kind in SUBFLOWS and isinstance(flow_id, str):
                edges.append((name, (str(namespace or name[0]), flow_id), "FLOW_TASK"))
        edges += [(source, name, "FLOW_TRIGGER") for source in _sources_of_triggers(known.flow)]
    return edges


def namespace_dependencies(
    flows: Sequence[KnownFlow], namespace: str, *, destination_only: bool
) -> Json:
    """The flows of a namespace with what they start and what starts them."""

    def inside(name: Name) -> bool:
        return name[0] == namespace or name[0].startswith(namespace + ".")

    edges = [
        edge
        for edge in flow_edges(flows)
        if inside(edge[0]) or (inside(edge[1]) and not destination_only)
    ]
    names = {(known.record.stored.namespace, known.record.stored.id) for known in flows}
    return _topology(flows, edges, {name for name in names if inside(name)})


class _Graph:
    """Nodes, edges and clusters in the making."""

    def __init__(self) -> None:
        self.nodes: list[Json] = []
        self.edges: list[Json] = []
        self.clusters: list[Json] = []

    def node(self, uid: str, type_: str, task_id: str | None, task_type: str | None) -> None:
        task = None if task_id is None else {"id": task_id, "type": task_type}
        self.nodes.append(without_nulls({"uid": uid, "type": type_, "task": task}))

    def edge(self, source: str, target: str, relation: str | None) -> None:
        kind = {"relationType": relation or "SEQUENTIAL"}
        self.edges.append({"source": source, "target": target, "relation": kind})

    def sequence(
        self, tasks: Sequence[Task], below: str, after: list[str], relation: str | None
    ) -> list[str]:
        """One task after the other; the uids with which it ends."""
        for task in tasks:
            after = self.task(task, below, after, relation)
            relation = None
        return after

    def task(self, task: Task, below: str, after: list[str], relation: str | None) -> list[str]:
        """A task with what is below it; the uids after which the next one comes."""
        uid = f"{below}.{task.id}"
        self.node(uid, "GraphTask", task.id, task.type)
        for before in after:
            self.edge(before, uid, relation)
        if not task.branches:
            return [uid]
        first = len(self.nodes)
        ends: list[str] = []
        for branch, children in task.branches.items():
            ends += self._branch(task, uid, branch, children)
        inside = [node["uid"] for node in self.nodes[first:]]
        self.clusters.append({"cluster": {"uid": f"cluster_{uid}"}, "nodes": [uid, *inside]})
        return ends or [uid]

    def _branch(self, task: Task, uid: str, branch: str, children: Sequence[Task]) -> list[str]:
        relation = _relation(branch)
        if task.depends_on and branch == "tasks":
            return self._dag(task, uid, children)
        if task.kind in SIDE_BY_SIDE and branch == "tasks":
            return [end for child in children for end in self.task(child, uid, [uid], "PARALLEL")]
        ends = self.sequence(children, uid, [uid], relation)
        return [] if relation == "ERROR" else ends

    def _dag(self, task: Task, uid: str, children: Sequence[Task]) -> list[str]:
        waited = {name for names in task.depends_on.values() for name in names}
        ends: list[str] = []
        for child in children:
            names = task.depends_on.get(child.id, ())
            after = [f"{uid}.{name}" for name in names] or [uid]
            last = self.task(child, uid, after, "DYNAMIC" if names else "PARALLEL")
            ends += [] if child.id in waited else last
        return ends


def _relation(branch: str) -> str | None:
    if branch == "errors":
        return "ERROR"
    if branch in {"then", "else", "defaults"} or branch.startswith("cases."):
        return "CHOICE"
    return None


def _graph(known: KnownFlow | None) -> Json:
    if known is None:
        raise not_found()
    if known.flow is None:
        raise conflict("the flow is not valid, it has no graph")
    return flow_graph(known.flow)


def _sources_of_triggers(flow: Flow) -> Iterable[Name]:
    for trigger in flow.triggers:
        if trigger.kind != FLOW_TRIGGER:
            continue
        preconditions = trigger.properties.get("preconditions")
        listed = preconditions.get("flows") if isinstance(preconditions, dict) else None
        named = [*(listed or ()), *trigger.conditions]
        for item in named:
            if isinstance(item, dict) and isinstance(item.get("flowId"), str):
                yield str(item.get("namespace") or flow.namespace), item["flowId"]


def _topology(flows: Iterable[KnownFlow], edges: Sequence[Edge], more: set[Name]) -> Json:
    known = {(one.record.stored.namespace, one.record.stored.id) for one in flows}
    wanted = {name for edge in edges for name in edge[:2]} | more
    return {
        "nodes": [
            {"uid": ".".join(name), "namespace": name[0], "id": name[1]}
            for name in sorted(wanted)
            if name in known
        ],
        "edges": [
            {"source": ".".join(source), "target": ".".join(target), "relation": relation}
            for source, target, relation in edges
            if source in known and target in known
        ],
    }
