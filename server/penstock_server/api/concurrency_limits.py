"""Which flows limit how many of their executions run at once, and how many do."""

from __future__ import annotations

from flask import Blueprint, Response, request

from penstock_server.api import parameters, routing
from penstock_server.api.answers import paged
from penstock_server.api.context import WebContext
from penstock_server.api.library import Library
from penstock_server.api.routing import get
from penstock_server.store import queries
from penstock_server.store.queries.limits import running_by_flow

TENANT = "main"


class LimitRoutes:
    """The routes below `/concurrency-limit`."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    @get("/search")
    def search(self) -> Response:
        """The flows with a limit, one page."""
        paging = parameters.paging(request.args)
        with self._context.database.read() as connection:
            records = queries.all_flows(connection, queries.FlowFilter())
            running = running_by_flow(connection)
        known = (self._library.known(record).parsed.flow for record in records)
        limited = [flow for flow in known if flow is not None and flow.concurrency is not None]
        start = (paging.page - 1) * paging.size
        results = [
            {
                "tenantId": TENANT,
                "namespace": flow.namespace,
                "flowId": flow.id,
                "running": running.get((flow.namespace, flow.id), 0),
            }
            for flow in limited[start : start + paging.size]
        ]
        return paged(results, len(limited))


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/concurrency-limit`."""
    return routing.blueprint("limits", "/concurrency-limit", LimitRoutes(context, library))
