"""Durations as flow files write them: ISO 8601 text, or seconds as a number or text."""

from __future__ import annotations

import re
from datetime import timedelta

import isodate

_SECONDS = re.compile(r"[-+]?\d{1,12}(?:\.\d{1,9})?")
_ISO = re.compile(
    r"[-+]?P(?=.)(?:[-+]?\d+Y)?(?:[-+]?\d+M)?(?:[-+]?\d+W)?(?:[-+]?\d+D)?"
    r"(?:T(?=.)(?:[-+]?\d+H)?(?:[-+]?\d+M)?(?:[-+]?\d+(?:[.,]\d+)?S)?)?",
    re.IGNORECASE,
)
_SIGNED_PART = re.compile(r"(?<=[\dA-Za-z])[-+]")


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
            return timedelta(seconds=value)
        text = value.strip()
        return timedelta(seconds=float(text)) if _SECONDS.fullmatch(text) else parse_iso(text)
    except (OverflowError, ValueError) as error:
        if isinstance(error, BadDuration):
            raise
        raise BadDuration(f"{str(value)[:64]} is too long for a duration") from None


def parse_iso(text: str) -> timedelta:
    """The duration of an ISO 8601 text; a year counts 365 days and a month 30."""
    if len(text) > 64 or not _ISO.fullmatch(text) or text.upper() in ("P", "PT"):
        raise BadDuration(f"{text[:64]!r} is not a duration: write PT30S, PT1H30M or P1D")
    if _SIGNED_PART.search(text[2:]) or text[1:2] in "-+" or "P-" in text.upper():
        return _by_parts(text)
    try:
        found: timedelta | isodate.Duration = isodate.parse_duration(text.upper())
    except (ValueError, isodate.ISO8601Error):
        raise BadDuration(f"{text!r} is not a duration: write PT30S, PT1H30M or P1D") from None
    if isinstance(found, timedelta):
        return found
    days = float(found.years) * 365 + float(found.months) * 30
    exact: timedelta = found.tdelta
    return timedelta(days=days) + exact


_UNITS = {"Y": 365 * 86400, "W": 7 * 86400, "D": 86400, "H": 3600, "S": 1}


def _by_parts(text: str) -> timedelta:
    """Durations whose parts carry their own signs, such as PT1H-5M."""
    head, _, tail = text.upper().lstrip("+-").removeprefix("P").partition("T")
    total = 0.0
    for part, month in ((head, 30 * 86400), (tail, 60)):
        for number, unit in re.findall(r"([-+]?[\d.,]+)([YMWDHS])", part):
            total += float(number.replace(",", ".")) * _UNITS.get(unit, month)
    return timedelta(seconds=-total if text.startswith("-") else total)


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
