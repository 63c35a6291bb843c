from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import CroniterBadDateError, croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_server.scheduler.cron import BadCron, Cron, parse_cron

PARIS = ZoneInfo("Europe/Paris")
ZONES = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def dates(cron: Cron, start: datetime, count: int) -> list[str]:
    found = []
    moment = start
    for _ in range(count):
        following = cron.after(moment)
        assert following is not None
        moment = following
        found.append(moment.isoformat())
    return found


def matches(cron: Cron, moment: datetime) -> bool:
    """The rules of the language, said once more and as simply as can be."""
    local = moment.astimezone(cron.zone)
    weekday = (local.weekday() + 1) % 7
    day = cron.days is None or local.day in cron.days
    week = cron.weekdays is None or weekday in cron.weekdays
    either = (day or week) if cron.days is not None and cron.weekdays is not None else day and week
    return (
        local.month in cron.months
        and either
        and local.hour in cron.hours
        and local.minute in cron.minutes
        and local.second in cron.seconds
    )


FIELDS = [
    st.sampled_from(["*", "0", "30", "*/15", "5-10", "0,29,59"]),
    st.sampled_from(["*", "0", "2", "*/6", "1-3", "23"]),
    st.sampled_from(["*", "1", "31", "1,15", "*/10"]),
    st.sampled_from(["*", "2", "3,10", "JAN-MAR"]),
    st.sampled_from(["*", "0", "7", "MON-FRI", "6"]),
]
MOMENTS = st.integers(0, 3 * 366 * 24 * 60).map(
    lambda minutes: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@settings(max_examples=150, deadline=None)
@given(st.tuples(*FIELDS), MOMENTS)
def test_in_utc_dates_are_those_of_croniter(fields: tuple[str, ...], start: datetime) -> None:
    text = " ".join(fields)
    cron = parse_cron(text, UTC)
    # croniter takes `*/n` of a day for no restriction; here it is one.
    if any("/" in fields[place] for place in (2, 4)):
        return
    other = croniter(text, start)
    try:
        following = [other.get_next(datetime) for _ in range(3)]
    except CroniterBadDateError:
        assert cron.after(start) is None
        return
    moment = start
    for expected in following:
        found = cron.after(moment)
        assert found == expected
        assert cron.before(expected + timedelta(seconds=1)) == expected
        moment = expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("text", ["* * * * *", "*/20 * * * *", "15 * * * *", "0 0-23 * * *"])
def test_an_hourly_schedule_follows_real_time_through_clock_changes(zone: str, text: str) -> None:
    cron = parse_cron(text, ZoneInfo(zone))
    for month, day in ((3, 9), (3, 29), (4, 4), (10, 3), (10, 24), (10, 31), (11, 1)):
        start = datetime(2026, month, day, tzinfo=UTC)
        expected = [
            moment
            for minute in range(1, 40 * 60)
            if matches(cron, moment := start + timedelta(minutes=minute))
        ]
        found, moment = [], start
        while (following := cron.after(moment)) is not None and following <= expected[-1]:
            found.append(following.astimezone(UTC))
            moment = following
        assert found == expected


def test_a_skipped_time_moves_forward_and_fires_once() -> None:
    cron = parse_cron("30 2 * * *", PARIS)
    assert dates(cron, at("2026-03-28T12:00", "Europe/Paris"), 2) == [
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert cron.after(at("2026-03-29T03:10", "Europe/Paris")) == at(
        "2026-03-29T03:30", "Europe/Paris"
    )


def test_a_time_that_comes_twice_fires_the_first_time() -> None:
    cron = parse_cron("30 2 * * *", PARIS)
    assert dates(cron, at("2026-10-24T12:00", "Europe/Paris"), 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("text", ["30 2 * * *", "0 1,2,3 * * *", "45 0 * * SUN"])
def test_each_date_is_the_one_before_the_moment_after_it(zone: str, text: str) -> None:
    cron = parse_cron(text, ZoneInfo(zone))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(400):
        following = cron.after(moment)
        assert following is not None
        assert cron.before(following + timedelta(seconds=1)) == following
        assert cron.at_or_after(following) == following
        moment = following


def test_with_both_days_restricted_either_will_do() -> None:
    cron = parse_cron("0 0 13 * FRI", UTC)
    assert dates(cron, at("2026-03-01T00:00"), 4) == [
        "2026-03-06T00:00:00+00:00",
        "2026-03-13T00:00:00+00:00",
        "2026-03-20T00:00:00+00:00",
        "2026-03-27T00:00:00+00:00",
    ]


def test_seconds_come_first_when_asked_for() -> None:
    cron = parse_cron("*/20 * * * * *", UTC, with_seconds=True)
    assert dates(cron, at("2026-03-01T00:00:59"), 2) == [
        "2026-03-01T00:01:00+00:00",
        "2026-03-01T00:01:20+00:00",
    ]


@pytest.mark.parametrize(
    ("nickname", "expected"),
    [
        ("@hourly", "2026-03-01T01:00:00+00:00"),
        ("@daily", "2026-03-02T00:00:00+00:00"),
        ("@midnight", "2026-03-02T00:00:00+00:00"),
        ("@weekly", "2026-03-08T00:00:00+00:00"),
        ("@monthly", "2026-04-01T00:00:00+00:00"),
        ("@yearly", "2027-01-01T00:00:00+00:00"),
        ("@annually", "2027-01-01T00:00:00+00:00"),
    ],
)
def test_nicknames_stand_for_expressions(nickname: str, expected: str) -> None:
    assert dates(parse_cron(nickname, UTC), at("2026-03-01T00:30"), 1) == [expected]


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* * ? * *", "* * L * *", "* * * * 1#2", "9-3 * * * *"]
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(BadCron, match="invalid cron expression"):
        parse_cron(text, UTC)


def test_a_date_that_never_comes_is_none() -> None:
    cron = parse_cron("0 0 30 2 *", UTC)
    assert cron.after(at("2026-03-01T00:00")) is None
    assert cron.before(at("2026-03-01T00:00")) is None
    leap = parse_cron("0 0 29 2 *", UTC)
    assert dates(leap, at("2096-03-01T00:00"), 1) == ["2104-02-29T00:00:00+00:00"]


SHIFTING = (
    "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo",
    "Asia/Kathmandu", "Pacific/Chatham", "America/St_Johns", "UTC",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(SHIFTING),
    hour=st.integers(0, 23),
    minute=st.sampled_from([0, 15, 30, 45]),
    year=st.integers(2020, 2030),
)
def test_a_fixed_local_time_fires_once_on_every_day_of_a_year_in_any_zone(
    zone: str, hour: int, minute: int, year: int
) -> None:
    cron = parse_cron(f"{minute} {hour} * * *", ZoneInfo(zone))
    moment = datetime(year, 1, 1, tzinfo=ZoneInfo(zone)) - timedelta(seconds=1)
    days = []
    previous = moment.astimezone(UTC)
    for _ in range(366 if calendar.isleap(year) else 365):
        found = cron.after(moment)
        assert found is not None
        assert found.astimezone(UTC) > previous
        days.append(found.date())
        moment, previous = found, found.astimezone(UTC)
    first = datetime(year, 1, 1, tzinfo=UTC).date()
    assert days == [first + timedelta(days=n) for n in range(len(days))]
