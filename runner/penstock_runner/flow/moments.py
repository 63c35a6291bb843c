"""Instants, dates, times of day and durations as values of inputs; they stay ISO text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from penstock_runner.flow import durations
from penstock_runner.flow.refusals import Bounds, expected

_INSTANT = re.compile(
    r"(?P<day>[+-]?\d{4,9}-\d{2}-\d{2})[Tt](?P<clock>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)"
    r"(?P<zone>Z|z|[+-]\d{2}(?::?\d{2})?)"
)
_LOCAL_TIME = re.compile(r"\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?")
_AFTER, _BEFORE = "it must be after", "it must be before"


def read_instant(value: object, options: Mapping[str, object]) -> object:
    """An instant, in UTC."""
    moment = _moment(value)
    _INSTANT_BOUNDS.hold(moment, options)
    return _instant_text(moment)


def _moment(value: object) -> datetime:
    found = _INSTANT.fullmatch(str(value).strip())
    if found is None:
        cause = "write an instant such as 2024-01-31T08:00:00Z"
        raise expected("DATETIME", value, cause)
    clock = found["clock"]
    if "." in clock:
        clock = clock[:15].ljust(15, "0")
    zone = "+00:00" if found["zone"] in "Zz" else found["zone"]
    try:
        return datetime.fromisoformat(f"{found['day']}T{clock}{zone}")
    except ValueError as error:
        raise expected("DATETIME", value, error) from None


def _instant_text(moment: datetime) -> str:
    try:
        text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    except OverflowError:
        text = moment.replace(tzinfo=None).isoformat()
    return _trim(text) + "Z"


def _trim(text: str) -> str:
    """Without the zeros at the end of a fraction of seconds."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_date(value: object, options: Mapping[str, object]) -> object:
    """A date without a zone."""
    day = _day(value)
    _DATE_BOUNDS.hold(day, options)
    return day.isoformat()


def _day(value: object) -> date:
    try:
        text = str(value).strip()
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError("write a date such as 2024-01-31")
        return date.fromisoformat(text)
    except ValueError as error:
        raise expected("DATE", value, error) from None


def read_time(value: object, options: Mapping[str, object]) -> object:
    """A time of day without a zone."""
    clock = _clock(value)
    _TIME_BOUNDS.hold(clock, options)
    return _trim(clock.isoformat())


def _clock(value: object) -> time:
    text = str(value).strip()
    try:
        if not _LOCAL_TIME.fullmatch(text):
            raise ValueError("write a time such as 08:30:00")
        return time.fromisoformat(text[:15])
    except ValueError as error:
        raise expected("TIME", value, error) from None


def clock_text(clock: time) -> str:
    """A time as messages show it: without seconds when there are none."""
    return _trim(clock.isoformat()) if clock.second or clock.microsecond else clock.isoformat()[:5]


_INSTANT_BOUNDS = Bounds(
    "after", "before", _AFTER, _BEFORE, _moment, lambda limit: _instant_text(_moment(limit))
)
_DATE_BOUNDS = Bounds("after", "before", _AFTER, _BEFORE, _day, lambda limit: str(_day(limit)))
_TIME_BOUNDS = Bounds(
    "after", "before", _AFTER, _BEFORE, _clock, lambda limit: clock_text(_clock(limit))
)
_DURATION_BOUNDS = Bounds(
    "min",
    "max",
    "It must be more than",
    "It must be less than",
    durations.parse,
    lambda limit: durations.to_iso(durations.parse(limit)),
)


def read_duration(value: object, options: Mapping[str, object]) -> object:
    """A length of time, as ISO text only."""
    length = _length(value)
    _DURATION_BOUNDS.hold(length, options)
    return durations.to_iso(length)


def _length(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return durations.parse_iso(str(value).strip())
    except durations.BadDuration as error:
        raise expected("DURATION", value, error) from None
