from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from tests.expressions.world import World, failure, render, value

from penstock_runner.expressions.dates.patterns import format_java
from penstock_runner.expressions.environment import Expressions

MOMENT = datetime(2024, 3, 5, 15, 8, 9, 123456, tzinfo=ZoneInfo("Europe/Paris"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yyyy-MM-dd", "2024-03-05"),
        ("yyyyMMddHHmmss", "20240305150809"),
        ("yy", "24"),
        ("uuuu", "2024"),
        ("MMMM yyyy", "March 2024"),
        ("yyyy-MMM", "2024-Mar"),
        ("MMMMM", "M"),
        ("d/M", "5/3"),
        ("D DDD", "65 065"),
        ("Q QQQ QQQQ", "1 Q1 1st quarter"),
        ("EEE EEEE", "Tue Tuesday"),
        ("e", "3"),
        ("h:mm a", "3:08 PM"),
        ("K k H", "3 15 15"),
        ("ss.SSS", "09.123"),
        ("SSSSSSSSS", "123456000"),
        ("n", "123456000"),
        ("A", "54489123"),
        ("N", "54489123456000"),
        ("VV", "Europe/Paris"),
        ("z", "CET"),
        ("O OOOO", "GMT+1 GMT+01:00"),
        ("X XX XXX", "+01 +0100 +01:00"),
        ("x xx xxx", "+01 +0100 +01:00"),
        ("Z ZZZZ ZZZZZ", "+0100 GMT+01:00 +01:00"),
        ("w W", "10 2"),
        ("G", "AD"),
        ("'it''s'", "it's"),
        ("c F", "3 1"),
        ("XXXX XXXXX", "+0100 +01:00"),
        ("v", "CET"),
        ("iso_time", "15:08:09.123456+01:00"),
        ("iso_offset_date_time", "2024-03-05T15:08:09.123456+01:00"),
        ("iso_local_date_time", "2024-03-05T15:08:09.123456"),
        ("iso_offset_time", "15:08:09.123456+01:00"),
        ("basic_iso_date", "20240305+0100"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-03-05T15:08:09+01:00"),
        ("'o''clock' h", "o'clock 3"),
        ("yyyy[-MM]", "2024-03"),
        ("iso", "2024-03-05T15:08:09.123456+01:00"),
        ("iso_sec", "2024-03-05T15:08:09+01:00"),
        ("sql", "2024-03-05 15:08:09.123456"),
        ("sql_seq", "2024-03-05 15:08:09"),
        ("ISO_DATE_TIME", "2024-03-05T15:08:09.123456+01:00[Europe/Paris]"),
        ("iso_date", "2024-03-05+01:00"),
        ("iso_local_date", "2024-03-05"),
        ("iso_local_time", "15:08:09.123456"),
        ("iso_instant", "2024-03-05T14:08:09.123456Z"),
        ("iso_ordinal_date", "2024-065+01:00"),
        ("iso_week_date", "2024-W10-2+01:00"),
        ("rfc_1123_date_time", "Tue, 5 Mar 2024 15:08:09 +0100"),
    ],
)
def test_a_java_pattern_prints_as_in_java(pattern: str, expected: str) -> None:
    assert format_java(MOMENT, pattern) == expected


def test_an_offset_of_zero_is_z_or_zeros() -> None:
    moment = MOMENT.astimezone(UTC)
    assert format_java(moment, "X XXX x xxx Z O") == "Z Z +00 +00:00 +0000 GMT"


def test_zones_without_a_name_print_their_offset() -> None:
    half = MOMENT.astimezone(timezone(timedelta(hours=-3, minutes=-30)))
    assert format_java(half, "VV z X O ZZZZ x") == "-03:30 -03:30 -0330 GMT-3:30 GMT-03:30 -0330"
    assert format_java(MOMENT.astimezone(UTC), "VV zzzz ZZZZ ZZZZZ OOOO") == (
        "UTC Coordinated Universal Time GMT Z GMT"
    )
    assert format_java(MOMENT.astimezone(UTC), "iso_date_time").endswith("Z[UTC]")


def test_styles_follow_the_locale() -> None:
    assert "2024" in format_java(MOMENT, "full", "en_US")
    assert format_java(MOMENT, "short", "de").startswith("05.03.24")
    assert format_java(MOMENT, "EEE MMM QQQ a w W e", "fr") == "mar. mars T1 PM 10 2 2"


def test_names_follow_the_locale() -> None:
    assert format_java(MOMENT, "EEEE d MMMM", "fr") == "mardi 5 mars"
    assert render("{{ d | date('MMMM', locale='de') }}", d=MOMENT) == "März"
    assert "Unknown locale" in failure("{{ d | date('MMMM', locale='nolang') }}", d=MOMENT)


def test_the_week_year_is_not_the_year() -> None:
    assert format_java(datetime(2024, 12, 30, tzinfo=UTC), "YYYY yyyy ww") == "2025 2024 01"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2024-03-05", "2024-03-05T00:00:00.000000Z"),
        ("2024-03-05T07:08:09", "2024-03-05T07:08:09.000000Z"),
        ("2024-03-05T07:08:09.123456789+02:00", "2024-03-05T05:08:09.123456Z"),
        ("2024-03-05T07:08+01:00[Europe/Paris]", "2024-03-05T06:08:00.000000Z"),
        (date(2024, 3, 5), "2024-03-05T12:00:00.000000Z"),
        (1709622489, "2024-03-05T07:08:09.000000Z"),
        (MOMENT, "2024-03-05T14:08:09.123456Z"),
    ],
)
def test_many_values_are_dates(given: object, expected: str) -> None:
    assert render("{{ d | date }}", d=given) == expected


def test_a_date_without_a_zone_is_in_the_zone_asked_for() -> None:
    assert render("{{ '2024-07-01' | date('iso_sec', timeZone='America/New_York') }}") == (
        "2024-07-01T00:00:00-04:00"
    )


def test_the_default_zone_is_a_setting() -> None:
    tokyo = Expressions(default_zone="Asia/Tokyo")
    assert tokyo.render("{{ now('HH:mm') }}", {}, World()) == "21:08"


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("05/03/2024 07:08", "dd/MM/yyyy HH:mm", "2024-03-05T07:08:00Z"),
        ("5 Mar 2024", "d MMM yyyy", "2024-03-05T00:00:00Z"),
        ("20240305", "yyyyMMdd", "2024-03-05T00:00:00Z"),
        ("3:08 pm 1/2/24", "h:mm a d/M/yy", "2024-02-01T15:08:00Z"),
        ("2024-065", "yyyy-DDD", "2024-03-05T00:00:00Z"),
        ("2024 Q3", "yyyy 'Q'Q", "2024-07-01T00:00:00Z"),
        ("Tue 5.3.2024 24", "EEE d.M.yyyy kk", "2024-03-05T00:00:00Z"),
        ("2024 AD 11 K 5", "yyyy G KK 'K' d", "2024-01-05T11:00:00Z"),
        ("12 AM", "hh a", "1970-01-01T00:00:00Z"),
        ("2024-03-05T07:08:09+0200", "yyyy-MM-dd'T'HH:mm:ssZ", "2024-03-05T05:08:09Z"),
        ("2024-03-05 07:08 Europe/Paris", "yyyy-MM-dd HH:mm VV", "2024-03-05T06:08:00Z"),
        ("07:08:09.25", "HH:mm:ss.SS", "1970-01-01T07:08:09Z"),
        ("2024-03-05T07:08:09Z", "iso_date_time", "2024-03-05T07:08:09Z"),
    ],
)
def test_a_text_is_read_by_its_existing_format(text: str, pattern: str, expected: str) -> None:
    source = "{{ t | date('iso_sec', existingFormat=p) }}"
    assert render(source, t=text, p=pattern) == expected


@pytest.mark.parametrize(
    ("amount", "unit", "expected"),
    [
        (-1, "MONTHS", "2024-02-29"),
        (1, "months", "2024-04-30"),
        (1, "YEARS", "2025-03-31"),
        (2, "WEEKS", "2024-04-14"),
        (36, "HOURS", "2024-04-01"),
    ],
)
def test_dates_are_moved_by_units(amount: int, unit: str, expected: str) -> None:
    source = "{{ '2024-03-31' | dateAdd(a, u, 'yyyy-MM-dd') }}"
    assert render(source, a=amount, u=unit) == expected


def test_a_day_keeps_the_time_of_day_and_an_hour_does_not() -> None:
    source = "{{ '2024-03-30T12:00' | dateAdd(n, u, timeZone='Europe/Paris', format='iso_sec') }}"
    assert render(source, n=1, u="DAYS") == "2024-03-31T12:00:00+02:00"
    assert render(source, n=24, u="HOURS") == "2024-03-31T13:00:00+02:00"


def test_timestamps() -> None:
    zoned = datetime(2024, 3, 5, 7, 8, 9, 123456, tzinfo=timezone(timedelta(hours=1)))
    assert value("z | timestamp", z=zoned) == 1709618889
    assert value("z | timestampMilli", z=zoned) == 1709618889123
    assert value("z | timestampMicro", z=zoned) == "1709618889000123456"
    assert value("z | timestampNano", z=zoned) == "1709618889123456000"


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("'tomorrow' | date", "is not an ISO date: name its pattern with existingFormat"),
        ("true | date", "is not a date"),
        ("now() | date('bbb')", "unknown letter 'b'"),
        ('now() | date("\'open")', "open quote"),
        ("now() | date(timeZone='Mars/Base')", "Unknown time zone 'Mars/Base'"),
        ("now() | dateAdd(1, 'FORTNIGHTS')", "Unknown unit 'FORTNIGHTS'"),
        ("now() | dateAdd(99999999, 'YEARS')", "outside of the years"),
        ("99999999999999 | date", "no date within 9999 years"),
        ("'x' | date(existingFormat='yyyy')", "could not be parsed as 'yyyy'"),
        ("'x' | date(existingFormat='iso_date')", "could not be parsed as 'iso_date'"),
        ("'x' | date(existingFormat='b')", "unknown letter 'b'"),
        ("'0001-01-01T00:00' | date(timeZone='+14:00') | date(timeZone='-12:00')", ""),
        ("now() | date('y{}')", "reserved '{'"),
        ("now() | date(timeZone='+19:00')", "Unknown time zone"),
        ("now() | date(1)", "must be a text"),
        ("'9999-12-31' | dateAdd(9, 'DAYS')", "outside of the years"),
        ("'2024-13' | date(existingFormat='yyyy-MM')", "is not a date"),
    ],
)
def test_what_is_no_date_is_said(expression: str, part: str) -> None:
    assert part in failure("{{ " + expression + " }}")


def test_questions_about_dates() -> None:
    assert value("isDateAfter('2024-01-02', '2024-01-01')") is True
    assert value("isDateBefore('2024-01-02', '2024-01-01')") is False
    assert value("isDateBetween('2024-01-02', '2024-01-01', '2024-01-03')") is True
    assert value("isWeekend('2024-03-09')") is True
    assert value("isLastWorkingDay('2024-03-29')") is True
    assert value("dayOfWeek('2024-03-05')") == "TUESDAY"
    assert value("hourOfDay()") == 12
