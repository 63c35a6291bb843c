"""Lists as CSV: flows, executions and triggers that a query finds, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime

from flask import Blueprint, Response, request

from penstock_server.api import parameters, routing
from penstock_server.api.answers import download
from penstock_server.api.context import WebContext
from penstock_server.api.routing import get
from penstock_server.core.shapes import iso
from penstock_server.store import queries
from penstock_server.store.queries import Paging

MOST = 100_000
AT_ONCE = 1000
# What a spreadsheet would take for a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class CsvRoutes:
    """One route a list."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/flows/export/by-query/csv")
    def flows(self) -> Response:
        """The flows that a query finds."""
        wanted = parameters.flow_filter(request.args)
        with self._context.database.read() as connection:
            found = queries.all_flows(connection, wanted)
        heads = ("namespace", "id", "revision", "disabled", "updated", "managedBy")
        rows = (
            (
                one.stored.namespace,
                one.stored.id,
                one.stored.revision,
                one.stored.disabled,
                one.updated_at,
                one.managed_by,
            )
            for one in found
        )
        return _csv("flows.csv", heads, rows)

    @get("/executions/export/by-query/csv")
    def executions(self) -> Response:
        """The executions that a query finds, newest first."""
        wanted = parameters.execution_filter(request.args, self._context.clock.now())
        heads = ("id", "namespace", "flowId", "flowRevision", "state", "startDate", "endDate")
        rows: list[Sequence[object]] = []
        for page in range(1, MOST // AT_ONCE + 1):
            paging = Paging(page=page, size=AT_ONCE)
            with self._context.database.read() as connection:
                found, _ = queries.executions_page(connection, wanted, paging)
            for one in found:
                at = one.history[-1][1] if one.state.terminal else None
                begun = one.history[0][1]
                place = (one.id, one.namespace, one.flow_id, one.flow_revision)
                rows.append((*place, one.state.value, begun, at))
            if len(found) < AT_ONCE:
                break
        return _csv("executions.csv", heads, rows)

    @get("/triggers/export/by-query/csv")
    def triggers(self) -> Response:
        """The triggers that a query finds."""
        args = parameters.plain(request.args)
        with self._context.database.read() as connection:
            found, _ = queries.triggers_page(
                connection,
                Paging(size=MOST),
                text=args.get("q"),
                namespace=args.get("namespace") or None,
                flow_id=args.get("flowId") or None,
            )
        heads = ("namespace", "flowId", "triggerId", "disabled", "lastDate", "nextExecutionDate")
        rows = (
            (one.namespace, one.flow_id, one.trigger_id, one.disabled, one.last_date, one.next_date)
            for one in found
        )
        return _csv("triggers.csv", heads, rows)


def blueprint(context: WebContext) -> Blueprint:
    """Lists as CSV."""
    return routing.blueprint("csv_exports", "", CsvRoutes(context))


def _csv(name: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(heads)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return download(text.getvalue(), name, "text/csv")


def _cell(value: object) -> str:
    """A value as a cell; a text is never taken for a formula."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return iso(value)
        case str() if value.startswith(_FORMULAS):
            return f"'{value}"
        case other:
            return str(other)
