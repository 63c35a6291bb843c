"""Texts read by a Java date pattern (`existingFormat`)."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from penstock_runner.expressions.dates import names
from penstock_runner.expressions.dates.moments import iso, zone
from penstock_runner.expressions.dates.patterns import NAMED, pieces
from penstock_runner.expressions.errors import ExpressionFailed

_RFC_1123 = "EEE, d MMM yyyy HH:mm:ss z"
_OFFSET = r"Z|[+-]\d\d(?::?\d\d)?(?::?\d\d)?"
_ZONE = r"[A-Za-z][A-Za-z0-9_+\-/]*(?::\d\d)?|[+-]\d\d(?::?\d\d)?"
_DIGITS = {"y": 4, "u": 4, "n": 9, "S": 9, "A": 8, "N": 14, "D": 3}
_LONGEST = 200


def parse(text: str, pattern: str, local: tzinfo) -> datetime:
    """The date-time of a text; what the pattern does not name is the start of the day."""
    name = pattern.lower()
    if name.startswith("iso_") and name not in NAMED:
        moment = iso(text, local)
        if moment is None:
            raise _unreadable(text, pattern)
        return moment
    if name == "rfc_1123_date_time":
        pattern = _RFC_1123
    expression, fields = _expression(NAMED.get(name, pattern))
    found = expression.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise _unreadable(text, pattern)
    try:
        return _built(list(zip(fields, found.groups(), strict=True)), local)
    except (ValueError, OverflowError) as error:
        raise ExpressionFailed(f"The text '{text}' is not a date: {error}") from None


def _unreadable(text: str, pattern: str) -> ExpressionFailed:
    return ExpressionFailed(f"The text '{text[:60]}' could not be parsed as '{pattern}'")


@lru_cache(maxsize=256)
def _expression(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    parts: list[str] = []
    fields: list[str] = []
    whole = pieces(pattern)
    for index, piece in enumerate(whole):
        if isinstance(piece, str):
            parts.append(re.escape(piece))
            continue
        following = whole[index + 1] if index + 1 < len(whole) else ""
        fields.append(piece[0])
        parts.append(f"({_field(*piece, tight=isinstance(following, tuple))})")
    return re.compile("".join(parts), re.IGNORECASE | re.ASCII), tuple(fields)


def _field(letter: str, count: int, *, tight: bool) -> str:
    """What a field matches; a number before another one has exactly its count of digits."""
    if letter in "ML" and count >= 3:
        return "|".join(re.escape(n) for width in _widths() for n in names.months(width, None))
    if letter in "Eec" and (count >= 3 or letter == "E"):
        return "|".join(re.escape(n) for width in _widths() for n in names.days(width, None))
    if letter == "a":
        return "AM|PM"
    if letter == "G":
        return "AD|BC|Anno Domini"
    if letter in "XxZ":
        return _OFFSET
    if letter in "VvzO":
        return _ZONE
    if letter not in "yuYMLdDecFhHKkmsSnNAQqwW":
        raise ExpressionFailed(f"The date pattern has an unknown letter '{letter}'")
    if tight or letter == "S" or (letter in "yu" and count == 2):
        return rf"\d{{{count}}}"
    return rf"\d{{{count},{max(count, _DIGITS.get(letter, 2))}}}"


def _widths() -> tuple[str, str]:
    return "wide", "abbreviated"


def _built(found: list[tuple[str, str]], local: tzinfo) -> datetime:
    values = dict(found)
    clock = time(
        _hour(values),
        int(values.get("m", 0)),
        int(values.get("s", 0)),
        int((values.get("S") or values.get("n", "0").zfill(9)).ljust(9, "0")[:6]),
    )
    where = next((values[letter] for letter in "XxZVvzO" if values.get(letter)), None)
    return datetime.combine(_date(values), clock, zone(where) if where else local)


def _date(values: dict[str, str]) -> date:
    year_text = values.get("y") or values.get("u") or values.get("Y")
    year = int(year_text) if year_text else 1970
    if year_text and len(year_text) == 2:
        year += 2000
    if "D" in values:
        return date(year, 1, 1) + timedelta(days=int(values["D"]) - 1)
    month_text = values.get("M") or values.get("L")
    if month_text is None:
        quarter = values.get("Q") or values.get("q")
        month = (int(quarter) - 1) * 3 + 1 if quarter else 1
    else:
        month = int(month_text) if month_text.isdigit() else _month(month_text)
    return date(year, month, int(values.get("d", 1)))


def _month(text: str) -> int:
    return next(
        number
        for number, name in enumerate(names.MONTHS, 1)
        if name[:3].lower() == text[:3].lower()
    )


def _hour(values: dict[str, str]) -> int:
    if "H" in values:
        return int(values["H"])
    if "k" in values:
        return int(values["k"]) % 24
    if "h" not in values and "K" not in values:
        return 0
    hour = int(values.get("h") or values.get("K") or 0) % 12
    return hour + 12 if values.get("a", "AM").upper() == "PM" else hour
