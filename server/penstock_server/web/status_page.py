"""`/status`: sources, flows and the last executions on one page, without a login if set so.

It says how things stand and nothing of what they do: no input, no output, no line of a log. It is a
page of its own, with no link into the rest and nothing to load, since its readers may see no more.
"""

from __future__ import annotations

from flask import Response

from penstock_server.api.context import WebContext
from penstock_server.api.routing import get
from penstock_server.store import queries
from penstock_server.store.queries import ExecutionFilter, FlowFilter, briefs, home
from penstock_server.web.pages import Pages

MOST_FLOWS = 200
LAST = 20


class StatusPage:
    """`/status`."""

    def __init__(self, context: WebContext, frame: Pages) -> None:
        self._context = context
        self._pages = frame

    @get("/status")
    def show(self) -> Response:
        """How things stand."""
        with self._context.database.read() as connection:
            sources = home.source_briefs(connection)
            flows = queries.all_flows(connection, FlowFilter(), MOST_FLOWS)
            names = [(flow.stored.namespace, flow.stored.id) for flow in flows]
            recent = briefs.recents(connection, names, 1)
            last = briefs.briefs(connection, ExecutionFilter(), LAST)
        return self._pages.render(
            "status.html",
            sources=sources,
            flows=[(name, next(iter(recent.get(name, ())), None)) for name in names],
            last=[(one.execution, one.ended_at) for one in last],
        )
