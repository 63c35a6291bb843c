"""The route of the first page: it asks the store a dozen questions, never one per row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import Response, request

from penstock_server.api.context import WebContext
from penstock_server.api.routing import get
from penstock_server.store import queries
from penstock_server.store.queries import ExecutionFilter, TriggerRecord, briefs
from penstock_server.store.queries import home as asked
from penstock_server.store.queries.briefs import Brief, CommitBrief, Name, Recent
from penstock_server.store.queries.home import ErrorLine
from penstock_server.web import ansi, home, pages, rows, states
from penstock_server.web.execution import of_last_attempt
from penstock_server.web.home import Attention, Home, Rates, Running, SourceLine
from penstock_server.web.pages import Pages

LATE_AFTER = timedelta(seconds=60)
FAILED_WITHIN = timedelta(days=30)
MOST_FLOWS = 20
SHOWN = 10
RECENT = 8
ACTIVE = (*sorted(states.GOING), "PAUSED")
LOOKED_BACK = 24
BUCKETS = {"6h": "15 min", "24h": "hour", "7d": "6 h", "30d": "day"}


class HomeRoutes:
    """`/`."""

    def __init__(self, context: WebContext, frame: Pages) -> None:
        self._context = context
        self._pages = frame

    @get("/")
    def show(self) -> Response:
        """The first page."""
        return self._pages.render(
            "home.html",
            home=self.values(request.args.get("range", "")),
            ranges=[(key, entry[0]) for key, entry in home.RANGES.items()],
        )

    def values(self, range_key: str) -> Home:
        """All that the page shows."""
        key = range_key if range_key in home.RANGES else "24h"
        with self._context.database.read() as connection:
            return _values(
                connection, self._context.clock.now(), key, alive=self._context.runner_alive()
            )


def _values(connection: Any, now: datetime, key: str, *, alive: bool) -> Home:
    range_name, length, parts = home.RANGES[key]
    width = length / parts
    since = now - length
    counted = asked.buckets(connection, since, width)
    suspects = asked.flows_that_failed(connection, now - FAILED_WITHIN, MOST_FLOWS)
    counts = queries.state_counts(connection, ExecutionFilter(states=tuple(states.OPEN)))
    shown = briefs.briefs(connection, ExecutionFilter(states=ACTIVE), SHOWN)
    latest = briefs.briefs(connection, briefs.EVERYTHING, RECENT)
    names = {(b.execution.namespace, b.execution.flow_id) for b in (*shown, *latest)}
    recents = briefs.recents(connection, {*names, *suspects}, LOOKED_BACK)
    following = asked.next_triggers(connection, now, 5)
    failed = {name: ones for name in suspects if (ones := home.failing(recents[name]))}
    sources = tuple(home.source_line(one) for one in asked.source_briefs(connection))
    attention = _attention(connection, failed, sources, now)
    wrong = Counter(one.state for one in attention)
    by_state = Counter[str]()
    for one in counted:
        by_state[one.state] += one.count
    return Home(
        sentence=home.sentence(
            failing=wrong["FAILED"],
            late=wrong["LATE"],
            total=by_state.total(),
            failed=by_state["FAILED"],
            range_name=range_name,
            next_at=following[0].next_date if following else None,
            alive=alive,
            degraded=wrong["DEGRADED"],
        ),
        doing=home.doing(counts),
        range=key,
        range_name=range_name,
        bucket_name=BUCKETS[key],
        total=by_state.total(),
        open_count=sum(counts.get(state, 0) for state in ACTIVE),
        attention=attention,
        running=_running(connection, shown, recents, now),
        chart=home.chart(counted, parts, since, width),
        rates=_rates(connection, now),
        sources=sources,
        next=tuple(following),
        recent=rows.list_rows(latest, recents, now),
        last_failure=None if attention else asked.last_failure(connection),
    )


def _attention(
    connection: Any,
    failed: Mapping[Name, Sequence[Recent]],
    sources: Sequence[SourceLine],
    now: datetime,
) -> tuple[Attention, ...]:
    late = asked.late_triggers(connection, now - LATE_AFTER, SHOWN)
    return (
        *_failures(connection, failed),
        *(_late(one) for one in late),
        *(_degraded(one) for one in sources if one.state == "DEGRADED"),
    )


def _running(
    connection: Any,
    shown: Sequence[Brief],
    recents: Mapping[Name, Sequence[Recent]],
    now: datetime,
) -> tuple[Running, ...]:
    tasks = asked.active_tasks(connection, [one.execution.id for one in shown])
    return tuple(
        home.running(
            one,
            tasks.get(one.execution.id, ()),
            recents[one.execution.namespace, one.execution.flow_id],
            now,
        )
        for one in shown
    )


def _rates(connection: Any, now: datetime) -> Rates | None:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=home.DAYS - 1)
    return home.rates(asked.buckets(connection, since, timedelta(days=1)), since)


def _failures(connection: Any, failed: Mapping[Name, Sequence[Recent]]) -> list[Attention]:
    newest = {name: ones[0] for name, ones in failed.items()}
    first = {name: ones[-1] for name, ones in failed.items()}
    said = asked.last_errors(connection, [one.id for one in newest.values()])
    commits = asked.revisions_named(
        connection, {(*name, one.revision) for name, one in first.items()}
    )
    return [
        _failure(
            newest[name],
            ones,
            _said(said.get(newest[name].id, ())),
            commits.get((*name, first[name].revision)),
        )
        for name, ones in failed.items()
    ]


def _said(lines: Sequence[ErrorLine]) -> str:
    return home.telling("\n".join(ansi.plain(line.message) for line in of_last_attempt(lines)))


def _failure(
    newest: Recent, ones: Sequence[Recent], said: str, commit: CommitBrief | None
) -> Attention:
    often = len(ones)
    more = "at least " if often >= LOOKED_BACK else ""
    return Attention(
        state="FAILED",
        namespace=newest.namespace,
        flow_id=newest.flow_id,
        href=pages.execution_link(newest.namespace, newest.flow_id, newest.id),
        when="Failed" if often == 1 else f"Failed {more}{often} times, first",
        at=ones[-1].created_at,
        said=said,
        commit=commit,
        execution_id=newest.id,
    )


def _degraded(line: SourceLine) -> Attention:
    return Attention(
        state="DEGRADED",
        namespace=f"Git, {line.brief.ref}",
        flow_id=line.brief.id,
        href=pages.git_link(line.brief.id),
        when="",
        why=line.refused or "Its remote cannot be read as it should.",
    )


def _late(trigger: TriggerRecord) -> Attention:
    why = "Its trigger has not fired."
    if trigger.execution_id is not None:
        why = f"Execution {trigger.execution_id} holds the trigger until it has ended."
    return Attention(
        state="LATE",
        namespace=trigger.namespace,
        flow_id=trigger.flow_id,
        href=pages.flow_link(trigger.namespace, trigger.flow_id, "triggers"),
        when="Due",
        at=trigger.next_date,
        why=why,
    )
