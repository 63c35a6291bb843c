"""Stretches of time of executions and task runs, out of their histories. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from penstock_runner.engine.state import History, State, TaskRun
from penstock_server.store.queries.briefs import Recent

BEGUN = frozenset({State.RUNNING, State.RETRYING, State.PAUSED, State.KILLING})
USUAL_OF = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time in one state; `open` when it has not ended."""

    state: str
    start: datetime
    end: datetime
    open: bool = False

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start).total_seconds()


def elapsed(history: History, now: datetime) -> float:
    """Seconds from the beginning to the end, or to the present."""
    start = history[0][1]
    end = history[-1][1] if history[-1][0].terminal else max(now, history[-1][1])
    return (end - start).total_seconds()


def phases(history: History, now: datetime) -> tuple[Span, ...]:
    """What an execution did one after the other; the last of its work has the colour of its end."""
    spans: list[Span] = []
    ended = history[-1][0]
    for (state, start), (following, end) in pairwise(history):
        shown = state
        if state in BEGUN and following.terminal:
            shown = following
        elif state is State.RUNNING and following is State.KILLING and ended.terminal:
            shown = ended
        spans.append(Span(state=shown.value, start=start, end=end))
    last, since = history[-1]
    if not last.terminal:
        spans.append(Span(state=last.value, start=since, end=max(now, since), open=True))
    return tuple(spans)


def attempts(run: TaskRun, now: datetime) -> tuple[Span, ...]:
    """The attempts of a task run with the waits between them."""
    spans: list[Span] = []
    for attempt in run.attempts:
        start, (state, last) = attempt.history[0][1], attempt.history[-1]
        if spans and spans[-1].end < start:
            spans.append(Span(state="RETRYING", start=spans[-1].end, end=start))
        end = last if state.terminal else max(now, last)
        spans.append(Span(state=state.value, start=start, end=end, open=not state.terminal))
    waiting, since = run.history[-1]
    if spans and waiting is State.RETRYING:
        start = spans[-1].end
        spans.append(Span(state="RETRYING", start=start, end=max(now, since), open=True))
    return tuple(spans) or _whole(run, now)


def _whole(run: TaskRun, now: datetime) -> tuple[Span, ...]:
    """A task run that makes no attempts: from its start to its end."""
    state, last = run.history[-1]
    start = run.history[0][1]
    end = last if state.terminal else max(now, last)
    return (Span(state=state.value, start=start, end=end, open=not state.terminal),)


def usual(recents: Sequence[Recent]) -> float | None:
    """The median duration of what went well; None when there is too little to say so."""
    times = [
        (one.ended_at - one.created_at).total_seconds()
        for one in recents
        if one.ended_at is not None and one.state in {"SUCCESS", "WARNING"}
    ]
    return median(times) if len(times) >= USUAL_OF else None
