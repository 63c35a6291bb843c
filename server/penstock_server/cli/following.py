"""Following the log of an execution until the execution ends.

Two streams are read side by side: the lines, and the states, whose end is the end of both. Lines
that were stored just before the end are asked for once more, so none is missing.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from penstock_server.cli.connection import Connection
from penstock_server.cli.exits import Stop

API = "/api/v1/main"
SILENCE_SECONDS = 45.0
WAITING = 1000
LOST = 5

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream; the id says what it is."""

    id: str
    data: Json


@dataclass(frozen=True, slots=True)
class _Broken:
    """A stream cannot be read any more."""

    reason: Stop


def follow(connection: Connection, execution_id: str, level: str | None) -> Iterator[Json]:
    """The lines of an execution as they are written; the last item is the execution itself."""
    params = {"minLevel": level} if level else {}
    path = f"{API}/logs/{execution_id}"
    news: queue.Queue[Event | _Broken] = queue.Queue(maxsize=WAITING)
    query = f"?minLevel={level}" if level else ""
    _read_aside(connection, f"{path}/follow{query}", news)
    _read_aside(connection, f"{API}/executions/{execution_id}/follow", news)
    shown = 0
    while True:
        match news.get():
            case _Broken(reason):
                raise reason
            case Event("end", execution):
                yield from connection.get(path, params)[shown:]
                yield execution
                return
            case Event("progress", _):
                continue
            case Event(_, line):
                shown += 1
                yield line


def events(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream of text; what is only there to keep it open is passed over."""
    name, data = "", ""
    for line in lines:
        if line.startswith("id:"):
            name = line[3:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif not line and data:
            yield Event(name, json.loads(data))
            data = ""


def _read_aside(connection: Connection, path: str, news: queue.Queue[Event | _Broken]) -> None:
    threading.Thread(target=_read, args=(connection, path, news), daemon=True).start()


def _read(connection: Connection, path: str, news: queue.Queue[Event | _Broken]) -> None:
    """Read a stream to its end; a lost connection is taken up again where it broke."""
    last, lost = "", 0
    while True:
        headers: Mapping[str, str] = {"Last-Event-ID": last} if last.isdecimal() else {}
        try:
            with connection.stream(path, headers, SILENCE_SECONDS) as answer:
                if not answer.is_success:
                    answer.read()
                    news.put(_Broken(connection.told(answer)))
                    return
                for event in events(answer.iter_lines()):
                    last, lost = event.id, 0
                    news.put(event)
                    if event.id == "end":
                        return
            reason = connection.unreachable(ConnectionError("the connection was closed"))
        except httpx2.HTTPError as error:
            reason = connection.unreachable(error)
        lost += 1
        if lost >= LOST:
            news.put(_Broken(reason))
            return
        threading.Event().wait(lost)
