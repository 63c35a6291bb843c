"""Executions: start, read, search."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request

from penstock_runner.tasks.places import execution_prefix
from penstock_server.api import parameters, routing
from penstock_server.api.actors import actor
from penstock_server.api.answers import json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.library import Library, flow_to_json
from penstock_server.api.problems import not_found
from penstock_server.api.repeats import idempotency_key, mark
from penstock_server.api.routing import get, post
from penstock_server.api.starts import Prepared, Starts, labels_of
from penstock_server.api.waits import execution_shown
from penstock_server.core.client import CoreRefused
from penstock_server.core.shapes import Json, execution_to_json, iso
from penstock_server.store import queries

WAIT_SECONDS = 3600.0
START_SECONDS = 30.0


class ExecutionRoutes:
    """The routes below `/executions` about starting and reading."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library
        self._starts = Starts(context)

    @post("/<namespace>/<flow_id>")
    @post("/trigger/<namespace>/<flow_id>")
    def create(self, namespace: str, flow_id: str) -> Response:
        """Start one execution of a flow's latest revision, or of the one named."""
        args = request.args
        revision = parameters.whole(args, "revision")
        known, flow = self._library.startable(namespace, flow_id, revision)
        key = idempotency_key(request)
        wait = parameters.flag(args, "wait", default=False)
        labels = labels_of(args)
        scheduled = parameters.instant(args, "scheduleDate")
        date = None if scheduled is None else iso(scheduled)
        about = (flow.namespace, flow.id, revision, sorted(labels), date)
        asked = None if key is None else mark(request, *about)
        prepared = self._starts.prepare(flow, request)
        answer: Json = self._start(
            prepared,
            timeout=WAIT_SECONDS if wait else START_SECONDS,
            namespace=flow.namespace,
            flow_id=flow.id,
            revision=known.record.stored.revision,
            inputs=prepared.values,
            labels=[list(pair) for pair in labels],
            schedule_date=date,
            idempotency_key=key,
            asked=asked,
            wait=wait,
            origin="api",
            by=actor(self._context),
        )
        return started(self._context, answer["execution"])

    def _start(self, prepared: Prepared, **start: Any) -> Json:
        """Ask core for the execution; uploads of one that is not made do not stay."""
        made: str | None = None
        try:
            answer: Json = self._context.client.call(
                "execution.start", id=prepared.execution_id, **start
            )
            made = answer["execution"]["id"]
        except CoreRefused:
            made = ""
            raise
        finally:
            uploaded = prepared.execution_id
            if uploaded is not None and made is not None and made != uploaded:
                prefix = execution_prefix(start["namespace"], start["flow_id"], uploaded)
                self._context.storage.delete_below(prefix)
        return answer

    @post("/<namespace>/<flow_id>/validate")
    def validate(self, namespace: str, flow_id: str) -> Response:
        """Say what a start with these inputs would be told; nothing is stored."""
        known, flow = self._library.startable(
            namespace, flow_id, parameters.whole(request.args, "revision")
        )
        flow = flow.model_copy(update={"revision": known.record.stored.revision})
        judged = self._starts.judged(flow, request, labels_of(request.args))
        return json_answer({"id": flow.id, "namespace": flow.namespace, **judged})

    @get("/<execution_id>")
    def show(self, execution_id: str) -> Response:
        """One execution with its task runs."""
        return json_answer(execution_shown(self._context, found(self._context, execution_id)))

    @get("/search")
    def search(self) -> Response:
        """Executions of a filter, one page, newest first unless sorted."""
        paging = parameters.paging(request.args)
        wanted = parameters.execution_filter(request.args, self._context.clock.now())
        return _page(self._context, wanted, paging)

    @get("")
    def of_flow(self) -> Response:
        """Executions of one flow, one page."""
        wanted = queries.ExecutionFilter(
            namespace=parameters.required(request.args, "namespace"),
            flow_id=parameters.required(request.args, "flowId"),
            exact_namespace=True,
        )
        return _page(self._context, wanted, parameters.paging(request.args))

    @get("/<execution_id>/flow")
    def flow_of(self, execution_id: str) -> Response:
        """The revision that an execution runs, as far as one who may execute sees it."""
        execution = found(self._context, execution_id)
        return _for_execution(
            self._library, execution.namespace, execution.flow_id, execution.flow_revision
        )

    @get("/flows/<namespace>/<flow_id>")
    def flow_to_start(self, namespace: str, flow_id: str) -> Response:
        """A flow as far as one who may execute sees it."""
        revision = parameters.whole(request.args, "revision")
        return _for_execution(self._library, namespace, flow_id, revision)

    @get("/namespaces")
    def namespaces(self) -> Response:
        """Namespaces in which something can be executed."""
        with self._context.database.read() as connection:
            return json_answer(queries.flow_namespaces(connection))

    @get("/namespaces/<namespace>/flows")
    def flows_to_start(self, namespace: str) -> Response:
        """Flows of a namespace that can be executed."""
        wanted = queries.FlowFilter(namespace=namespace, exact_namespace=True)
        with self._context.database.read() as connection:
            records = queries.all_flows(connection, wanted)
        return json_answer([for_execution(flow_to_json(self._library.known(r))) for r in records])


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/executions` about starting and reading."""
    return routing.blueprint("executions", "/executions", ExecutionRoutes(context, library))


def found(context: WebContext, execution_id: str) -> Any:
    """The execution of this id; a 404 when there is none."""
    with context.database.read() as connection:
        execution = queries.execution(connection, execution_id)
    if execution is None:
        raise not_found()
    return context.veil(execution)


def started(context: WebContext, execution: Json) -> Response:
    """The answer to a start: the execution, and where people see it."""
    url = (context.settings.url or f"{request.scheme}://{request.host}").rstrip("/")
    place = f"{execution['namespace']}/{execution['flowId']}/{execution['id']}"
    return json_answer({**context.veil_json(execution), "url": f"{url}/executions/{place}"})


def for_execution(flow: Json) -> Json:
    """What one who may execute a flow, but not read it, sees of it."""
    seen = ("id", "namespace", "revision", "labels", "inputs", "variables", "disabled", "deleted")
    answer = {key: flow[key] for key in seen if key in flow}
    for part in ("tasks", "errors", "finally", "triggers"):
        if part in flow:
            answer[part] = [_brief(item) for item in flow[part] or ()]
    return answer


def _brief(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    kept: Json = {
        key: item[key] for key in ("id", "type", "description", "disabled") if key in item
    }
    for part in ("tasks", "then", "else", "errors", "finally", "defaults"):
        if isinstance(item.get(part), list):
            kept[part] = [_brief(child) for child in item[part]]
    return kept


def _for_execution(
    library: Library, namespace: str, flow_id: str, revision: int | None
) -> Response:
    known = library.find(namespace, flow_id, revision, deleted=revision is not None)
    if known is None:
        raise not_found()
    return json_answer(for_execution(flow_to_json(known)))


def _page(context: WebContext, wanted: queries.ExecutionFilter, paging: queries.Paging) -> Response:
    now: datetime = context.clock.now()
    with context.database.read() as connection:
        executions, total = queries.executions_page(connection, wanted, paging)
    return paged([execution_to_json(context.veil(one), now) for one in executions], total)
