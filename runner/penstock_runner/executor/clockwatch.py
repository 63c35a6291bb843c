"""Notices that the clock was set: it and the time that passes do not agree.

Instants of executions never run backwards, and what waits for a moment waits until the clock has
reached it; the log of each execution that is under way says that the clock was set.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

# A clock that is kept right moves by less between two looks.
LEAST = timedelta(seconds=30)


class ClockWatch:
    """Compares the clock with a watch that nobody sets; `elapsed` gives seconds from anywhere."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._before: tuple[datetime, float] | None = None

    def jump(self, now: datetime) -> timedelta | None:
        """By how much the clock was set since the last look, if it was."""
        elapsed, before = self._elapsed(), self._before
        self._before = (now, elapsed)
        if before is None:
            return None
        off = now - before[0] - timedelta(seconds=elapsed - before[1])
        return off if abs(off) >= LEAST else None


def said(by: timedelta) -> str:
    """What the log says of it."""
    where = "forward" if by > timedelta() else "back"
    seconds = timedelta(seconds=round(abs(by).total_seconds()))
    return (
        f"The clock of the service jumped {where} by {seconds}: "
        "what waits for a moment goes on when the clock has reached it"
    )
