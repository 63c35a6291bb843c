"""How values read on a page: durations, moments, counts. Pure; the present is given."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

MINUTE = 60
HOUR = 3600
DAY = 86_400
SHORT_ID = 6


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: `0.2 s`, `48 s`, `3 min 26 s`, `1 h 2 min`."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0.0)
    if 0 < seconds < 0.05:
        return "<0.1 s"
    if seconds < 10:
        tenths = f"{seconds:.1f}".removesuffix(".0")
        return f"{tenths} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return _pair(whole // MINUTE, "min", whole % MINUTE, "s")
    if whole < DAY:
        return _pair(whole // HOUR, "h", whole % HOUR // MINUTE, "min")
    return _pair(whole // DAY, "d", whole % DAY // HOUR, "h")


def _pair(large: int, unit: str, small: int, below: str) -> str:
    return f"{large} {unit} {small} {below}" if small else f"{large} {unit}"


def rough(seconds: float) -> str:
    """A length of time in its largest unit alone."""
    whole = int(max(seconds, 0.0))
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def moment(at: datetime, now: datetime) -> str:
    """A moment as a distance up to a day, then as a date."""
    seconds = (now - at).total_seconds()
    if abs(seconds) >= DAY:
        return date(at, now)
    if seconds < 0:
        return f"in {_distance(-seconds)}"
    return "just now" if seconds < 1 else f"{_distance(seconds)} ago"


def _distance(seconds: float) -> str:
    if HOUR <= seconds < 10 * HOUR:
        return duration(int(seconds) // MINUTE * MINUTE)
    return rough(seconds)


def date(at: datetime, now: datetime) -> str:
    """A day and a time, with the year when it is another one."""
    at = at.astimezone(UTC)
    year = f" {at.year}" if at.year != now.year else ""
    return f"{at.day} {at:%b}{year} {at:%H:%M}"


def day(at: datetime, now: datetime) -> str:
    """The day of a moment to come; how far it is when that is less than a day."""
    return moment(at, now) if at - now < timedelta(days=1) else f"{at.day} {at:%b}"


def clock(at: datetime) -> str:
    """The time of day."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def stamp(at: datetime) -> str:
    """The whole moment, for a title."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def machine(at: datetime) -> str:
    """The moment as `datetime` attributes write it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def count(number: int) -> str:
    """A number with separators."""
    return f"{number:,}"


def some(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun: `1 flow`, `1,204 flows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


def spelled(number: int) -> str:
    """A small number as a word that begins a sentence."""
    return WORDS[number] if number < len(WORDS) else f"{number:,}"


def percent(value: float) -> str:
    """A position for a graphic, with two digits at most."""
    return f"{round(value, 2):g}%"


def size(number: int) -> str:
    """A number of bytes."""
    value = float(number)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def words(name: str) -> str:
    """A name in camel case as words: HistoryRewritten is History rewritten."""
    return re.sub(r"(?<=[a-z])[A-Z]", lambda found: f" {found[0].lower()}", name)


def sentence(text: str) -> str:
    """The text with a capital at its beginning; an address or a path stays as it is."""
    first = text.partition(" ")[0]
    return text if "/" in first else text[:1].upper() + text[1:]


def short_id(execution_id: str) -> str:
    """The last characters of an id: the first ones are the time, alike for all of an hour."""
    return execution_id[-SHORT_ID:]
