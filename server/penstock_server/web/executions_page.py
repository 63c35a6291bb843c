"""The list of executions: filtered by its address, cut into pages by a cursor."""

from __future__ import annotations

from datetime import timedelta

from flask import Response, request

from penstock_server.api.context import WebContext
from penstock_server.api.routing import get
from penstock_server.store import queries
from penstock_server.store.queries import briefs
from penstock_server.store.queries import home as asked
from penstock_server.web import filters as filtering
from penstock_server.web import pages, rows, states
from penstock_server.web.filters import Filters
from penstock_server.web.pages import Pages

SIZE = 25
USUAL_OF = 24


class ExecutionsPage:
    """`/executions`."""

    def __init__(self, context: WebContext, frame: Pages) -> None:
        self._context = context
        self._pages = frame

    def newest(self, filters: Filters) -> tuple[rows.ListRow, ...]:
        """The rows of the first page."""
        now = self._context.clock.now()
        with self._context.database.read() as connection:
            shown = briefs.briefs(connection, filtering.wanted(filters, now), SIZE)
            names = {(one.execution.namespace, one.execution.flow_id) for one in shown}
            recents = briefs.recents(connection, names, USUAL_OF)
        return rows.list_rows(shown, recents, now)

    @get("/executions")
    def show(self) -> Response:
        """One page of the list, newest first."""
        now = self._context.clock.now()
        filters = filtering.read(request.args)
        wanted = filtering.wanted(filters, now)
        before = request.args.get("before") or None
        with self._context.database.read() as connection:
            found = briefs.briefs(connection, wanted, SIZE + 1, before)
            shown, more = found[:SIZE], len(found) > SIZE
            names = {(one.execution.namespace, one.execution.flow_id) for one in shown}
            recents = briefs.recents(connection, names, USUAL_OF)
            total = briefs.counted(connection, wanted)
            day = asked.buckets(connection, now - timedelta(days=1), timedelta(days=2))
            namespaces = queries.flow_namespaces(connection)
        older = None
        if more:
            last = shown[-1].execution.id
            older = pages.query_link("/executions", {**filters.values, "before": last})
        return self._pages.render(
            "executions.html",
            rows=rows.list_rows(shown, recents, now),
            filters=filters,
            chips=filtering.chips(filters),
            nothing=filtering.nothing_found(filters),
            total=total,
            many=total > briefs.COUNTED,
            summed=filtering.summed({one.state: one.count for one in day}),
            day_total=sum(one.count for one in day),
            namespaces=namespaces,
            known_states=states.EXECUTION_STATES,
            ranges=filtering.RANGES,
            older=older,
            live=pages.query_link("/live/executions", filters.values),
            newest=pages.query_link("/executions", filters.values) if before else None,
        )
