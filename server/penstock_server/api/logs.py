"""Log lines: search, list, download, delete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flask import Blueprint, Response, request

from penstock_runner.executor.store import LogRow
from penstock_server.api import parameters, routing
from penstock_server.api.answers import download, empty, json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.routing import delete, get
from penstock_server.core.shapes import iso, log_to_json
from penstock_server.store import queries
from penstock_server.store.queries import LogFilter

CHUNK = 2000
MAX_LINES = 100_000
TEXT = "text/plain; charset=utf-8"


class LogRoutes:
    """The routes below `/logs`."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/search")
    def search(self) -> Response:
        """Lines of all executions, one page, oldest first unless sorted."""
        paging = parameters.paging(request.args)
        wanted = parameters.log_filter(request.args, self._context.clock.now())
        with self._context.database.read() as connection:
            rows, total = queries.logs_page(connection, wanted, paging)
        return paged([log_to_json(row) for row in rows], total)

    @get("/<execution_id>")
    def of_execution(self, execution_id: str) -> Response:
        """Lines of one execution, in their order; none when there is no such execution."""
        rows: list[LogRow] = []
        for chunk in lines(self._context, line_filter(execution_id)):
            rows += chunk
            if len(rows) >= MAX_LINES:
                break
        return json_answer([log_to_json(row) for row in rows[:MAX_LINES]])

    @get("/<execution_id>/download")
    def text(self, execution_id: str) -> Response:
        """Lines of one execution as a text file."""
        wanted = line_filter(execution_id)
        return download(
            _text(self._context, wanted), f"{execution_id}.log", "text/plain; charset=utf-8"
        )

    @delete("/<execution_id>")
    def remove(self, execution_id: str) -> Response:
        """Delete lines of one execution."""
        wanted = line_filter(execution_id)
        self._context.client.call(
            "logs.delete",
            execution_id=execution_id,
            min_level=wanted.min_level and wanted.min_level.value,
            task_id=wanted.task_id,
            taskrun_id=wanted.taskrun_id,
            attempt=wanted.attempt,
        )
        return empty(200)

    @delete("/<namespace>/<flow_id>")
    def remove_of_flow(self, namespace: str, flow_id: str) -> Response:
        """Delete lines of a flow, or of one of its triggers."""
        self._context.client.call(
            "logs.delete",
            namespace=namespace,
            flow_id=flow_id,
            trigger_id=request.args.get("triggerId") or None,
        )
        return empty(200)


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/logs`."""
    return routing.blueprint("logs", "/logs", LogRoutes(context))


def line_filter(execution_id: str) -> LogFilter:
    """The lines that a request about one execution wants.

    With a task given, task run and attempt do not count; an attempt counts only with a task run.
    Attempts count from 0 for clients and from 1 in the store.
    """
    args = request.args
    wanted = LogFilter(execution_id=execution_id, min_level=parameters.level(args))
    attempt = parameters.whole(args, "attempt")
    if task_id := args.get("taskId"):
        return replace(wanted, task_id=task_id)
    if taskrun_id := args.get("taskRunId"):
        stored = None if attempt is None else attempt + 1
        return replace(wanted, taskrun_id=taskrun_id, attempt=stored)
    return wanted


def lines(context: WebContext, wanted: LogFilter, after: int = 0) -> Iterator[list[LogRow]]:
    """All lines of one execution, in pieces, so that a long log never stands whole in memory."""
    while True:
        with context.database.read() as connection:
            rows = queries.logs_after(connection, wanted, after, CHUNK)
        if rows:
            yield rows
        if len(rows) < CHUNK:
            return
        after = rows[-1].n


def _text(context: WebContext, wanted: LogFilter) -> Iterator[str]:
    first = True
    for rows in lines(context, wanted):
        told = [f"{iso(row.at)} {row.level} {row.message}" for row in rows]
        yield ("" if first else "\n") + "\n".join(told)
        first = False
