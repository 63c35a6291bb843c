"""The small pages: keys of namespaces, runners, what the palette finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Response, request

from penstock_runner.tasks.api import KvEntry
from penstock_server.api.context import WebContext
from penstock_server.api.routing import get
from penstock_server.api.waits import SILENT_AFTER, by_reason, wait_of
from penstock_server.store import queries, runners
from penstock_server.store.queries import ExecutionFilter, FlowFilter, Paging, briefs, placing
from penstock_server.store.queries.placing import PlacedJob
from penstock_server.store.runners import RunnerRow
from penstock_server.web import outputs, secret_list
from penstock_server.web.pages import Pages

FOUND = 6
MOST_SLOTS = 64
WAITING_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One entry of the key-value store."""

    entry: KvEntry
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One runner and whether it is heard of."""

    row: RunnerRow
    alive: bool
    slots: tuple[tuple[float, float, bool], ...]
    jobs: tuple[PlacedJob, ...] = ()


class OtherPages:
    """`/kv`, `/runners`, `/palette`."""

    def __init__(self, context: WebContext, frame: Pages) -> None:
        self._context = context
        self._pages = frame

    @get("/kv")
    def keys(self) -> Response:
        """The keys of one namespace."""
        now = self._context.clock.now()
        with self._context.database.read() as connection:
            with_keys = queries.kv_namespaces(connection)
            every = sorted({*with_keys, *queries.flow_namespaces(connection)})
            chosen = request.args.get("namespace", "").strip()
            first = with_keys[0] if with_keys else (every[0] if every else "")
            namespace = chosen or first
            entries = queries.kv_entries(connection, namespace, now) if namespace else []
            secrets = secret_list.rows(connection, self._context.secrets, namespace)
        return self._pages.render(
            "kv.html",
            namespace=namespace,
            namespaces=every if namespace in every or not namespace else [*every, namespace],
            secrets=secrets,
            keys=[Key(entry=entry, text=outputs.shown(entry.value)[0]) for entry in entries],
        )

    @get("/runners")
    def runners(self) -> Response:
        """All runners that were heard of."""
        now = self._context.clock.now()
        with self._context.database.read() as connection:
            found = runners.list_runners(connection)
            working = placing.jobs_of_runners(connection)
            waiting = placing.waiting_jobs(connection, limit=WAITING_SHOWN)
            waiting_count = placing.waiting_count(connection)
            offers = runners.offers_since(connection, now - SILENT_AFTER)
        rows = [runner(row, working, now) for row in found]
        alive = [one for one in rows if one.alive]
        waits = [wait_of(job, offers) for job in waiting]
        return self._pages.render(
            "runners.html",
            rows=rows,
            alive=len(alive),
            busy=sum(min(one.row.busy, one.row.slots) for one in alive),
            slots=sum(one.row.slots for one in alive),
            waiting=waiting_count,
            unmatched=by_reason([wait for wait in waits if " 0 of " in wait.reason]),
        )

    @get("/palette")
    def palette(self) -> Response:
        """Flows and executions that fit a text, as options of the palette."""
        text = request.args.get("q", "").strip()[:100]
        found: list[briefs.Brief] = []
        with self._context.database.read() as connection:
            wanted = FlowFilter(text=text)
            flows, _ = queries.flows_page(connection, wanted, Paging(size=FOUND))
            if len(text) > 5 and text.isalnum():
                by_id = ExecutionFilter(text=text)
                found = briefs.briefs(connection, by_id, FOUND)
        return self._pages.render("parts/palette.html", flows=flows, executions=found)


def runner(row: RunnerRow, working: Sequence[PlacedJob], now: datetime) -> Runner:
    """A runner with its slots as a graphic: place, width, whether it is busy."""
    number = min(max(row.slots, 1), MOST_SLOTS)
    step = 100 / number
    slots = tuple((n * step, step * 0.92, n < row.busy) for n in range(number))
    jobs = tuple(job for job in working if job.runner == row.name)
    return Runner(row=row, alive=now - row.seen_at <= SILENT_AFTER, slots=slots, jobs=jobs)
