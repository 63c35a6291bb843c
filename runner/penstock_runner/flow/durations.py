"""Durations as flow files write them: ISO 8601 text, or seconds as a number or text."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

LONGEST = timedelta(days=365_000)
"""A thousand years: more cannot be added to every date, and nobody waits for it."""
_SECONDS = re.compile(r"[-+]?\d{1,12}(?:\.\d{1,9})?")
_ISO = re.compile(
    r"[-+]?P(?=.)(?:[-+]?\d+Y)?(?:[-+]?\d+M)?(?:[-+]?\d+W)?(?:[-+]?\d+D)?"
    r"(?:T(?=.)(?:[-+]?\d+H)?(?:[-+]?\d+M)?(?:[-+]?\d+(?:[.,]\d+)?S)?)?",
    re.IGNORECASE,
)
_PART = re.compile(r"([-+]?[\d.,]+)([YMWDHS])")
# A year counts 365 days and a month 30: no calendar is at hand, and none is needed to wait.
_DATE_UNITS = {"Y": 365 * 86400, "M": 30 * 86400, "W": 7 * 86400, "D": 86400}
_TIME_UNITS = {"H": 3600, "M": 60, "S": 1}


class BadDuration(ValueError):
    """The text is no duration."""


def parse(value: object) -> timedelta:
    """The duration that a value of a flow file means."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadDuration(f"{value!r} is not a duration: write PT30S or a number of seconds")
    try:
        if not isinstance(value, str):
            return _bounded(timedelta(seconds=value))
        text = value.strip()
        if _SECONDS.fullmatch(text):
            return _bounded(timedelta(seconds=float(text)))
        return parse_iso(text)
    except (OverflowError, ValueError) as error:
        if isinstance(error, BadDuration):
            raise
        raise BadDuration(f"{str(value)[:64]} is too long for a duration") from None


def parse_iso(text: str) -> timedelta:
    """The duration of an ISO 8601 text; the whole and each part may have a sign."""
    if len(text) > 64 or not _ISO.fullmatch(text):
        raise BadDuration(f"{text[:64]!r} is not a duration: write PT30S, PT1H30M or P1D")
    sign = -1 if text.startswith("-") else 1
    head, _, tail = text.upper().lstrip("+-").removeprefix("P").partition("T")
    seconds = Decimal(0)
    for part, units in ((head, _DATE_UNITS), (tail, _TIME_UNITS)):
        for number, unit in _PART.findall(part):
            seconds += Decimal(number.replace(",", ".")) * units[unit]
    try:
        return _bounded(timedelta(microseconds=int(sign * seconds * 1_000_000)))
    except OverflowError:
        raise BadDuration(f"{text} is too long for a duration") from None


def _bounded(found: timedelta) -> timedelta:
    if abs(found) > LONGEST:
        raise OverflowError
    return found


def to_iso(value: timedelta) -> str:
    """The ISO 8601 text of a duration, in hours, minutes and seconds."""
    if not value:
        return "PT0S"
    micros = round(value / timedelta(microseconds=1))
    sign = -1 if micros < 0 else 1
    minutes, rest = divmod(abs(micros), 60_000_000)
    hours, minutes = divmod(minutes, 60)
    text = "PT" + (f"{sign * hours}H" if hours else "") + (f"{sign * minutes}M" if minutes else "")
    if rest:
        seconds = f"{rest // 1_000_000}.{rest % 1_000_000:06d}".rstrip("0").rstrip(".")
        text += f"{'-' if sign < 0 else ''}{seconds}S"
    return text
