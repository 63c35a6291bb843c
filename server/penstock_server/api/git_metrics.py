"""What is measured of Git sources, webhooks, reports and jobs, for those who collect numbers.

How sources stand is read from the store; what was counted is asked of core, which may be gone for a
moment: then only that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from penstock_server.api.context import WebContext
from penstock_server.core.client import CoreBusy, CoreGone, CoreRefused
from penstock_server.store import queries
from penstock_server.store.queries import placing
from penstock_server.sync.measures import BOUNDS

STATUSES = ("Synced", "OutOfSync", "Progressing", "Degraded", "Suspended", "Unknown")
ASKED_SECONDS = 2.0
COUNTERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "git_polls": ("penstock_git_polls", "Looks at repositories", ("source", "result")),
    "report": ("penstock_report", "What forges were told", ("forge", "result")),
    "kill_escalations": (
        "penstock_job_kill_escalations",
        "Jobs whose processes had to be killed",
        (),
    ),
}
SPREADS: Mapping[str, tuple[str, str]] = {
    "git_fetch": ("penstock_git_fetch_seconds", "Time of looks: reaching, fetching, reading"),
    "git_apply": ("penstock_git_apply_seconds", "Time from a plan to its flows being live"),
}
Row = Mapping[str, Any]


class GitMetrics(Collector):
    """Reads all of it anew each time somebody collects."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        """Everything, in the form that the library writes."""
        with self._context.database.read() as connection:
            rows = [row for row in queries.sources(connection) if row["origin"] != "deploy"]
            waiting = placing.waiting_by_labels(connection)
        yield from _of_sources(rows)
        queued = GaugeMetricFamily(
            "penstock_jobs_queued",
            "Jobs that wait for a runner, by the labels that they ask for",
            labels=["digest"],
        )
        for labels, number in sorted(waiting.items()):
            queued.add_metric([",".join(labels)], number)
        yield queued
        try:
            told = self._context.client.call("git.measures", timeout=ASKED_SECONDS)
        except (CoreGone, CoreBusy, CoreRefused):
            return
        yield from _counted(told["counts"])
        yield from _spread(told["spreads"])


def _of_sources(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    status = GaugeMetricFamily(
        "penstock_git_status", "1 for the status of a source", labels=["source", "status"]
    )
    behind = GaugeMetricFamily(
        "penstock_git_behind_commits", "Commits that are not applied", labels=["source"]
    )
    success = GaugeMetricFamily(
        "penstock_git_last_success_timestamp",
        "When a repository last answered, in seconds since 1970",
        labels=["source"],
    )
    for row in rows:
        for one in STATUSES:
            status.add_metric([row["id"], one], 1 if row["status"] == one else 0)
        behind.add_metric([row["id"]], row["behind"])
        at: datetime | None = row["observed_at"]
        if at is not None:
            success.add_metric([row["id"]], at.timestamp())
    yield from (status, behind, success)


def _counted(counts: list[list[Any]]) -> Iterator[Metric]:
    families = {
        name: CounterMetricFamily(shown, text, labels=list(labels))
        for name, (shown, text, labels) in COUNTERS.items()
    }
    if not any(name == "kill_escalations" for name, *_ in counts):
        families["kill_escalations"].add_metric([], 0)
    for name, *labels, number in counts:
        if name in families:
            families[name].add_metric(labels, number)
    yield from families.values()


def _spread(spreads: Mapping[str, Any]) -> Iterator[Metric]:
    for name, (shown, text) in SPREADS.items():
        family = HistogramMetricFamily(shown, text)
        told = spreads.get(name) or {"buckets": [0] * (len(BOUNDS) + 1), "total": 0.0}
        buckets: list[tuple[str, float]] = []
        so_far = 0
        for bound, number in zip([*map(str, BOUNDS), "+Inf"], told["buckets"], strict=True):
            so_far += number
            buckets.append((bound, so_far))
        family.add_metric([], buckets, sum_value=told["total"])
        yield family
