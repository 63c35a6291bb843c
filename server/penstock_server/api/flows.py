"""Flows: create, read, change, delete, search."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from penstock_runner.flow.flow_rules import identity_faults
from penstock_runner.flow.parse import Parsed
from penstock_server.api import parameters, routing
from penstock_server.api.actors import actor
from penstock_server.api.answers import empty, json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.git_flows import status_of_flow
from penstock_server.api.library import KnownFlow, Library, flow_data_to_json, flow_to_json
from penstock_server.api.problems import Problem, illegal_argument, invalid_entity, not_found
from penstock_server.api.routing import delete, get, patch, post, put
from penstock_server.api.sources import json_of, source_of, to_yaml
from penstock_server.core.shapes import Json
from penstock_server.store import queries

MOST_REVISIONS = 1000


class FlowRoutes:
    """The routes below `/flows` about single flows and lists of them."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    @post("")
    def create(self) -> Response:
        """Save a new flow."""
        source = source_of(request)
        parsed = self._library.validated(source)
        _check_new(self._library, parsed)
        answer = save(self._context, parsed, source, mode="create")
        return json_answer(saved_to_json(parsed, source, answer))

    @get("/<namespace>/<flow_id>")
    def show(self, namespace: str, flow_id: str) -> Response:
        """One flow, the latest revision unless one is named."""
        args = request.args
        known = self._library.find(
            namespace,
            flow_id,
            parameters.whole(args, "revision"),
            deleted=parameters.flag(args, "allowDeleted", default=False),
        )
        if known is None:
            raise not_found()
        source = parameters.flag(args, "source", default=False)
        with self._context.database.read() as connection:
            status = status_of_flow(connection, known.record)
        return json_answer({**flow_to_json(known, source=source), "gitStatus": status})

    @put("/<namespace>/<flow_id>")
    def change(self, namespace: str, flow_id: str) -> Response:
        """Save a new revision of a flow; its id and namespace stay."""
        known = self._library.find(namespace, flow_id)
        if known is None:
            raise not_found()
        source = source_of(request)
        parsed = self._library.validated(source)
        _check_same_name(parsed, namespace, flow_id)
        expected = _expected_revision()
        if expected is not None and expected != known.record.latest:
            raise _saved_meanwhile(known, expected, source)
        answer = save(
            self._context,
            parsed,
            source,
            mode="update",
            expected_revision=expected,
        )
        return json_answer(saved_to_json(parsed, source, answer))

    @delete("/<namespace>/<flow_id>")
    def remove(self, namespace: str, flow_id: str) -> Response:
        """Delete a flow; its revisions stay readable."""
        if self._library.find(namespace, flow_id) is None:
            raise not_found()
        self._context.client.call("flow.delete", namespace=namespace, id=flow_id)
        return empty()

    @get("/search")
    def search(self) -> Response:
        """Flows of a filter, one page."""
        paging = parameters.paging(request.args)
        wanted = parameters.flow_filter(request.args)
        with self._context.database.read() as connection:
            records, total = queries.flows_page(connection, wanted, paging)
        return paged([flow_to_json(self._library.known(record)) for record in records], total)

    @get("/source")
    def search_sources(self) -> Response:
        """Flows whose source holds a text, with the lines that do."""
        paging = parameters.paging(request.args)
        wanted = request.args.get("q", "")
        namespace = request.args.get("namespace") or None
        found = _with_text(self._context, wanted, namespace)
        start = (paging.page - 1) * paging.size
        results = [
            {"model": flow_to_json(self._library.known(record)), "fragments": fragments}
            for record, fragments in found[start : start + paging.size]
        ]
        return paged(results, len(found))

    @get("/distinct-namespaces")
    def namespaces(self) -> Response:
        """Namespaces that have a flow."""
        with self._context.database.read() as connection:
            return json_answer(queries.flow_namespaces(connection, request.args.get("q")))

    @get("/<namespace>")
    def of_namespace(self, namespace: str) -> Response:
        """All flows of one namespace."""
        wanted = queries.FlowFilter(namespace=namespace, exact_namespace=True)
        with self._context.database.read() as connection:
            records = queries.all_flows(connection, wanted)
        return json_answer([flow_to_json(self._library.known(record)) for record in records])

    @get("/<namespace>/<flow_id>/revisions")
    def revisions(self, namespace: str, flow_id: str) -> Response:
        """All revisions of a flow, oldest first."""
        with self._context.database.read() as connection:
            records = queries.revisions(connection, namespace, flow_id)
        if not records:
            raise not_found()
        return json_answer([flow_to_json(self._library.known(r), source=True) for r in records])

    @delete("/<namespace>/<flow_id>/revisions")
    def remove_revisions(self, namespace: str, flow_id: str) -> Response:
        """Take revisions out of a flow's history, `?revisions=1,2`; never its latest."""
        text = parameters.required(request.args, "revisions")
        numbers = [part.strip() for part in text.split(",") if part.strip()]
        if not numbers or not all(part.isascii() and part.isdigit() for part in numbers):
            raise illegal_argument("revisions is a list of numbers, 1,2")
        found = [int(part) for part in numbers[:MOST_REVISIONS]]
        self._context.client.call(
            "flow.delete_revisions", namespace=namespace, id=flow_id, revisions=found
        )
        return empty(204)

    @get("/<namespace>/<flow_id>/tasks/<task_id>")
    def task(self, namespace: str, flow_id: str, task_id: str) -> Response:
        """One task of a flow, at any depth."""
        known = self._library.find(namespace, flow_id, parameters.whole(request.args, "revision"))
        if known is None:
            raise not_found()
        found = find_task(known.parsed.document.data, task_id)
        if found is None:
            raise not_found(f"the flow has no task '{task_id}'")
        return json_answer(found)

    @patch("/<namespace>/<flow_id>/<task_id>")
    def change_task(self, namespace: str, flow_id: str, task_id: str) -> Response:
        """Replace one task, at any depth."""
        known = self._library.find(namespace, flow_id)
        task = json_of(request)
        if known is None:
            raise not_found()
        if not isinstance(task, dict):
            raise Problem(422, "a task is a JSON object", reason="Invalid json mapping")
        if task.get("id") != task_id:
            raise illegal_argument(
                f"Invalid taskId, previous '{task_id}' & current '{task.get('id')}'"
            )
        data = known.parsed.document.data
        if find_task(data, task_id) is None:
            raise not_found(f"the flow has no task '{task_id}'")
        source = to_yaml(_replaced(data, task_id, task))
        parsed = self._library.validated(source)
        answer = save(self._context, parsed, source, mode="update")
        return json_answer(saved_to_json(parsed, source, answer))


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/flows` about single flows and lists of them."""
    return routing.blueprint("flows", "/flows", FlowRoutes(context, library))


def save(
    context: WebContext,
    parsed: Parsed,
    source: str,
    *,
    mode: str,
    expected_revision: int | None = None,
) -> Json:
    """Have core write a source that was checked."""
    flow = parsed.flow
    assert flow is not None  # noqa: S101 - a checked source has a flow
    answer: Json = context.client.call(
        "flow.save",
        source=source,
        expected_revision=expected_revision,
        mode=mode,
        namespace=flow.namespace,
        id=flow.id,
        saved_by=actor(context),
        via="api",
    )
    return answer


def saved_to_json(parsed: Parsed, source: str, answer: Json) -> Json:
    """A flow as it was just saved."""
    shown = flow_data_to_json(parsed)
    shown |= {
        "namespace": answer["namespace"],
        "id": answer["id"],
        "revision": answer["revision"],
        "disabled": bool(shown.get("disabled")),
        "deleted": False,
        "source": source,
    }
    return shown


def find_task(data: object, task_id: str) -> Json | None:
    """The task of this id in plain flow data, at any depth."""
    if isinstance(data, dict):
        if data.get("id") == task_id and "type" in data:
            return data
        parts: Any = (value for key, value in data.items() if key not in {"inputs", "triggers"})
    elif isinstance(data, list):
        parts = data
    else:
        return None
    return next((found for part in parts if (found := find_task(part, task_id))), None)


def _replaced(data: object, task_id: str, task: Json) -> object:
    if isinstance(data, dict):
        if data.get("id") == task_id and "type" in data:
            return task
        return {
            key: value if key in {"inputs", "triggers"} else _replaced(value, task_id, task)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [_replaced(item, task_id, task) for item in data]
    return data


def _expected_revision() -> int | None:
    """The revision that somebody has read and changed: `expectedRevision`, or `If-Match`."""
    given = parameters.whole(request.args, "expectedRevision")
    if given is not None or "If-Match" not in request.headers:
        return given
    written = request.headers["If-Match"].strip().removeprefix("W/").strip('"')
    if not written.isdecimal():
        raise illegal_argument('If-Match is the number of a revision, like "7"')
    return int(written)


def _saved_meanwhile(known: KnownFlow, expected: int, source: str) -> Problem:
    """Tell somebody that the flow is another one by now, with both texts; core tells it, too."""
    stored, latest = known.record.stored, known.record.latest
    told = (
        f"{stored.namespace}.{stored.id} is at revision {latest}, not {expected}:"
        " somebody has saved it since you read it"
    )
    both = {"revision": latest, "source": stored.source, "given": source}
    return Problem(409, told, errors=[{"path": "flow.revision", "message": told, **both}])


def _check_new(library: Library, parsed: Parsed) -> None:
    """Tell early what core would tell; core decides."""
    flow = parsed.flow
    if flow is not None and library.find(flow.namespace, flow.id) is not None:
        error = {"path": "flow.id", "message": "Flow id already exists"}
        raise invalid_entity("flow.id: Flow id already exists", [error])


def _check_same_name(parsed: Parsed, namespace: str, flow_id: str) -> None:
    before = {"id": flow_id, "namespace": namespace}
    errors = [
        {"path": f"flow.{fault.pointer.removeprefix('/')}", "message": fault.message}
        for fault in identity_faults(before, parsed)
    ]
    if errors:
        told = ", ".join(f"{error['path']}: {error['message']}" for error in errors)
        raise invalid_entity(told, errors)


def _with_text(
    context: WebContext, wanted: str, namespace: str | None
) -> list[tuple[queries.FlowRecord, list[str]]]:
    with context.database.read() as connection:
        records = queries.all_flows(connection, queries.FlowFilter(namespace=namespace))
    found = []
    for record in records:
        lines = record.stored.source.splitlines()
        fragments = [line for line in lines if wanted.lower() in line.lower()]
        if fragments:
            found.append((record, fragments[:10]))
    return found
