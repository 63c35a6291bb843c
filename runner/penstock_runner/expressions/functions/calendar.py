"""Functions about days: comparing dates, weekends, parts of a date."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import datetime, timedelta

from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.dates import names
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.filters.dates import placed
from penstock_runner.expressions.scope import Frame
from penstock_runner.expressions.text import printed

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


@offer(
    CALENDAR,
    "isPublicHoliday",
    "date",
    "country",
    "subDivision",
    required=2,
    pure=False,
    in_frame=True,
)
def is_public_holiday(frame: Frame, date: object, country: object, division: object) -> bool:
    """Whether a date is a public holiday of a country, and of one of its parts if that is given."""
    try:
        holidays = importlib.import_module("holidays")
    except ImportError:
        raise ExpressionFailed(
            "isPublicHoliday needs the package holidays: pip install holidays"
        ) from None
    day = placed(frame, date, None, None).date()
    code = printed(country).upper()
    part = None if division is None else printed(division)
    try:
        known = holidays.country_holidays(code, subdiv=part, years=day.year)
    except NotImplementedError as error:
        raise ExpressionFailed(f"No holidays are known for {code}: {error}") from None
    return day in known


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
