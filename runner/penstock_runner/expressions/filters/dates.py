"""Filters of dates."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.dates.moments import to_moment, zone
from penstock_runner.expressions.dates.patterns import format_java
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.filters.arguments import text_argument, whole_argument
from penstock_runner.expressions.scope import Frame

DATES: Table = {}
_LENGTHS = {
    "MICROS": timedelta(microseconds=1),
    "MILLIS": timedelta(milliseconds=1),
    "SECONDS": timedelta(seconds=1),
    "MINUTES": timedelta(minutes=1),
    "HOURS": timedelta(hours=1),
    "HALF_DAYS": timedelta(hours=12),
}
_DAYS = {"DAYS": 1, "WEEKS": 7}
_MONTHS = {"MONTHS": 1, "YEARS": 12, "DECADES": 120, "CENTURIES": 1200, "MILLENNIA": 12000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def placed(frame: Frame, value: object, time_zone: object, existing_format: object) -> datetime:
    """The date-time of a value in the zone asked for, or in the default one."""
    name = (
        frame.expressions.default_zone
        if time_zone is None
        else text_argument(time_zone, "date", "timeZone")
    )
    local = zone(name)
    existing = (
        None
        if existing_format is None
        else text_argument(existing_format, "date", "existingFormat")
    )
    try:
        return to_moment(value, local, existing).astimezone(local)
    except OverflowError:
        raise ExpressionFailed("The date is outside of the years 1 to 9999") from None


def shown(moment: datetime, pattern: object, locale: object) -> str:
    """The date-time in the format asked for, `iso` when there is none."""
    language = None if locale is None else text_argument(locale, "date", "locale")
    name = "iso" if pattern is None else text_argument(pattern, "date", "format")
    return format_java(moment, name, language)


@offer(DATES, "date", "format", "timeZone", "existingFormat", "locale", in_frame=True)
def date(frame: Frame, value: object, *given: object) -> str:
    """The date in a format."""
    pattern, zone_, existing, locale = given
    return shown(placed(frame, value, zone_, existing), pattern, locale)


@offer(
    DATES,
    "dateAdd",
    "amount",
    "unit",
    "format",
    "timeZone",
    "existingFormat",
    "locale",
    required=2,
    in_frame=True,
)
def date_add(frame: Frame, value: object, *given: object) -> str:
    """The date moved by an amount of a unit such as `DAYS`, in a format."""
    amount, unit, pattern, zone_, existing, locale = given
    moment = placed(frame, value, zone_, existing)
    count = whole_argument(amount, "dateAdd", "amount")
    return shown(added(moment, count, unit), pattern, locale)


def added(moment: datetime, count: int, unit: object) -> datetime:
    """The date-time moved: days and longer keep the time of day, shorter units are exact."""
    name = unit.upper() if isinstance(unit, str) else ""
    try:
        if name == "NANOS":
            return moment + timedelta(microseconds=count // 1000)
        if name in _LENGTHS:
            return (moment.astimezone(UTC) + _LENGTHS[name] * count).astimezone(moment.tzinfo)
        if name in _DAYS:
            return moment + timedelta(days=_DAYS[name] * count)
        if name in _MONTHS:
            return _plus_months(moment, _MONTHS[name] * count)
    except (OverflowError, ValueError):
        raise ExpressionFailed("The date is outside of the years 1 to 9999") from None
    known = ", ".join(["NANOS", *_LENGTHS, *_DAYS, *_MONTHS])
    raise ExpressionFailed(f"Unknown unit {str(unit)[:40]!r} of 'dateAdd': it is one of {known}")


def _plus_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


@offer(DATES, "timestamp", "timeZone", "existingFormat", in_frame=True)
def timestamp(frame: Frame, value: object, zone_: object, existing: object) -> int:
    """Seconds since 1970."""
    return _micros(placed(frame, value, zone_, existing)) // 10**6


@offer(DATES, "timestampMilli", "timeZone", "existingFormat", in_frame=True)
def timestamp_milli(frame: Frame, value: object, zone_: object, existing: object) -> int:
    """Milliseconds since 1970."""
    return _micros(placed(frame, value, zone_, existing)) // 1000


@offer(DATES, "timestampMicro", "timeZone", "existingFormat", in_frame=True)
def timestamp_micro(frame: Frame, value: object, zone_: object, existing: object) -> str:
    """Seconds since 1970 times 10^9, plus the microseconds of the second."""
    seconds, micros = divmod(_micros(placed(frame, value, zone_, existing)), 10**6)
    return str(seconds * 10**9 + micros)


@offer(DATES, "timestampNano", "timeZone", "existingFormat", in_frame=True)
def timestamp_nano(frame: Frame, value: object, zone_: object, existing: object) -> str:
    """Nanoseconds since 1970."""
    return str(_micros(placed(frame, value, zone_, existing)) * 1000)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
