"""Server-sent events: an execution until it ends, its log lines for as long as somebody listens.

A message of core only says that something is new; what is sent is read from the store, so nothing
is missed when messages are dropped, and a slow reader gets the latest state instead of all in
between. How many may follow at once is bounded: each takes a thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import orjson
from flask import Blueprint, Response, request

from penstock_runner.engine.state import Execution
from penstock_server.api import routing
from penstock_server.api.answers import OPTIONS
from penstock_server.api.context import WebContext
from penstock_server.api.logs import line_filter, lines
from penstock_server.api.problems import Problem, not_found
from penstock_server.api.routing import get
from penstock_server.api.waits import execution_shown
from penstock_server.core.client import Following
from penstock_server.core.shapes import Json, log_to_json
from penstock_server.store import queries
from penstock_server.store.queries import LogFilter

HEARTBEAT_SECONDS = 15.0
APPEAR_SECONDS = 10.0
HEARTBEAT = ": alive\n\n"
FOLLOWERS = "penstock.followers"


class Followers:
    """Counts who follows; one too many is told when to come back."""

    def __init__(self, limit: int) -> None:
        self._places = threading.BoundedSemaphore(limit)

    def stream(
        self, following: Following, events: Callable[[Following], Iterator[str]]
    ) -> Response:
        """A response of these events, which ends the following when it is closed.

        `events` may refuse (raise) until it gives its iterator.
        """
        if not self._places.acquire(blocking=False):
            raise Problem(
                503, "too many clients follow already; try again", headers={"Retry-After": "10"}
            )
        with ExitStack() as opened:
            opened.callback(self._places.release)
            opened.enter_context(following)
            answer = Response(events(following), mimetype="text/event-stream")
            answer.call_on_close(opened.pop_all().close)
        answer.headers["Cache-Control"] = "no-cache"
        answer.headers["X-Accel-Buffering"] = "no"
        return answer


class FollowRoutes:
    """The two streams."""

    def __init__(self, context: WebContext, followers: Followers) -> None:
        self._context = context
        self._followers = followers

    @get("/executions/<execution_id>/follow")
    def execution(self, execution_id: str) -> Response:
        """An execution: its state now, each change, and its end."""

        def events(following: Following) -> Iterator[str]:
            first = _appeared(self._context, execution_id, following)
            return _execution_events(self._context, first, following)

        return self._followers.stream(self._context.client.follow(execution_id), events)

    @get("/logs/<execution_id>/follow")
    def logs(self, execution_id: str) -> Response:
        """Log lines of an execution: the stored ones, then the new ones; a client ends it."""
        wanted, after = line_filter(execution_id), _last_event_id()
        return self._followers.stream(
            self._context.client.follow(execution_id),
            lambda following: _log_events(self._context, wanted, after, following),
        )


def blueprint(context: WebContext, followers: Followers) -> Blueprint:
    """The two streams."""
    return routing.blueprint("follow", "", FollowRoutes(context, followers))


def event(name: str, data: Json) -> str:
    """One event; its id says what it is."""
    return f"id: {name}\ndata: {orjson.dumps(data, default=str, option=OPTIONS).decode()}\n\n"


def _execution_events(
    context: WebContext, execution: Execution, following: Following
) -> Iterator[str]:
    ended = execution.state.terminal
    if not ended:
        yield event("progress", _shown(context, execution))
    while not ended:
        news = following.next(HEARTBEAT_SECONDS)
        if news is None:
            yield HEARTBEAT
        elif news["type"] == "logs":
            continue
        newer = _newer(context, execution)
        if newer is None:
            return
        if newer is not execution:
            execution, ended = newer, newer.state.terminal
            yield event("progress", _shown(context, execution))
    yield event("end", _shown(context, execution))


def _shown(context: WebContext, execution: Execution) -> Json:
    return execution_shown(context, context.veil(execution))


def _appeared(context: WebContext, execution_id: str, following: Following) -> Execution:
    """The execution; one that was just started may need a moment to be there."""
    until = time.monotonic() + APPEAR_SECONDS
    while True:
        with context.database.read() as connection:
            execution = queries.execution(connection, execution_id)
        if execution is not None:
            return execution
        if time.monotonic() >= until:
            raise not_found()
        following.next(0.5)


def _newer(context: WebContext, execution: Execution) -> Execution | None:
    """What an execution has become; None when it was deleted."""
    with context.database.read() as connection:
        version = queries.execution_version(connection, execution.id)
        if version == execution.version:
            return execution
        return queries.execution(connection, execution.id)


def _log_events(
    context: WebContext, wanted: LogFilter, after: int, following: Following
) -> Iterator[str]:
    while True:
        for rows in lines(context, wanted, after):
            # One piece for many lines: each piece is a write of its own to the socket.
            yield "".join(event(str(row.n), log_to_json(row)) for row in rows)
            after = rows[-1].n
        while (news := following.next(HEARTBEAT_SECONDS)) is not None:
            if news.get("last", after + 1) > after:
                break
        else:
            yield HEARTBEAT


def _last_event_id() -> int:
    """Where a client that lost the connection stopped reading."""
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isdecimal() and len(text) <= 15 else 0
