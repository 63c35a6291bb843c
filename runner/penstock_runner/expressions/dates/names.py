"""Names of months, days, eras and zones in a language: English here, the others from Babel."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from penstock_runner.expressions.errors import ExpressionFailed

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WIDTHS = {"wide": 0, "abbreviated": 3, "narrow": 1}


def months(width: str, locale: str | None) -> list[str]:
    """The twelve months."""
    if _english(locale):
        return [name[: _WIDTHS[width] or None] for name in MONTHS]
    names = _babel(locale).months["format"][width]
    return [str(names[number]) for number in range(1, 13)]


def days(width: str, locale: str | None) -> list[str]:
    """The seven days, Monday first."""
    if _english(locale):
        return [name[: _WIDTHS[width] or None] for name in DAYS]
    names = _babel(locale).days["format"][width]
    return [str(names[number]) for number in range(7)]


def periods(locale: str | None) -> tuple[str, str]:
    """Before and after noon."""
    if _english(locale):
        return "AM", "PM"
    found = _babel(locale).day_periods["format"]["abbreviated"]
    return str(found.get("am", "AM")), str(found.get("pm", "PM"))


def quarters(width: str, locale: str | None) -> list[str]:
    """The four quarters."""
    names = _babel(locale or "en").quarters["format"][width]
    return [str(names[number]) for number in range(1, 5)]


def first_weekday(locale: str | None) -> tuple[int, int]:
    """The day a week starts with (Monday is 0), and the least days of a year's first week."""
    if locale is None:
        return 6, 1
    found = _babel(locale)
    return int(found.first_week_day), int(found.min_week_days)


def style(kind: str, locale: str | None) -> str:
    """The date-time pattern of a style: `full`, `long`, `medium` or `short`."""
    found = _babel(locale or "en_US")
    joint = str(found.datetime_formats[kind])
    both = joint.replace("{1}", str(found.date_formats[kind].pattern))
    return both.replace("{0}", str(found.time_formats[kind].pattern))


def _english(locale: str | None) -> bool:
    return locale is None or locale.lower().replace("-", "_") in {"en", "en_us", "en_gb"}


@lru_cache(maxsize=32)
def _babel(locale: str | None) -> Any:
    from babel.core import Locale, UnknownLocaleError

    try:
        return Locale.parse((locale or "en").replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError):
        raise ExpressionFailed(f"Unknown locale '{(locale or '')[:40]}'") from None
