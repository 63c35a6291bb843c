"""Cron expressions: the next and the previous moment, in a time zone, pure.

Five fields (minute, hour, day of month, month, day of week), six with seconds first, or a nickname.
With both days restricted, either of them will do. When clocks change, a schedule at fixed hours
fires once a day: a time that is skipped moves forward by the gap, one that comes twice counts the
first time. A schedule for every hour follows real time and fires in both of the repeated hours.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from penstock_runner.flow.literals import cron_reason

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
_DAYS = "SUN MON TUE WED THU FRI SAT"
_NAMES = {name: number for number, name in enumerate(_MONTHS.split(), 1)}
_NAMES |= {name: number for number, name in enumerate(_DAYS.split())}
_SECOND = timedelta(seconds=1)
# No leap day is further away than this, and no clock change longer than the second.
_YEARS = 9
_CHANGE = timedelta(hours=3)


class BadCron(Exception):
    """The text is no cron expression; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A cron expression in a zone."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None
    zone: tzinfo

    @property
    def hourly(self) -> bool:
        """Whether every hour counts, so that real time is followed and not the wall clock."""
        return len(self.hours) == 24

    def after(self, moment: datetime) -> datetime | None:
        """The first date after a moment, in the zone; None when there is none within years."""
        moment = moment.astimezone(self.zone).replace(microsecond=0)
        found = self._follow(moment) if self.hourly else self._by_wall(moment)
        return found.astimezone(self.zone) if found is not None else None

    def at_or_after(self, moment: datetime) -> datetime | None:
        """The first date at or after a moment."""
        instant = moment.astimezone(UTC)
        whole = instant.replace(microsecond=0)
        return self.after(whole - _SECOND if whole == instant else whole)

    def before(self, moment: datetime) -> datetime | None:
        """The last date before a moment."""
        local = moment.astimezone(self.zone)
        for naive in self._backwards(local.replace(tzinfo=None)):
            found = self._instant(naive)
            if found < moment.astimezone(UTC):
                # Where an hour comes twice, or was skipped, there may be later ones.
                while (later := self.after(found)) is not None and later < moment:
                    found = later.astimezone(UTC)
                return found.astimezone(self.zone)
        return None

    def _by_wall(self, moment: datetime) -> datetime | None:
        """Fixed hours: the wall clock's dates in order, each at the first moment that shows it."""
        instant = moment.astimezone(UTC)
        naive = moment.replace(tzinfo=None)
        earlier = (instant - _CHANGE).astimezone(self.zone)
        if earlier.utcoffset() != moment.utcoffset():
            # A date that was skipped has moved to a later time of the clock.
            naive -= _CHANGE
        for one in self._forwards(naive):
            found = self._instant(one)
            if found > instant:
                return found
        return None

    def _follow(self, moment: datetime) -> datetime | None:
        """Every hour: real time is followed, also through hours that come twice."""
        instant = moment.astimezone(UTC)
        naive = moment.replace(tzinfo=None)
        following = next(self._forwards(naive), None)
        change = self._change_after(instant)
        if following is not None:
            found = instant + (following - naive)
            if change is None:
                # Within one offset the wall clock runs as time does; a later change is the zone's.
                same = found.astimezone(self.zone).utcoffset() == moment.utcoffset()
                return found if same else self._instant(following)
            if found < change:
                return found
        if change is None:
            return None
        wall = change.astimezone(self.zone).replace(tzinfo=None)
        there = next(self._forwards(wall - _SECOND), None)
        return change + (there - wall) if there is not None else None

    def _change_after(self, instant: datetime) -> datetime | None:
        """When the zone's offset changes next, if that is within some hours."""
        offset = instant.astimezone(self.zone).utcoffset()
        low, high = instant, instant + _CHANGE
        if high.astimezone(self.zone).utcoffset() == offset:
            return None
        while high - low > _SECOND:
            middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
            if middle.astimezone(self.zone).utcoffset() == offset:
                low = middle
            else:
                high = middle
        return high

    def _instant(self, naive: datetime) -> datetime:
        # Without a fold Python takes the first of two, and the offset before a gap.
        return naive.replace(tzinfo=self.zone).astimezone(UTC)

    def _forwards(self, naive: datetime) -> Iterator[datetime]:
        """Times of the wall clock after one, in order."""
        day: date | None = naive.date()
        last = naive.year + _YEARS
        while day is not None and day.year <= last:
            if self._fits(day):
                start = naive.time() if day == naive.date() else None
                yield from self._times(day, start)
            day = self._next_day(day)

    def _backwards(self, naive: datetime) -> Iterator[datetime]:
        """Times of the wall clock before one, backwards."""
        day = naive.date()
        first = naive.year - _YEARS
        while day.year >= first and day.year > 1:
            if day.month not in self.months:
                day = day.replace(day=1) - timedelta(days=1)
                continue
            if self._fits(day):
                for one in reversed(list(self._times(day, None))):
                    if one < naive:
                        yield one
            day -= timedelta(days=1)

    def _next_day(self, day: date) -> date | None:
        if day.year >= 9999:
            return None
        if day.month not in self.months:
            _, length = calendar.monthrange(day.year, day.month)
            return day.replace(day=length) + timedelta(days=1)
        return day + timedelta(days=1)

    def _fits(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        weekday = day.isoweekday() % 7
        if self.days is None:
            return self.weekdays is None or weekday in self.weekdays
        if self.weekdays is None:
            return day.day in self.days
        return day.day in self.days or weekday in self.weekdays

    def _times(self, day: date, after: time | None) -> Iterator[datetime]:
        """The times of one day, those after a time of day only."""
        for hour in self.hours:
            if after is not None and hour < after.hour:
                continue
            for minute in self.minutes:
                if after is not None and (hour, minute) < (after.hour, after.minute):
                    continue
                for second in self.seconds:
                    if after is None or (hour, minute, second) > (
                        after.hour,
                        after.minute,
                        after.second,
                    ):
                        yield datetime(day.year, day.month, day.day, hour, minute, second)  # noqa: DTZ001 - a wall clock


@lru_cache(maxsize=4096)
def parse_cron(expression: str, zone: tzinfo, *, with_seconds: bool = False) -> Cron:
    """Read an expression; raises `BadCron`."""
    reason = cron_reason(expression, with_seconds=with_seconds)
    if reason is not None:
        raise BadCron(reason)
    text = expression.strip()
    nicknamed = _NICKNAMES.get(text.lower())
    fields = (nicknamed or text).split()
    if not with_seconds or nicknamed is not None:
        fields = ["0", *fields]
    second, minute, hour, day, month, weekday = (field.upper() for field in fields)
    return Cron(
        seconds=tuple(sorted(_values(second, 0, 59))),
        minutes=tuple(sorted(_values(minute, 0, 59))),
        hours=tuple(sorted(_values(hour, 0, 23))),
        days=None if day == "*" else frozenset(_values(day, 1, 31)),
        months=frozenset(_values(month, 1, 12)),
        weekdays=None
        if weekday == "*"
        else frozenset(number % 7 for number in _values(weekday, 0, 7)),
        zone=zone,
    )


def _values(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start)
            last = _number(end) if dash else (high if step else first)
        found.update(range(first, last + 1, int(step) if step else 1))
    return found


def _number(text: str) -> int:
    return _NAMES[text] if text in _NAMES else int(text)
