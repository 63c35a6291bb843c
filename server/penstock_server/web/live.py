"""What changes on a page while it is looked at: fragments by id, sent when they differ.

A message of core only says that something is new. The page's fragments are then rendered from the
store and those that differ from what was sent last go out, so a slow reader misses nothing and a
quiet page costs nothing. Bursts are gathered, the longer the more a round costs: following a page
never takes more than a fifth of a processor, however much happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from flask import Response, request

from penstock_server.api.context import WebContext
from penstock_server.api.follow import HEARTBEAT, Followers
from penstock_server.api.routing import get
from penstock_server.core.client import Following
from penstock_server.web import filters as filtering
from penstock_server.web import pages
from penstock_server.web.execution_page import Executions
from penstock_server.web.executions_page import ExecutionsPage
from penstock_server.web.home_page import HomeRoutes
from penstock_server.web.log_page import event
from penstock_server.web.pages import Pages

GATHERED_SECONDS = 0.4
GATHERED_FOR_LISTS = 2.0
REST = 4
BEAT_SECONDS = 5.0
EVERYTHING = "*"

Fragments = Mapping[str, str]


class LivePages:
    """The streams of the pages."""

    def __init__(
        self,
        *,
        context: WebContext,
        executions: Executions,
        listed: ExecutionsPage,
        home: HomeRoutes,
        frame: Pages,
        followers: Followers,
    ) -> None:
        self._context = context
        self._executions = executions
        self._listed = listed
        self._home = home
        self._pages = frame
        self._followers = followers

    @get("/executions/<namespace>/<flow_id>/<execution_id>/live")
    def execution(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """The head and the chart of an execution until it has ended."""
        place = (namespace, flow_id, execution_id)
        self._executions.shown(place)

        def fragments() -> tuple[Fragments, bool]:
            shown = self._executions.shown(place, compare=True)
            chart = self._executions.gantt(shown)
            values = {"shown": shown, "head": shown.head, "gantt": chart}
            values["resume"] = self._executions.resume_fields(shown)
            parts = {
                "head": self._pages.part("parts/execution_head.html", **values),
                "why-box": self._pages.part("parts/why.html", **values),
                "n-logs": self._pages.part("parts/line_count.html", **values),
                "gantt": self._pages.part("parts/gantt.html", **values),
            }
            return parts, not shown.head.open

        return self._stream(execution_id, fragments)

    @get("/live/executions")
    def executions(self) -> Response:
        """The rows of the list; new ones are only counted, so that nothing moves."""
        filters = filtering.read(request.args)
        first = {row.id for row in self._listed.newest(filters)}

        def fragments() -> tuple[Fragments, bool]:
            rows = self._listed.newest(filters)
            parts = {
                f"tr-{row.id}": self._pages.part("parts/execution_row.html", row=row)
                for row in rows
                if row.id in first
            }
            fresh = sum(1 for row in rows if row.id not in first)
            here = pages.query_link("/executions", filters.values)
            parts["new-line"] = self._pages.part("parts/new_line.html", fresh=fresh, here=here)
            return parts, False

        return self._stream(EVERYTHING, fragments)

    @get("/live/home")
    def home(self) -> Response:
        """The lists of the first page."""
        key = request.args.get("range", "")

        def fragments() -> tuple[Fragments, bool]:
            values = {"home": self._home.values(key)}
            return {
                "home-head": self._pages.part("parts/home_head.html", **values),
                "home-body": self._pages.part("parts/home_body.html", **values),
            }, False

        return self._stream(EVERYTHING, fragments)

    def _stream(self, topic: str, fragments: Callable[[], tuple[Fragments, bool]]) -> Response:
        least = GATHERED_FOR_LISTS if topic == EVERYTHING else GATHERED_SECONDS
        return self._followers.stream(
            self._context.client.follow(topic),
            lambda following: _rounds(following, fragments, least),
        )


def _rounds(
    following: Following, fragments: Callable[[], tuple[Fragments, bool]], least: float
) -> Iterator[str]:
    sent: dict[str, str] = {}
    while True:
        began = time.monotonic()
        parts, ended = fragments()
        changed = {name: html for name, html in parts.items() if sent.get(name) != html}
        sent.update(changed)
        yield event("swap", changed) if changed else HEARTBEAT
        if ended:
            yield event("end", {})
            return
        rest = max(least, REST * (time.monotonic() - began))
        if following.next(BEAT_SECONDS) is not None:
            _gather(following, rest)


def _gather(following: Following, seconds: float) -> None:
    """Take what comes in the next moment together."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        following.next(left)
