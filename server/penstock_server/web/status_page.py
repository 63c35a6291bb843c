"""`/status`: sources, flows and the last executions on one page, without a login if set so.

It says how things stand and nothing of what they do: no input, no output, no line of a log. It is a
page of its own, with no link into the rest, since its readers may see no more; `/status/SOURCE.svg`
is a badge for the front page of a repository.
"""

from __future__ import annotations

from flask import Response

from penstock_server.api.context import WebContext
from penstock_server.api.git import picture
from penstock_server.api.routing import get
from penstock_server.store import queries, sources
from penstock_server.store.queries import ExecutionFilter, FlowFilter, briefs
from penstock_server.web import gits
from penstock_server.web.pages import Pages

MOST_FLOWS = 200
LAST = 20


class StatusPage:
    """`/status`."""

    def __init__(self, context: WebContext, frame: Pages) -> None:
        self._context = context
        self._pages = frame

    @get("/status/<source_id>.svg")
    def badge(self, source_id: str) -> Response:
        """How one source stands, as a small picture."""
        with self._context.database.read() as connection:
            row = queries.source(connection, source_id)
        return picture("Unknown" if row is None else row["status"])

    @get("/status")
    def show(self) -> Response:
        """How things stand."""
        with self._context.database.read() as connection:
            found = sources.list_sources(connection)
            flows = queries.all_flows(connection, FlowFilter(), MOST_FLOWS)
            names = [(flow.stored.namespace, flow.stored.id) for flow in flows]
            recent = briefs.recents(connection, names, 1)
            last = briefs.briefs(connection, ExecutionFilter(), LAST)
        return self._pages.render(
            "status.html",
            sources=[(one, gits.state_of(one)) for one in found],
            flows=[(name, next(iter(recent.get(name, ())), None)) for name in names],
            last=[(one.execution, one.ended_at) for one in last],
        )
