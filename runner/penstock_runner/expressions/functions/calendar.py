"""Functions about days: comparing dates, weekends, parts of a date."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.dates import names
from penstock_runner.expressions.filters.dates import placed
from penstock_runner.expressions.scope import Frame

CALENDAR: Table = {}


@offer(CALENDAR, "isDateAfter", "date", "after", required=2, in_frame=True)
def is_after(frame: Frame, date: object, other: object) -> bool:
    """Whether a date is after another."""
    return placed(frame, date, None, None) > placed(frame, other, None, None)


@offer(CALENDAR, "isDateBefore", "date", "before", required=2, in_frame=True)
def is_before(frame: Frame, date: object, other: object) -> bool:
    """Whether a date is before another."""
    return placed(frame, date, None, None) < placed(frame, other, None, None)


@offer(CALENDAR, "isDateBetween", "date", "after", "before", required=3, in_frame=True)
def is_between(frame: Frame, date: object, after: object, before: object) -> bool:
    """Whether a date is after one and before another."""
    moment = placed(frame, date, None, None)
    return placed(frame, after, None, None) < moment < placed(frame, before, None, None)


def _about(name: str, answer: Callable[[datetime], object]) -> None:
    @offer(CALENDAR, name, "date", "timeZone", in_frame=True)
    def about(frame: Frame, date: object, time_zone: object) -> object:
        value = frame.services.now() if date is None else date
        return answer(placed(frame, value, time_zone, None))


def _last_working_day(moment: datetime) -> bool:
    following = moment + timedelta(days=3 if moment.weekday() == 4 else 1)
    return moment.weekday() < 5 and following.month != moment.month


_about("isWeekend", lambda m: m.weekday() >= 5)
_about("isLastWorkingDay", _last_working_day)
_about("dayOfWeek", lambda m: names.DAYS[m.weekday()].upper())
_about("dayOfMonth", lambda m: m.day)
_about("monthOfYear", lambda m: m.month)
_about("hourOfDay", lambda m: m.hour)
_about("minuteOfHour", lambda m: m.minute)
