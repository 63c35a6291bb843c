"""The logs of one execution: a page of them, and what comes after it as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from flask import Response, request

from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.store import LogRow
from penstock_runner.flow.model import Level
from penstock_server.api.context import WebContext
from penstock_server.api.follow import HEARTBEAT, Followers
from penstock_server.api.routing import get
from penstock_server.core.client import Following
from penstock_server.store import queries
from penstock_server.store.queries import LogFilter
from penstock_server.store.queries import lines as asked
from penstock_server.web import loglines, pages
from penstock_server.web.execution_page import Executions, Shown
from penstock_server.web.pages import Pages

SHOWN = 1000
AT_ONCE = 200
BEAT_SECONDS = 10.0


class LogPage:
    """`/executions/<namespace>/<flow>/<id>/logs`."""

    def __init__(
        self, context: WebContext, executions: Executions, frame: Pages, followers: Followers
    ) -> None:
        self._context = context
        self._executions = executions
        self._pages = frame
        self._followers = followers

    @get("/executions/<namespace>/<flow_id>/<execution_id>/logs")
    def show(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """The last lines, or those before a line, that fit what is asked for."""
        shown = self._executions.shown((namespace, flow_id, execution_id))
        args = request.args
        wanted = args.get("q", "").strip()[:200]
        filtered = self._filter(shown, wanted)
        before = _number(args.get("before"))
        with self._context.database.read() as connection:
            rows = asked.last_lines(connection, filtered, SHOWN + 1, before)
        more, rows = len(rows) > SHOWN, rows[-SHOWN:]
        here = pages.execution_link(namespace, flow_id, execution_id, "logs")
        plain = filtered == LogFilter(execution_id=execution_id)
        return self._pages.render(
            "logs.html",
            shown=shown,
            tab="logs",
            groups=loglines.groups(shown.execution, rows, self._context.clock.now(), wanted=wanted),
            q=wanted,
            level=filtered.min_level,
            levels=tuple(Level),
            task=args.get("task", ""),
            found=len(rows),
            earlier=pages.query_link(here, {**args.to_dict(), "before": rows[0].n})
            if more
            else None,
            latest=here if before else None,
            last=rows[-1].n if rows else 0,
            follows=plain and before is None and shown.head.open,
            here=here,
        )

    def _filter(self, shown: Shown, wanted: str) -> LogFilter:
        level = request.args.get("level", "")
        key = request.args.get("task", "")
        return LogFilter(
            execution_id=shown.execution.id,
            text=wanted or None,
            min_level=Level(level) if level in set(Level) else None,
            taskrun_id=taskrun_id(shown.execution.id, key) if key else None,
        )

    @get("/executions/<namespace>/<flow_id>/<execution_id>/logs/live")
    def live(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """Lines after the last one that the page has, as fragments, until the execution ends."""
        shown = self._executions.shown((namespace, flow_id, execution_id))
        after = _number(request.headers.get("Last-Event-ID")) or _number(request.args.get("after"))

        return self._followers.stream(
            self._context.client.follow(execution_id),
            lambda following: self._events(shown, after or 0, following),
        )

    def _events(self, shown: Shown, after: int, following: Following) -> Iterator[str]:
        execution_id = shown.execution.id
        wanted = LogFilter(execution_id=execution_id)
        while True:
            with self._context.database.read() as connection:
                # The state first: lines up to an end are stored before or with it.
                execution = queries.execution(connection, execution_id)
                rows = queries.logs_after(connection, wanted, after, AT_ONCE)
            if execution is None:
                return
            if rows:
                after = rows[-1].n
                yield event("log", self._fragments(execution, rows), after)
            if len(rows) == AT_ONCE:
                continue
            if execution.state.terminal:
                yield event("end", {})
                return
            if following.next(BEAT_SECONDS) is None:
                yield HEARTBEAT

    def _fragments(self, execution: Any, rows: list[LogRow]) -> list[dict[str, str]]:
        now = self._context.clock.now()
        return [
            {
                "group": group.id,
                "shell": self._pages.part("parts/log_group.html", group=group, empty=True),
                "lines": str(group.items),
            }
            for group in loglines.groups(execution, rows, now, all_open=True)
        ]


def event(name: str, data: Any, number: int | None = None) -> str:
    """One named event of a stream."""
    first = "" if number is None else f"id: {number}\n"
    return f"{first}event: {name}\ndata: {orjson.dumps(data).decode()}\n\n"


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) <= 15 else None
