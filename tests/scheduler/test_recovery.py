"""Dates that pass while nobody looks: after a stop of any length, by each rule, none twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.scheduler.service import Service, at

from penstock_runner.engine.state import State

NAME = ("team", "a", "clock")
SAY = "{id: say, type: io.kestra.plugin.core.log.Log, message: hi}"
PAUSE = "{id: say, type: io.kestra.plugin.core.flow.Pause}"
SCHEDULE = "io.kestra.plugin.core.trigger.Schedule"
ON_DATES = "io.kestra.plugin.core.trigger.ScheduleOnDates"


def flow(properties: str, *, task: str = SAY, kind: str = SCHEDULE, flow_id: str = "a") -> str:
    return (
        f"id: {flow_id}\nnamespace: team\ntasks:\n  - {task}\ntriggers:\n"
        f"  - {{id: clock, type: {kind}, {properties}}}\n"
    )


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.database.close()


def ran(service: Service) -> list[str]:
    return [f"{one.schedule_date:%d %H:%M}" for one in service.executions("a")]


def hours(first: datetime, last: datetime) -> list[str]:
    count = int((last - first).total_seconds()) // 3600
    return [f"{first + timedelta(hours=n):%d %H:%M}" for n in range(count + 1)]


STOPS = [
    timedelta(seconds=30),
    timedelta(minutes=59),
    timedelta(hours=1, seconds=1),
    timedelta(hours=5, minutes=10),
    timedelta(days=3),
]


@pytest.mark.parametrize("stop", STOPS, ids=str)
@pytest.mark.parametrize("mode", ["ALL", "LAST", "NONE"])
def test_after_a_stop_of_any_length_the_rule_decides(
    service: Service, mode: str, stop: timedelta
) -> None:
    service.save(flow(f"cron: '0 * * * *', recoverMissedSchedules: {mode}"))
    service.tick(at("13:00"))
    back = at("13:30") + stop
    missed = hours(at("14:00"), back)
    service.clock.at = back
    service.start()
    for _ in range(2):
        service.tick()
    expected = {"ALL": missed, "LAST": missed[-1:], "NONE": []}[mode]
    assert ran(service) == ["01 13:00", *expected]
    following = service.state("a", "clock").next_date
    assert following == back.replace(minute=0, second=0) + timedelta(hours=1)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("ALL", ["15:00", "16:00"]), ("LAST", ["16:00"]), ("NONE", [])],
)
def test_the_settings_decide_for_schedules_that_say_nothing(
    tmp_path: Path, mode: str, expected: list[str]
) -> None:
    service = Service(tmp_path, recover=mode)
    service.save(flow("cron: '0 15,16 * * *'"))
    service.start()
    service.tick(at("16:30"))
    assert ran(service) == [f"01 {one}" for one in expected]
    service.database.close()


def test_a_schedule_that_says_it_itself_is_not_decided_by_the_settings(tmp_path: Path) -> None:
    service = Service(tmp_path, recover="NONE")
    service.save(flow("cron: '0 15,16 * * *', recoverMissedSchedules: ALL"))
    service.start()
    service.tick(at("16:30"))
    assert ran(service) == ["01 15:00", "01 16:00"]
    service.database.close()


def test_what_is_too_late_is_left_out_of_all_that_was_missed(service: Service) -> None:
    service.save(flow("cron: '0 * * * *', lateMaximumDelay: PT2H30M"))
    service.tick(at("13:00"))
    service.clock.at = at("18:15")
    service.start()
    service.tick()
    assert ran(service) == ["01 13:00", "01 14:00", "01 16:00", "01 17:00", "01 18:00"]


@pytest.mark.parametrize("mode", ["ALL", "LAST", "NONE"])
def test_dates_missed_while_an_execution_runs_run_one_by_one_in_every_mode(
    service: Service, mode: str
) -> None:
    service.save(flow(f"cron: '0 * * * *', recoverMissedSchedules: {mode}", task=PAUSE))
    service.tick(at("13:00"))
    service.tick(at("15:30"))
    assert ran(service) == ["01 13:00"]
    service.change(service.changes.unlock, NAME)
    service.tick()
    service.change(service.changes.unlock, NAME)
    service.tick()
    assert ran(service) == ["01 13:00", "01 14:00", "01 15:00"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("ALL", ["13:00", "14:00", "15:00"]), ("LAST", ["15:00"]), ("NONE", [])],
)
def test_dates_that_are_written_out_are_recovered_likewise(
    service: Service, mode: str, expected: list[str]
) -> None:
    listed = ", ".join(f"'2026-03-01T{hour}:00:00Z'" for hour in (13, 14, 15, 20))
    service.save(flow(f"dates: [{listed}], recoverMissedSchedules: {mode}", kind=ON_DATES))
    service.start()
    service.tick(at("16:30"))
    assert ran(service) == [f"01 {one}" for one in expected]
    assert service.state("a", "clock").next_date == at("20:00")


def test_after_the_last_date_that_is_written_out_nothing_more_comes(service: Service) -> None:
    service.save(flow("dates: ['2026-03-01T13:00:00Z']", kind=ON_DATES))
    service.tick(at("13:00"))
    service.start()
    service.tick(at("13:00") + timedelta(days=400))
    assert ran(service) == ["01 13:00"]
    [execution] = service.executions("a")
    assert execution.trigger is not None
    assert execution.trigger.variables == {}


@pytest.mark.parametrize(
    ("start", "zone", "cron", "expected"),
    [
        ("2026-03-28T00:30", "Europe/Paris", "30 2 * * *", ["28 01:30", "29 01:30", "30 00:30"]),
        ("2026-10-24T00:00", "Europe/Paris", "30 2 * * *", ["24 00:30", "25 00:30", "26 01:30"]),
        ("2026-03-08T00:00", "America/New_York", "30 2 * * *", ["08 07:30", "09 06:30"]),
        ("2026-11-01T00:00", "America/New_York", "30 1 * * *", ["01 05:30", "02 06:30"]),
        ("2026-10-25T00:00", "Europe/Paris", "0 * * * *", ["25 00:00", "25 01:00", "25 02:00"]),
        ("2026-04-05T10:00", "Australia/Lord_Howe", "45 1 * * *", ["05 15:15", "06 15:15"]),
    ],
)
def test_a_stop_over_a_change_of_clocks_leaves_out_no_day_and_doubles_none(
    service: Service, start: str, zone: str, cron: str, expected: list[str]
) -> None:
    moment = datetime.fromisoformat(start).replace(tzinfo=UTC)
    service.clock.at = moment - timedelta(seconds=1)
    service.save(flow(f"cron: '{cron}', timezone: {zone}"))
    last = datetime.fromisoformat(f"{start[:8]}{expected[-1][:2]}T{expected[-1][3:]}")
    service.clock.at = last.replace(tzinfo=UTC) + timedelta(minutes=1)
    service.start()
    service.tick()
    assert ran(service) == expected


def test_seconds_are_kept_to_and_a_late_tick_runs_each(service: Service) -> None:
    service.save(flow("cron: '*/20 * * * * *', withSeconds: true"))
    for second in ("12:00:20", "12:00:41", "12:01:25"):
        service.tick(at(second))
    found = [f"{one.schedule_date:%M:%S}" for one in service.executions("a")]
    assert found == ["00:20", "00:40", "01:00", "01:20"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 7 * 60)),
        st.tuples(st.just("restart"), st.integers(0, 300)),
        st.tuples(st.just("save other"), st.just(0)),
        st.tuples(st.just("off and on"), st.integers(0, 200)),
    ),
    min_size=1,
    max_size=7,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, mode=st.sampled_from(["ALL", "LAST", "NONE"]))
def test_whatever_happens_no_date_runs_twice_and_with_all_none_is_missed(
    steps: list[tuple[str, int]], mode: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    service = Service(tmp_path_factory.mktemp("world"))
    service.save(flow(f"cron: '*/30 * * * *', recoverMissedSchedules: {mode}"))
    for step, minutes in steps:
        service.clock.forward(minutes=minutes)
        match step:
            case "restart":
                service.start()
            case "save other":
                service.save(flow("cron: '0 0 1 1 *'", flow_id="other"))
            case "off and on":
                service.change(service.changes.switch, NAME, disabled=True)
                service.clock.forward(minutes=minutes)
                service.tick()
                service.change(service.changes.switch, NAME, disabled=False)
        service.tick()
    found = [one.schedule_date for one in service.executions("a") if one.schedule_date]
    assert len(found) == len(set(found))
    assert found == sorted(found)
    if mode == "ALL":
        now = service.clock.now()
        count = int((now - at("12:00")).total_seconds()) // 1800
        assert found == [at("12:00") + timedelta(minutes=30 * n) for n in range(1, count + 1)]
    assert all(one.state is State.SUCCESS for one in service.executions("a"))
    service.database.close()
