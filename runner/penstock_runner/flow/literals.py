"""Whether a literal of a flow file is what its property asks for.

Each function says what is wrong in the language's words, or None.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from zoneinfo import ZoneInfo

_NICKNAMES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()  # noqa: SIM905
_DAYS = "SUN MON TUE WED THU FRI SAT".split()  # noqa: SIM905
_NO_NAMES: dict[str, int] = {}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, _NO_NAMES),
    ("minute", 0, 59, _NO_NAMES),
    ("hour", 0, 23, _NO_NAMES),
    ("day of month", 1, 31, _NO_NAMES),
    ("month", 1, 12, {name: i for i, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: i for i, name in enumerate(_DAYS)}),
)
_OFFSET = re.compile(r"Z|(?:UTC|GMT|UT)?(?:[+-]\d{1,2}(?::?\d{2}){0,2})|UTC|GMT|UT")


def is_template(value: object) -> bool:
    """Whether a value, or anything in it, is rendered later."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, dict):
        return any(is_template(k) or is_template(v) for k, v in value.items())
    return isinstance(value, list | tuple) and any(is_template(item) for item in value)


@lru_cache(maxsize=1024)
def pattern_reason(pattern: str) -> str | None:
    """What is wrong with a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        import regex  # understands more of what Java does; loaded only when `re` does not

        try:
            regex.compile(pattern)
        except (regex.error, RecursionError, OverflowError):
            return f"invalid pattern [{pattern}]"
    return None


@lru_cache(maxsize=1024)
def zone_reason(name: str) -> str | None:
    """What is wrong with a time zone."""
    if _OFFSET.fullmatch(name):
        return None
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return f"timezone '({name})' is not a valid time-zone ID"
    return None


def json_reason(text: str) -> str | None:
    """What is wrong with JSON text."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"invalid json '{text[:200]}': {error}"
    return None


@lru_cache(maxsize=4096)
def cron_reason(expression: str, *, with_seconds: bool = False) -> str | None:
    """What is wrong with a cron expression."""
    text = expression.strip()
    if text.startswith("@"):
        problem = None if text.lower() in _NICKNAMES else f"nicknames are {', '.join(_NICKNAMES)}"
    else:
        problem = _fields_problem(text.split(), with_seconds=with_seconds)
    return None if problem is None else f"invalid cron expression '({expression})': {problem}"


def _fields_problem(parts: list[str], *, with_seconds: bool) -> str | None:
    fields = _FIELDS if with_seconds else _FIELDS[1:]
    if len(parts) != len(fields):
        more = " ('withSeconds: true' allows six)" if len(parts) == 6 else ""
        return f"it has {len(parts)} fields, not {len(fields)}{more}"
    for part, (name, low, high, names) in zip(parts, fields, strict=True):
        for item in part.upper().split(","):
            if not _item_holds(item, low, high, names):
                return f"'{part}' is no {name} ({low} to {high})"
    return None


def _item_holds(item: str, low: int, high: int, names: dict[str, int]) -> bool:
    span, slash, step = item.partition("/")
    if slash and not (step.isdecimal() and 0 < int(step[:9]) <= high):
        return False
    if span == "*":
        return True
    first, dash, last = span.partition("-")
    start = _number(first, names)
    end = _number(last, names) if dash else start
    return start is not None and end is not None and low <= start <= end <= high


def _number(text: str, names: dict[str, int]) -> int | None:
    return names.get(text, int(text) if text.isdecimal() and len(text) < 4 else None)
