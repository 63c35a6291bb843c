"""Windows of time in which several upstream executions must be seen, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo

from penstock_runner.tasks.triggers import TimeWindow

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What has held since `start`; it counts until `end`."""

    start: datetime
    end: datetime
    held: Mapping[str, str] = field(default_factory=dict)
    """Names of conditions, each with the execution for which it held last."""

    def open(self, now: datetime) -> bool:
        """Whether what has held still counts."""
        return self.start <= now < self.end


def opened(kind: TimeWindow, now: datetime, zone: tzinfo) -> Window:
    """The window that begins with an execution at `now`."""
    window = aligned(kind, now, zone)
    length = kind.window or _DAY
    if kind.type == "DURATION_WINDOW" and length > timedelta(0):
        # An advance may put the window beside the moment: the one around it is meant.
        beside = length * ((now - window.start) // length)
        window = Window(start=window.start + beside, end=window.end + beside)
    return window


def aligned(kind: TimeWindow, now: datetime, zone: tzinfo) -> Window:
    """The window of a moment as the clock of the zone cuts it."""
    local = now.astimezone(zone).replace(microsecond=0)
    length = kind.window or _DAY
    midnight = local.replace(hour=0, minute=0, second=0)
    match kind.type:
        case "SLIDING_WINDOW":
            return Window(start=local, end=local + length)
        case "DAILY_TIME_WINDOW":
            return Window(start=_at(local, kind.start_time), end=_at(local, kind.end_time))
        case "DAILY_TIME_DEADLINE":
            return Window(start=midnight, end=_at(local, kind.deadline))
        case "DURATION_WINDOW":
            start = _cut(local, length) + (kind.window_advance or timedelta(0))
            return Window(start=start, end=start + length - _MILLISECOND)


def _cut(local: datetime, length: timedelta) -> datetime:
    if length >= _DAY:
        local = local.replace(hour=0)
    if length >= _HOUR:
        local = local.replace(minute=0)
    if length >= _MINUTE:
        minutes = length // _MINUTE
        local = local.replace(minute=local.minute // minutes * minutes, second=0)
    return local


def _at(local: datetime, moment: time | None) -> datetime:
    if moment is None:
        return local
    if moment.tzinfo is not None:
        return datetime.combine(local.astimezone(moment.tzinfo).date(), moment)
    return datetime.combine(local.date(), moment, tzinfo=local.tzinfo)
