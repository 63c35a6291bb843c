"""The first page: its sentence, what needs attention, what runs, how the days went. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock_server.store.queries.briefs import Brief, CommitBrief, Recent
from penstock_server.store.queries.home import Bucket, SourceBrief
from penstock_server.web import formats, spans, states
from penstock_server.web.rows import ListRow

RANGES: Mapping[str, tuple[str, timedelta, int]] = {
    "6h": ("6 h", timedelta(hours=6), 24),
    "24h": ("24 h", timedelta(hours=24), 24),
    "7d": ("7 d", timedelta(days=7), 28),
    "30d": ("30 d", timedelta(days=30), 30),
}
DAYS = 14
ABOVE = 80
BELOW = 32
BASE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Something a person should look at."""

    state: str
    namespace: str
    flow_id: str
    href: str
    when: str
    at: datetime | None = None
    said: str = ""
    why: str = ""
    commit: CommitBrief | None = None
    execution_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An execution that has not ended."""

    id: str
    namespace: str
    flow_id: str
    state: str
    at: str
    since: datetime
    seconds: float
    usual: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One bar of the chart, in per cent and pixels."""

    x: float
    width: float
    y: float
    height: float
    state: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Executions over time."""

    bars: tuple[Column, ...]
    top: int
    axis: tuple[str, ...]
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How the last days went, as a line; days without an execution have no point."""

    path: str
    low: str
    first: str
    today: str | None
    today_x: float
    today_y: float
    failed_today: bool
    whole: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """A Git source with the word for how it stands."""

    brief: SourceBrief
    state: str
    word: str
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """All of the page."""

    sentence: str
    doing: str
    range: str
    range_name: str
    bucket_name: str
    total: int
    open_count: int
    attention: tuple[Attention, ...]
    running: tuple[Running, ...]
    chart: Chart | None
    rates: Rates | None
    sources: tuple[SourceLine, ...]
    next: tuple[object, ...]
    recent: tuple[ListRow, ...]
    last_failure: tuple[str, str, datetime] | None


def sentence(
    *,
    failing: int,
    late: int,
    total: int,
    failed: int,
    range_name: str,
    next_at: datetime | None,
    alive: bool = True,
    degraded: int = 0,
) -> str:
    """The answer to "is anything wrong?"."""
    if not alive:
        return "Nothing runs: no runner is alive."
    wrong = [
        (failing, "flow", "failing"),
        (late, "flow", "late"),
        (degraded, "Git source", "degraded"),
    ]
    if said := _joined([one for one in wrong if one[0]]):
        return said
    if total == 0:
        due = f" The first schedule is due at {next_at:%H:%M}." if next_at is not None else ""
        return f"Nothing has run in the last {range_name}.{due}"
    told = "none failed" if failed == 0 else f"{failed:,} failed, all flows have recovered"
    return f"All well. {formats.some(total, 'execution')} in {range_name}, {told}."


def _joined(wrong: Sequence[tuple[int, str, str]]) -> str:
    """What is wrong as one sentence; a noun that was just named is not named again."""
    parts: list[str] = []
    before = ""
    for number, noun, how in wrong:
        word = formats.spelled(number)
        named = "" if noun == before else f" {noun}{'' if number == 1 else 's'}"
        verb = "is" if number == 1 else "are"
        parts.append(f"{word.lower() if parts else word}{named} {verb} {how}")
        before = noun
    return ", ".join(parts) + "." if parts else ""


def doing(counts: Mapping[str, int]) -> str:
    """What goes on, in a few words."""
    going = sum(counts.get(state, 0) for state in states.GOING)
    waiting = counts.get("QUEUED", 0) + counts.get("CREATED", 0)
    parts = []
    if going:
        parts.append(f"{going:,} running")
    if waiting:
        parts.append(f"{waiting:,} queued")
    if paused := counts.get("PAUSED", 0):
        parts.append(f"{paused:,} paused")
    return ", ".join(parts) or "Nothing runs"


def failing(recents: Sequence[Recent]) -> tuple[Recent, ...]:
    """The failures since the last good end, the newest first; none when the last one was good."""
    found = []
    for one in recents:
        if one.state == "FAILED":
            found.append(one)
        elif one.state not in states.OPEN and one.state not in {"CANCELLED", "KILLED", "RETRIED"}:
            break
    return tuple(found)


def telling(said: str) -> str:
    """The last two lines that begin at the margin: below a traceback stands what it is about."""
    lines = said.splitlines()
    return "\n".join([line for line in lines if line[:1].strip()][-2:]) or said


def running(
    brief: Brief, tasks: Sequence[str], recents: Sequence[Recent], now: datetime
) -> Running:
    """One line of what runs."""
    execution = brief.execution
    state = execution.state.value
    at = " / ".join(tasks[:4]) if tasks else states.label(state)
    return Running(
        id=execution.id,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        state=state,
        at=f"Paused at {tasks[-1]}" if state == "PAUSED" and tasks else at,
        since=execution.history[0][1],
        seconds=spans.elapsed(execution.history, now),
        usual=spans.usual(recents),
    )


SHOWN_AS: Mapping[str, str] = {"SUCCESS": "SUCCESS", "WARNING": "WARNING", "FAILED": "FAILED"}


def chart(buckets: Sequence[Bucket], parts: int, since: datetime, width: timedelta) -> Chart | None:
    """Bars above the line for what went well, below it for what failed."""
    if not buckets:
        return None
    counts: dict[int, dict[str, int]] = {}
    for one in buckets:
        state = SHOWN_AS.get(one.state, "RUNNING" if one.state in states.OPEN else "CANCELLED")
        place = min(max(one.place, 0), parts - 1)
        column = counts.setdefault(place, {})
        column[state] = column.get(state, 0) + one.count
    top = max(sum(n for s, n in column.items() if s != "FAILED") for column in counts.values())
    worst = max(column.get("FAILED", 0) for column in counts.values())
    unit = min(ABOVE / max(top, 1), BELOW / max(worst, 1) if worst else ABOVE)
    bars = []
    for place, column in sorted(counts.items()):
        bars += _stack(place, column, parts, unit, since + place * width)
    failed = sum(column.get("FAILED", 0) for column in counts.values())
    total = sum(sum(column.values()) for column in counts.values())
    ticks = [since + width * (parts * n / 4) for n in range(4)]
    form = "%H:%M" if parts * width <= timedelta(days=1) else "%-d %b"
    return Chart(
        bars=tuple(bars),
        top=max(round(ABOVE / unit), 1),
        axis=(*(f"{at:{form}}" for at in ticks), "now"),
        told=f"{formats.some(total, 'execution')}, {failed:,} failed",
    )


def _stack(
    place: int, column: Mapping[str, int], parts: int, unit: float, at: datetime
) -> list[Column]:
    step = 100 / parts
    told = ", ".join(f"{n:,} {states.label(s).lower()}" for s, n in column.items())
    title = f"{at:%-d %b %H:%M}, {told}"
    bars = []
    y = float(BASE)
    for state in ("SUCCESS", "CANCELLED", "WARNING", "RUNNING"):
        height = column.get(state, 0) * unit
        if height:
            y -= height
            bars.append(_column(place, step, y, height=height, state=state, title=title))
    if below := column.get("FAILED", 0) * unit:
        bars.append(
            _column(place, step, BASE + 3, height=max(below, 3), state="FAILED", title=title)
        )
    return bars


def _column(place: int, step: float, y: float, *, height: float, state: str, title: str) -> Column:
    return Column(
        x=place * step,
        width=step * 0.72,
        y=round(y, 1),
        height=round(height, 1),
        state=state,
        title=title,
    )


def rates(buckets: Sequence[Bucket], since: datetime) -> Rates | None:
    """The rate of success of each day, and over all of them; None when nothing has ended."""
    good = [0] * DAYS
    bad = [0] * DAYS
    for one in buckets:
        if one.state in {"SUCCESS", "WARNING"} and 0 <= one.place < DAYS:
            good[one.place] += one.count
        elif one.state == "FAILED" and 0 <= one.place < DAYS:
            bad[one.place] += one.count
    total = sum(good) + sum(bad)
    if total == 0:
        return None
    points = {n: good[n] / (good[n] + bad[n]) * 100 for n in range(DAYS) if good[n] + bad[n]}
    low = min(float(min(points.values()) // 10 * 10), 90.0)
    spots = {n: (n + 0.5, _height(rate, low)) for n, rate in points.items()}
    last = max(points)
    today = _rate(good[-1], good[-1] + bad[-1]) if last == DAYS - 1 else None
    whole = _rate(sum(good), total)
    return Rates(
        path="M" + " ".join(f"{x:g} {y:g}" for x, y in spots.values()),
        low=f"{low:.0f} %",
        first=f"{since.day} {since:%b}",
        today=today,
        today_x=spots[last][0] / DAYS * 100,
        today_y=spots[last][1],
        failed_today=bad[last] > 0,
        whole=whole,
        told=f"Success over 14 days: {whole}" + (f", today {today}" if today else ""),
    )


def _height(rate: float, low: float) -> float:
    """Where a rate is in the graphic, in pixels from its top."""
    return round(18 + (100 - rate) / (100 - low) * 40, 1)


def _rate(good: int, total: int) -> str:
    value = good / total * 100
    # 99.96 is not all: what is not whole is never rounded up to it.
    shown = min(round(value, 1), 99.9) if good < total else 100.0
    return f"{shown:.1f} %".replace(".0 %", " %")


def source_line(brief: SourceBrief) -> SourceLine:
    """A Git source for the list at the side."""
    state = brief.status.upper()
    refused = ""
    if brief.failed is not None and brief.failed != brief.applied:
        keeps = " This commit keeps running." if brief.applied else ""
        refused = f"{brief.failed[:7]} was refused.{keeps}"
    return SourceLine(brief=brief, state=state, word=states.label(state), refused=refused)
