"""Small graphics of rows: the timeline of an execution, the spark of a flow. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock_runner.engine.state import History
from penstock_server.store.queries.briefs import Recent
from penstock_server.web import formats, spans, states

SPARKS = 24
TICK = 60.0
FULL = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One phase in per cent of the row."""

    x: float
    width: float
    state: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The phases of one execution, scaled so that the tick is the usual duration."""

    pieces: tuple[Piece, ...]
    tick: float | None
    now: float | None
    cut: bool
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """One of a flow's last executions: `height` of 16 pixels."""

    id: str
    x: float
    width: float
    height: float
    state: str
    title: str


def strip(history: History, now: datetime, usual: float | None) -> Strip:
    """The timeline of an execution."""
    parts = spans.phases(history, now)
    total = spans.elapsed(history, now)
    width = usual / TICK * FULL if usual else max(total, 0.001) / (0.8)
    cut = total > width
    pieces = []
    start = history[0][1]
    for part in parts:
        x = (part.start - start).total_seconds() / width * FULL
        end = (part.end - start).total_seconds() / width * FULL
        if x >= FULL:
            break
        length = max(min(end, FULL) - x, 0.4)
        pieces.append(Piece(x=x, width=length, state=part.state, kind=_kind(part.state)))
    told = ", ".join(
        f"{states.label(part.state).lower()} {formats.duration(part.seconds)}" for part in parts
    )
    going = not history[-1][0].terminal
    return Strip(
        pieces=tuple(pieces),
        tick=TICK if usual else None,
        now=min(total / width * FULL, FULL) if going else None,
        cut=cut,
        told=told or states.label(history[-1][0].value).lower(),
    )


def _kind(state: str) -> str:
    if state in {"CREATED", "QUEUED", "RESTARTED"}:
        return "wait"
    if state == "RETRYING":
        return "hat"
    return "thin" if state == "PAUSED" else "solid"


def sparks(recents: Sequence[Recent], now: datetime, size: int = SPARKS) -> tuple[Spark, ...]:
    """The last executions of a flow, the newest on the right."""
    shown = list(reversed(recents[:size]))
    times = [((one.ended_at or now) - one.created_at).total_seconds() for one in shown]
    longest = max(times, default=0.0) or 1.0
    step = FULL / size
    first = size - len(shown)
    return tuple(
        Spark(
            id=one.id,
            x=(first + n) * step,
            width=step * 0.7,
            height=max(round(seconds / longest * 16, 1), 3),
            state=one.state,
            title=f"{states.label(one.state)}, {formats.duration(seconds)}",
        )
        for n, (one, seconds) in enumerate(zip(shown, times, strict=True))
    )
