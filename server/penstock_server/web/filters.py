"""What the list of executions is filtered by: read from its address, shown as chips. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from werkzeug.datastructures import MultiDict

from penstock_server.store.queries import ExecutionFilter
from penstock_server.web import pages, states

RANGES: Mapping[str, tuple[str, timedelta]] = {
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 h", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
}
PATH = "/executions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The fields of the filter form, as given."""

    q: str = ""
    state: tuple[str, ...] = ()
    namespace: str = ""
    flow: str = ""
    label: tuple[str, ...] = ()
    range: str = ""

    @property
    def values(self) -> dict[str, object]:
        """The filter as parts of an address."""
        return {
            "q": self.q,
            "state": self.state,
            "namespace": self.namespace,
            "flow": self.flow,
            "label": self.label,
            "range": self.range,
        }

    @property
    def any(self) -> bool:
        """Whether anything is filtered."""
        return any(self.values.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One filter that is on, with the address of the list without it."""

    field: str
    value: str
    without: str


def read(args: MultiDict[str, str]) -> Filters:
    """The filter of an address; what is no value of its field is left out."""
    found = [part.strip().upper() for text in args.getlist("state") for part in text.split(",")]
    chosen = args.get("range", "")
    return Filters(
        q=args.get("q", "").strip()[:200],
        state=tuple(dict.fromkeys(s for s in found if s in states.EXECUTION_STATES)),
        namespace=args.get("namespace", "").strip()[:150],
        flow=args.get("flow", "").strip()[:100],
        label=tuple(text for text in args.getlist("label") if _pair(text) is not None)[:10],
        range=chosen if chosen in RANGES else "",
    )


def wanted(filters: Filters, now: datetime) -> ExecutionFilter:
    """The filter as the store takes it."""
    start = now - RANGES[filters.range][1] if filters.range else None
    pairs = [_pair(text) for text in filters.label]
    return ExecutionFilter(
        text=filters.q or None,
        namespace=filters.namespace or None,
        flow_id=filters.flow or None,
        states=filters.state,
        labels=[pair for pair in pairs if pair is not None],
        start=start,
    )


def chips(filters: Filters, path: str = PATH) -> tuple[Chip, ...]:
    """What is filtered, each with the way out; the search field shows itself."""
    found = []
    if filters.range:
        found.append(_chip(path, filters, "started", RANGES[filters.range][0], {"range": ""}))
    for state in filters.state:
        rest = tuple(other for other in filters.state if other != state)
        found.append(_chip(path, filters, "state", states.label(state).lower(), {"state": rest}))
    if filters.namespace:
        found.append(_chip(path, filters, "namespace", filters.namespace, {"namespace": ""}))
    if filters.flow:
        found.append(_chip(path, filters, "flow", filters.flow, {"flow": ""}))
    for label in filters.label:
        rest = tuple(other for other in filters.label if other != label)
        found.append(_chip(path, filters, "label", label, {"label": rest}))
    return tuple(found)


def nothing_found(filters: Filters) -> str:
    """The sentence of an empty list."""
    words = " or ".join(states.label(state) for state in filters.state)
    what = f"No execution is {words}" if words else "No execution fits the filter"
    when = f" in the {RANGES[filters.range][0]}" if filters.range else ""
    return f"{what}{when}."


def _chip(
    path: str, filters: Filters, field: str, value: str, changed: Mapping[str, object]
) -> Chip:
    without = pages.query_link(path, {**filters.values, **changed})
    return Chip(field=field, value=value, without=without)


def _pair(text: str) -> tuple[str, str] | None:
    key, colon, value = text.partition(":")
    pair = (key.strip(), value.strip())
    return pair if colon and all(pair) else None


def summed(counts: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    """The states worth naming beside a total, the gravest first."""
    shown = ("FAILED", "WARNING", "PAUSED", "RUNNING", "RETRYING", "QUEUED")
    return [(state, counts[state]) for state in shown if counts.get(state)]
