"""Values as text: what a print shows, what `~` joins, and the ISO forms of dates and durations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.limits import Budget
from penstock_runner.expressions.numbers import number_text


def printed(value: object) -> str:
    """What `{{ value }}` prints: maps and lists as JSON, nothing for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        from penstock_runner.expressions.json_text import write

        return write(value)
    return scalar_text(value)


def plain(value: object) -> str:
    """The plain text of a value, as `~`, `+` and `join` use it: `{a=1}`, `[1, 2]`, `null`."""
    if isinstance(value, str):
        return value
    parts: list[str] = []
    _plain(value, parts, Budget())
    return "".join(parts)


def _plain(value: object, parts: list[str], budget: Budget) -> None:
    if isinstance(value, Mapping):
        _joined(((f"{plain(key)}=", item) for key, item in value.items()), "{}", parts, budget)
    elif isinstance(value, (list, tuple, set, frozenset)):
        _joined((("", item) for item in value), "[]", parts, budget)
    else:
        text = "null" if value is None else value if isinstance(value, str) else scalar_text(value)
        budget.spend(len(text))
        parts.append(text)


def _joined(items: object, ends: str, parts: list[str], budget: Budget) -> None:
    parts.append(ends[0])
    first = True
    for label, item in items:  # type: ignore[attr-defined]
        parts.append(label if first else f", {label}")
        budget.spend(len(label) + 2)
        _plain(item, parts, budget)
        first = False
    parts.append(ends[1])


def scalar_text(value: object) -> str:
    """A value that is neither text, null, map nor list, as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return number_text(value)
    if isinstance(value, datetime):
        return datetime_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return time_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise ExpressionFailed(f"A value of type {type(value).__name__} cannot be printed")


def datetime_text(value: datetime) -> str:
    """An instant (UTC) with seconds and `Z`; else date, time without zero seconds, offset."""
    fraction = _thousands(value.microsecond)
    if value.tzinfo is UTC:
        return f"{value:%Y-%m-%dT%H:%M:%S}{fraction}Z".rjust(20, "0")
    text = f"{value.date().isoformat()}T{time_text(value.time())}"
    offset = value.utcoffset()
    if offset is None:
        return text
    zone = getattr(value.tzinfo, "key", None)
    return f"{text}{offset_text(offset)}{f'[{zone}]' if zone else ''}"


def time_text(value: time) -> str:
    """A time of day; seconds are left out when they are zero."""
    if value.second or value.microsecond:
        return f"{value:%H:%M:%S}{_thousands(value.microsecond)}"
    return f"{value:%H:%M}"


def json_datetime(value: datetime) -> str:
    """A date-time inside JSON: ISO with seconds, `Z` for UTC."""
    text = f"{value.replace(tzinfo=None, microsecond=0).isoformat()}"
    if value.microsecond:
        text += f".{value.microsecond:06d}".rstrip("0")
    offset = value.utcoffset()
    return text if offset is None else text + offset_text(offset)


def offset_text(offset: timedelta) -> str:
    """`Z`, `+02:00` or `-03:30`."""
    seconds = int(offset.total_seconds())
    if seconds == 0:
        return "Z"
    sign = "-" if seconds < 0 else "+"
    minutes, rest = divmod(abs(seconds), 60)
    text = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{text}:{rest:02d}" if rest else text


def duration_text(value: timedelta) -> str:
    """The ISO form of a duration: `PT1H30M`, `PT0.5S`, `PT-6H`."""
    micros = round(value / timedelta(microseconds=1))
    if micros == 0:
        return "PT0S"
    sign = "-" if micros < 0 else ""
    seconds, fraction = divmod(abs(micros), 1_000_000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    text = "PT"
    text += f"{sign}{hours}H" if hours else ""
    text += f"{sign}{minutes}M" if minutes else ""
    if seconds or fraction:
        decimals = f".{fraction:06d}".rstrip("0") if fraction else ""
        text += f"{sign}{seconds}{decimals}S"
    return text


def _thousands(micros: int) -> str:
    if micros == 0:
        return ""
    return f".{micros // 1000:03d}" if micros % 1000 == 0 else f".{micros:06d}"
