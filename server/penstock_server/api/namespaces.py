"""Namespaces: those that hold flows or keys."""

from __future__ import annotations

from flask import Blueprint, Response, request

from penstock_runner.flow.binding import NAMESPACE
from penstock_server.api import parameters, routing
from penstock_server.api.answers import json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.graphs import namespace_dependencies
from penstock_server.api.library import Library
from penstock_server.api.problems import Problem, illegal_argument
from penstock_server.api.routing import get, post, put
from penstock_server.api.sources import json_of
from penstock_server.core.shapes import Json
from penstock_server.store import queries


class NamespaceRoutes:
    """The routes below `/namespaces` about namespaces themselves."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    @get("/search")
    def search(self) -> Response:
        """Namespaces with flows or keys, and those above them, one page."""
        paging = parameters.paging(request.args)
        existing = parameters.flag(request.args, "existing", default=False)
        with_flows, found = self._named(request.args.get("q", ""), existing=existing)
        if paging.sort and paging.sort[0][1]:
            found.reverse()
        start = (paging.page - 1) * paging.size
        page = found[start : start + paging.size]
        results = [{"id": name, "disabled": name not in with_flows} for name in page]
        return paged(results, len(found))

    @post("/autocomplete")
    def complete(self) -> Response:
        """The names that hold the text which a person has typed so far, and those asked for."""
        body = json_of(request)
        asked = body if isinstance(body, dict) else {}
        existing = asked.get("existingOnly") is True
        _, found = self._named(str(asked.get("q") or ""), existing=existing)
        wanted = [str(one) for one in asked.get("ids") or ()]
        return json_answer(sorted({*found, *wanted}))

    def _named(self, text: str, *, existing: bool) -> tuple[set[str], list[str]]:
        """The namespaces with flows, and those with a text in their names, in order.

        Those above one that exists count, unless only `existing` ones do.
        """
        with self._context.database.read() as connection:
            with_flows = set(queries.flow_namespaces(connection))
            names = with_flows | set(queries.kv_namespaces(connection))
        if not existing:
            names |= {above for name in names for above in parents(name)}
        return with_flows, sorted(name for name in names if text.lower() in name.lower())

    @post("")
    def create(self) -> Response:
        """A namespace is there as soon as something is in it: only its name can be given."""
        body = _described(json_of(request))
        return json_answer({"id": body["id"], "deleted": False})

    @put("/<namespace>")
    def change(self, namespace: str) -> Response:
        """The same for one that is named already."""
        _described({**_object(json_of(request)), "id": namespace})
        return json_answer({"id": namespace, "deleted": False})

    @get("/<namespace>")
    def show(self, namespace: str) -> Response:
        """One namespace; any name is one."""
        return json_answer({"id": namespace, "deleted": False})

    @get("/<namespace>/dependencies")
    def dependencies(self, namespace: str) -> Response:
        """Which flows of a namespace start which others."""
        with self._context.database.read() as connection:
            records = queries.all_flows(connection, queries.FlowFilter())
        flows = [self._library.known(record) for record in records]
        only = parameters.flag(request.args, "destinationOnly", default=False)
        return json_answer(namespace_dependencies(flows, namespace, destination_only=only))


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/namespaces` about namespaces themselves."""
    return routing.blueprint("namespaces", "/namespaces", NamespaceRoutes(context, library))


def _described(body: object) -> Json:
    """What is said of a namespace; what could not be kept is refused instead of forgotten."""
    given = _object(body)
    name = given.get("id")
    if not isinstance(name, str) or NAMESPACE.fullmatch(name) is None:
        raise illegal_argument("id is the name of a namespace, company.team")
    lost = sorted(key for key, value in given.items() if value and key not in {"id", "tenantId"})
    if lost:
        raise illegal_argument(f"namespaces have no {', '.join(lost)} here: leave that out")
    return given


def _object(body: object) -> Json:
    if not isinstance(body, dict):
        raise Problem(422, "a JSON object is needed", reason="Invalid json mapping")
    return body


def parents(namespace: str) -> list[str]:
    """The namespaces above one."""
    parts = namespace.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]
