"""Java's date patterns: split into fields once, then printed by one small function a letter."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from penstock_runner.expressions.dates import names
from penstock_runner.expressions.errors import ExpressionFailed

NAMED = {
    "iso": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "iso_sec": "yyyy-MM-dd'T'HH:mm:ssXXX",
    "sql": "yyyy-MM-dd HH:mm:ss.SSSSSS",
    "sql_seq": "yyyy-MM-dd HH:mm:ss",
}
_LONGEST = 300
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|([^A-Za-z'])|(')")
Field = tuple[str, int]
"""A letter with its count; literal text is `("", ...)` in `Piece`."""
Piece = str | Field
Printer = Callable[[datetime], str]


@lru_cache(maxsize=512)
def pieces(pattern: str) -> tuple[Piece, ...]:
    """The literal texts and fields of a pattern."""
    if len(pattern) > _LONGEST:
        raise ExpressionFailed("The date pattern is too long")
    found: list[Piece] = []
    for match in _TOKEN.finditer(pattern):
        if match[4]:
            raise ExpressionFailed(f"The date pattern '{pattern}' has an open quote")
        if match[2]:
            found.append((match[2], len(match[0])))
        elif match[3]:
            if match[3] in "{}#":
                raise ExpressionFailed(f"The date pattern '{pattern}' has a reserved '{match[3]}'")
            if match[3] not in "[]":
                found.append(match[3])
        else:
            found.append(match[1].replace("''", "'") or "'")
    return tuple(found)


def format_java(moment: datetime, pattern: str, locale: str | None = None) -> str:
    """A date-time in a Java pattern, a named format or a style."""
    named = _JAVA_NAMED.get(pattern.lower())
    if named is not None:
        return named(moment)
    return "".join([printer(moment) for printer in _printers(pattern, locale)])


@lru_cache(maxsize=512)
def _printers(pattern: str, locale: str | None) -> tuple[Printer, ...]:
    if pattern in {"full", "long", "medium", "short"}:
        pattern = names.style(pattern, locale)
    text = NAMED.get(pattern.lower(), pattern)
    return tuple(
        _literal(piece) if isinstance(piece, str) else _printer(*piece, locale)
        for piece in pieces(text)
    )


def _literal(text: str) -> Printer:
    return lambda _moment: text


def _printer(letter: str, count: int, locale: str | None) -> Printer:
    simple = _NUMBERS.get(letter)
    if simple is not None:
        return lambda m: str(simple(m)).zfill(count)
    special = _SPECIAL.get(letter)
    if special is None:
        raise ExpressionFailed(f"The date pattern has an unknown letter '{letter}'")
    return special(count, locale)


def _year(value: Callable[[datetime], int]) -> Callable[[int, str | None], Printer]:
    def make(count: int, _locale: str | None) -> Printer:
        if count == 2:
            return lambda m: f"{value(m) % 100:02d}"
        return lambda m: str(value(m)).zfill(count)

    return make


def _month(count: int, locale: str | None) -> Printer:
    if count < 3:
        return lambda m: str(m.month).zfill(count)
    texts = names.months(_width(count), locale)
    return lambda m: texts[m.month - 1]


def _weekday(count: int, locale: str | None) -> Printer:
    texts = names.days(_width(max(count, 3)), locale)
    return lambda m: texts[m.weekday()]


def _local_weekday(count: int, locale: str | None) -> Printer:
    if count > 2:
        return _weekday(count, locale)
    start, _ = names.first_weekday(locale)
    return lambda m: str((m.weekday() - start) % 7 + 1).zfill(count)


def _quarter(count: int, locale: str | None) -> Printer:
    if count < 3:
        return lambda m: str((m.month - 1) // 3 + 1).zfill(count)
    texts = names.quarters(_width(count), locale)
    return lambda m: texts[(m.month - 1) // 3]


def _width(count: int) -> str:
    return {3: "abbreviated", 4: "wide"}.get(count, "narrow")


def _period(_count: int, locale: str | None) -> Printer:
    before, after = names.periods(locale)
    return lambda m: before if m.hour < 12 else after


def _era(count: int, _locale: str | None) -> Printer:
    text = {4: "Anno Domini", 5: "A"}.get(count, "AD")
    return lambda _moment: text


def _fraction(count: int, _locale: str | None) -> Printer:
    return lambda m: f"{m.microsecond:06d}".ljust(9, "0")[:count].ljust(count, "0")


def _week_of_year(count: int, locale: str | None) -> Printer:
    start, least = names.first_weekday(locale)
    return lambda m: str(week(m.date(), start, least)[1]).zfill(count)


def _week_of_month(count: int, locale: str | None) -> Printer:
    start, least = names.first_weekday(locale)

    def printer(moment: datetime) -> str:
        lead = (moment.replace(day=1).weekday() - start) % 7
        number = (moment.day + lead - 1) // 7 + (1 if 7 - lead >= least else 0)
        return str(number).zfill(count)

    return printer


def _week_year(count: int, locale: str | None) -> Printer:
    start, least = names.first_weekday(locale)
    return _year(lambda m: week(m.date(), start, least)[0])(count, locale)


def week(day: date, start: int, least: int) -> tuple[int, int]:
    """The week-based year and the week of a day."""
    for year in (day.year + 1, day.year, day.year - 1):
        if not date.min.year < year <= date.max.year:
            continue
        new_year = date(year, 1, 1)
        lead = (new_year.weekday() - start) % 7
        first = new_year - timedelta(days=lead) + timedelta(days=0 if 7 - lead >= least else 7)
        if day >= first:
            return year, (day - first).days // 7 + 1
    return day.year, 1


def _offset(style: str, zero: str) -> Callable[[int, str | None], Printer]:
    def make(count: int, _locale: str | None) -> Printer:
        def printer(moment: datetime) -> str:
            seconds = int((moment.utcoffset() or timedelta()).total_seconds())
            if seconds == 0 and zero:
                return zero
            return _offset_text(seconds, style, count)

        return printer

    return make


def _offset_text(seconds: int, style: str, count: int) -> str:
    sign = "-" if seconds < 0 else "+"
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if style == "O":
        if seconds == 0:
            return "GMT"
        if count == 4:
            return f"GMT{sign}{hours:02d}:{minutes:02d}"
        return f"GMT{sign}{hours}" + (f":{minutes:02d}" if minutes else "")
    if style == "Z" and count == 4:
        return "GMT" if seconds == 0 else f"GMT{sign}{hours:02d}:{minutes:02d}"
    if style == "X" and count == 1:
        return f"{sign}{hours:02d}" + (f"{minutes:02d}" if minutes else "")
    colon = ":" if count in {3, 5} and style == "X" else ""
    text = f"{sign}{hours:02d}{colon}{minutes:02d}"
    return f"{text}{colon}{rest:02d}" if rest and count > 3 else text


def _offset_z(count: int, locale: str | None) -> Printer:
    return _offset("X", "Z")(5, locale) if count == 5 else _offset("Z", "")(count, locale)


def zone_id(moment: datetime) -> str:
    """The id of the zone: `Europe/Paris`, `Z`, `+02:00`."""
    key = getattr(moment.tzinfo, "key", None)
    if key:
        return str(key)
    if moment.tzinfo is UTC:
        return "UTC"
    seconds = int((moment.utcoffset() or timedelta()).total_seconds())
    return "Z" if seconds == 0 else _offset_text(seconds, "X", 3)


def _zone_name(count: int, _locale: str | None) -> Printer:
    def printer(moment: datetime) -> str:
        name = moment.tzname() or ""
        if not name.isalpha():
            return zone_id(moment)
        if count < 4:
            return name
        return {"UTC": "Coordinated Universal Time", "GMT": "Greenwich Mean Time"}.get(name, name)

    return printer


def _nano_of_day(moment: datetime) -> int:
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return seconds * 10**9 + moment.microsecond * 1000


_NUMBERS: dict[str, Callable[[datetime], int]] = {
    "d": lambda m: m.day,
    "D": lambda m: m.timetuple().tm_yday,
    "h": lambda m: (m.hour - 1) % 12 + 1,
    "H": lambda m: m.hour,
    "K": lambda m: m.hour % 12,
    "k": lambda m: (m.hour - 1) % 24 + 1,
    "m": lambda m: m.minute,
    "s": lambda m: m.second,
    "n": lambda m: m.microsecond * 1000,
    "N": _nano_of_day,
    "A": lambda m: _nano_of_day(m) // 10**6,
    "F": lambda m: (m.day - 1) // 7 + 1,
}
_SPECIAL: dict[str, Callable[[int, str | None], Printer]] = {
    "y": _year(lambda m: m.year),
    "u": _year(lambda m: m.year),
    "Y": _week_year,
    "M": _month,
    "L": _month,
    "E": _weekday,
    "e": _local_weekday,
    "c": _local_weekday,
    "a": _period,
    "G": _era,
    "S": _fraction,
    "Q": _quarter,
    "q": _quarter,
    "w": _week_of_year,
    "W": _week_of_month,
    "X": _offset("X", "Z"),
    "x": _offset("X", ""),
    "Z": _offset_z,
    "O": _offset("O", ""),
    "V": lambda _count, _locale: zone_id,
    "v": _zone_name,
    "z": _zone_name,
}


def _iso_time(moment: datetime) -> str:
    text = f"{moment:%H:%M:%S}"
    return f"{text}.{moment.microsecond:06d}".rstrip("0") if moment.microsecond else text


def _iso_offset(moment: datetime) -> str:
    seconds = int((moment.utcoffset() or timedelta()).total_seconds())
    return "Z" if seconds == 0 else _offset_text(seconds, "X", 5)


def _iso_zone(moment: datetime) -> str:
    key = getattr(moment.tzinfo, "key", None) or ("UTC" if moment.tzinfo is UTC else None)
    return f"[{key}]" if key else ""


def _day(moment: datetime) -> str:
    return moment.date().isoformat()


def _week_date(moment: datetime) -> str:
    year, number, weekday = moment.isocalendar()
    return f"{year:04d}-W{number:02d}-{weekday}{_iso_offset(moment)}"


def _rfc_1123(moment: datetime) -> str:
    offset = int((moment.utcoffset() or timedelta()).total_seconds())
    zone = "GMT" if offset == 0 else _offset_text(offset, "X", 2)
    weekday, month = names.DAYS[moment.weekday()][:3], names.MONTHS[moment.month - 1][:3]
    return f"{weekday}, {moment.day} {month} {moment.year:04d} {moment:%H:%M:%S} {zone}"


_JAVA_NAMED: dict[str, Printer] = {
    "iso_date_time": lambda m: f"{_day(m)}T{_iso_time(m)}{_iso_offset(m)}{_iso_zone(m)}",
    "iso_zoned_date_time": lambda m: f"{_day(m)}T{_iso_time(m)}{_iso_offset(m)}{_iso_zone(m)}",
    "iso_offset_date_time": lambda m: f"{_day(m)}T{_iso_time(m)}{_iso_offset(m)}",
    "iso_local_date_time": lambda m: f"{_day(m)}T{_iso_time(m)}",
    "iso_date": lambda m: f"{_day(m)}{_iso_offset(m)}",
    "iso_offset_date": lambda m: f"{_day(m)}{_iso_offset(m)}",
    "iso_local_date": _day,
    "basic_iso_date": lambda m: f"{_day(m).replace('-', '')}{_iso_offset(m).replace(':', '')}",
    "iso_time": lambda m: f"{_iso_time(m)}{_iso_offset(m)}",
    "iso_offset_time": lambda m: f"{_iso_time(m)}{_iso_offset(m)}",
    "iso_local_time": _iso_time,
    "iso_instant": lambda m: f"{_day(m.astimezone(UTC))}T{_iso_time(m.astimezone(UTC))}Z",
    "iso_ordinal_date": lambda m: f"{m:%Y}-{m.timetuple().tm_yday:03d}{_iso_offset(m)}",
    "iso_week_date": _week_date,
    "rfc_1123_date_time": _rfc_1123,
}
