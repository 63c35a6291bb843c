"""From the values and texts that flows have to date-times with a zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.kinds import kind
from penstock_runner.expressions.numbers import is_whole

_OFFSET = re.compile(r"(?:GMT|UTC|UT)?([+-])(\d{1,2})(?::?(\d\d))?")
_ISO = re.compile(
    r"([+-]?\d{4,5}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)"
    r"(Z|z|[+-]\d\d(?::?\d\d)?(?::?\d\d)?)?(?:\[([\w/+\-]+)\])?"
)
_SHORT = {"EST": "-05:00", "MST": "-07:00", "HST": "-10:00", "Z": "+00:00"}


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The zone of an id (`Europe/Paris`), a name (`UTC`) or an offset (`+02:00`)."""
    if name.upper() in {"UTC", "Z", "GMT", "UT"}:
        return UTC
    offset = _OFFSET.fullmatch(_SHORT.get(name, name))
    if offset is not None:
        length = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if length <= timedelta(hours=18):
            return timezone(length if offset[1] == "+" else -length)
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ExpressionFailed(f"Unknown time zone '{name[:60]}'") from None


def to_moment(value: object, local: tzinfo, existing: str | None = None) -> datetime:
    """The date-time of a value; where it has no zone, in `local`.

    A date as a value is its noon, a date as a text its start; whole numbers are seconds.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=local)
    if isinstance(value, date):
        return datetime.combine(value, time(12), local)
    if is_whole(value):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):
            raise ExpressionFailed(f"{value} seconds are no date within 9999 years") from None
    if isinstance(value, str):
        return _parsed(value, local, existing)
    raise ExpressionFailed(f"A {kind(value)} is not a date")


def _parsed(text: str, local: tzinfo, existing: str | None) -> datetime:
    if existing is not None:
        from penstock_runner.expressions.dates.parsing import parse

        return parse(text, existing, local)
    moment = iso(text, local)
    if moment is None:
        raise ExpressionFailed(
            f"The text '{text[:60]}' is not an ISO date: name its pattern with existingFormat"
        )
    return moment


def iso(text: str, local: tzinfo) -> datetime | None:
    """The date-time of an ISO text, or None."""
    try:
        found = _ISO.fullmatch(text)
        if found is None:
            return datetime.combine(date.fromisoformat(text), time(0), local)
        clock = found[2]
        if "." in clock:
            whole, _, fraction = clock.partition(".")
            clock = f"{whole}.{fraction[:6]:0<6}"
        moment = datetime.fromisoformat(f"{found[1]}T{clock}")
        if found[3] is None:
            return moment.replace(tzinfo=zone(found[4]) if found[4] else local)
        offset = zone("UTC" if found[3] in "Zz" else found[3])
        placed = moment.replace(tzinfo=offset)
        return placed.astimezone(zone(found[4])) if found[4] else placed
    except (ValueError, OverflowError, ExpressionFailed):
        return None
