"""People switch triggers and flows off and on; the service stops and starts; clocks change."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.scheduler.service import Service, at

from penstock_runner.engine.state import State
from penstock_runner.executor.messages import Refused
from penstock_server.store import triggers

NAME = ("team", "a", "hourly")
SAY = "{id: say, type: io.kestra.plugin.core.log.Log, message: hi}"
PAUSE = "{id: say, type: io.kestra.plugin.core.flow.Pause}"
KIND = "io.kestra.plugin.core.condition"
NEVER = "{type: io.kestra.plugin.core.condition.Expression, expression: '{{ false }}'}"


def flow(more: str = "", *, flow_id: str = "a", cron: str = "0 * * * *", task: str = SAY) -> str:
    return (
        f"id: {flow_id}\nnamespace: team\ntasks:\n  - {task}\ntriggers:\n"
        f"  - {{id: hourly, type: io.kestra.plugin.core.trigger.Schedule, cron: '{cron}'{more}}}\n"
    )


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.database.close()


def dates(service: Service, flow_id: str = "a") -> list[str]:
    return [f"{one.schedule_date:%H:%M}" for one in service.executions(flow_id)]


def put(service: Service, *, disabled: bool) -> None:
    assert service.change(service.changes.switch_anew, NAME, disabled=disabled) is None


def test_the_switch_alone_keeps_the_date_and_catches_up(service: Service) -> None:
    service.save(flow())
    service.change(service.changes.switch, NAME, disabled=True)
    service.tick(at("15:30"))
    assert dates(service) == []
    service.change(service.changes.switch, NAME, disabled=False)
    service.tick()
    assert dates(service) == ["13:00", "14:00", "15:00"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("", ["13:00", "14:00", "15:00"]), ("LAST", ["13:00", "15:00"]), ("NONE", ["13:00"])],
)
def test_switching_anew_recovers_as_the_trigger_says(
    service: Service, mode: str, expected: list[str]
) -> None:
    service.save(flow(f", recoverMissedSchedules: {mode}" if mode else ""))
    service.tick(at("13:00"))
    put(service, disabled=True)
    assert service.state("a", "hourly").next_date is None
    service.start()
    service.tick(at("15:30"))
    put(service, disabled=False)
    service.tick()
    assert dates(service) == expected
    assert service.state("a", "hourly").next_date == at("16:00")


def test_a_flow_that_is_off_keeps_its_dates_and_disturbs_nobody(service: Service) -> None:
    service.save(flow())
    service.save(flow(flow_id="b"))
    service.switch_flow("a", disabled=True)
    again = service.tick(at("13:00"))
    assert (dates(service), dates(service, "b")) == ([], ["13:00"])
    assert again == at("13:00") + timedelta(seconds=1)
    with service.database.read() as connection:
        assert triggers.due(connection, at("13:30"), 10) == []
    service.start()
    service.tick(at("14:10"))
    service.switch_flow("a", disabled=False)
    service.tick()
    assert dates(service) == ["13:00", "14:00"]


def test_what_was_missed_is_recovered_again_when_any_flow_is_saved(service: Service) -> None:
    service.save(flow(", recoverMissedSchedules: LAST", task=PAUSE))
    service.tick(at("13:00"))
    service.tick(at("16:30"))
    assert service.state("a", "hourly").next_date == at("14:00")
    service.save(flow(flow_id="b"))
    service.tick()
    assert service.state("a", "hourly").next_date == at("16:00")


def test_a_date_that_has_just_come_is_not_missed(service: Service) -> None:
    service.save(flow(", recoverMissedSchedules: NONE"))
    service.tick(at("12:59"))
    service.clock.at = at("13:00:01")
    service.save(flow(flow_id="b"))
    service.tick()
    assert dates(service) == ["13:00"]


def test_a_locked_trigger_is_freed_by_hand(service: Service) -> None:
    service.save(flow(task=PAUSE))
    service.tick(at("13:00"))
    service.tick(at("14:00"))
    assert dates(service) == ["13:00"]
    assert service.change(service.changes.unlock, NAME) is None
    service.tick()
    assert dates(service) == ["13:00", "14:00"]


def test_what_cannot_be_done_is_said(service: Service) -> None:
    service.save(flow())
    asked = {"start": at("01:00").isoformat()}
    refusals = [
        service.change(service.changes.unlock, NAME),
        service.change(service.changes.unlock, ("team", "a", "other")),
        service.change(service.changes.restart, ("team", "a", "other")),
        service.change(service.changes.backfill, NAME, {**asked, "end": at("00:30").isoformat()}),
        service.change(service.changes.backfill, NAME, {"start": "yesterday"}),
    ]
    assert [(one.status, str(one)) for one in refusals if isinstance(one, Refused)] == [
        (409, "Illegal state: Trigger is not locked"),
        (404, "Flow a has no trigger other"),
        (404, "Flow a has no trigger other"),
        (422, "Illegal argument: the backfill's start must be before its end"),
        (422, "Illegal argument: 'yesterday' is no date of a backfill"),
    ]


def test_an_evaluation_that_fails_is_an_execution_that_says_so(service: Service) -> None:
    service.save(flow(", inputs: {x: '{{ nope() }}'}"))
    service.save(flow(flow_id="b"))
    service.tick(at("13:00"))
    [execution] = service.executions("a")
    assert (execution.state, dict(execution.runs)) == (State.FAILED, {})
    [line] = service.lines(execution.id)
    assert line.startswith("Unable to evaluate the Schedule trigger 'hourly': ")
    assert service.state("a", "hourly").next_date == at("14:00")
    assert dates(service, "b") == ["13:00"]


def test_inputs_that_do_not_fit_are_an_execution_that_says_so(service: Service) -> None:
    text = flow(", inputs: {n: many}") + "inputs:\n  - {id: n, type: INT}\n"
    service.save(text)
    service.tick(at("13:00"))
    [execution] = service.executions("a")
    assert (execution.state, dict(execution.runs)) == (State.FAILED, {})
    assert "Invalid entity" in service.lines(execution.id)[0]
    service.tick(at("14:00"))
    assert dates(service) == ["13:00", "14:00"]


def test_a_failed_evaluation_counts_for_stop_after(service: Service) -> None:
    service.save(flow(", inputs: {x: '{{ nope() }}'}, stopAfter: [FAILED]"))
    service.tick(at("15:00"))
    assert dates(service) == ["13:00"]
    assert service.state("a", "hourly").disabled


def test_a_condition_about_the_world_is_asked_again_at_each_date(service: Service) -> None:
    service.save(flow(f", conditions: [{NEVER}]"))
    service.tick(at("13:00"))
    assert service.state("a", "hourly").next_date == at("14:00")
    assert dates(service) == []


def test_a_schedule_that_never_fires_says_so_once(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        service.save(flow(cron="0 0 30 2 *"))
        service.tick(at("13:00"))
        service.tick(at("14:00"))
    assert [one for one in caplog.messages if "hourly" in one] == [
        "team.a: trigger hourly never fires: it has no date to come"
    ]


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        pytest.param("2026-03-28T12", ["2026-03-29T01:30", "2026-03-30T00:30"], id="spring"),
        pytest.param("2026-10-24T12", ["2026-10-25T00:30", "2026-10-26T01:30"], id="autumn"),
    ],
)
def test_a_fixed_hour_fires_once_a_day_when_clocks_change(
    service: Service, saved: str, expected: list[str]
) -> None:
    service.clock.at = datetime.fromisoformat(saved).replace(tzinfo=UTC)
    service.save(flow(", timezone: Europe/Paris", cron="30 2 * * *"))
    service.tick(service.clock.at + timedelta(days=2))
    found = [f"{one.schedule_date:%Y-%m-%dT%H:%M}" for one in service.executions("a")]
    assert found == expected


def test_the_dates_of_an_execution_are_in_the_zone_of_its_trigger(service: Service) -> None:
    service.save(flow(", timezone: America/New_York", cron="0 9 * * *"))
    service.tick(at("14:00"))
    [execution] = service.executions("a")
    assert execution.trigger is not None
    assert execution.trigger.variables["date"] == "2026-03-01T09:00:00-05:00"


def test_a_stored_date_that_is_no_date_of_the_schedule_moves_to_one(service: Service) -> None:
    service.save(flow())
    with service.database.begin() as tx:
        triggers.put(tx.connection, [moved(service, at("12:10"))])
    service.tick(at("12:20"))
    assert dates(service) == []
    assert service.state("a", "hourly").next_date == at("13:00")


def moved(service: Service, date: datetime) -> triggers.TriggerState:
    state = service.state("a", "hourly")
    values = {name: getattr(state, name) for name in state.__dataclass_fields__}
    return triggers.TriggerState(**{**values, "next_date": date})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("DayWeek, dayOfWeek: WEDNESDAY", ["03-04", "03-11"]),
        ("DayWeekInMonth, dayOfWeek: MONDAY, dayInMonth: LAST", ["03-30"]),
        ("Weekend", ["03-07", "03-08"]),
        ("PublicHoliday, country: FR", ["04-06", "05-01"]),
        ("DateTimeBetween, after: '2026-03-20T00:00:00Z'", ["03-20", "03-21"]),
        (f"Not, conditions: [{{type: {KIND}.Weekend}}]", ["03-02", "03-03"]),
        (
            f"Or, conditions: [{{type: {KIND}.DayWeek, dayOfWeek: FRIDAY}},"
            f" {{type: {KIND}.PublicHoliday, country: FR}}]",
            ["03-06", "03-13"],
        ),
        ("Expression, expression: \"{{ trigger.date | date('dd') == '15' }}\"", ["03-15", "04-15"]),
    ],
)
def test_a_condition_moves_the_next_date_to_one_for_which_it_holds(
    service: Service, condition: str, expected: list[str]
) -> None:
    if "PublicHoliday" in condition:
        pytest.importorskip("holidays", reason="holidays is not installed")
    service.save(flow(f", conditions: [{{type: {KIND}.{condition}}}]", cron="0 9 * * *"))
    service.tick(at("13:00"))
    found = []
    for _ in range(8):
        state = service.state("a", "hourly")
        assert state.next_date is not None
        service.tick(state.next_date)
    found = [f"{one.schedule_date:%m-%d}" for one in service.executions("a")]
    assert found[: len(expected)] == expected


def test_true_dates_before_and_after_are_those_for_which_the_conditions_hold(
    service: Service,
) -> None:
    service.save(flow(f", conditions: [{{type: {KIND}.Weekend}}]", cron="0 9 * * *"))
    service.tick(at("13:00"))
    for _ in range(2):
        service.tick(service.state("a", "hourly").next_date)
    trigger = service.executions("a")[0].trigger
    assert trigger is not None
    assert trigger.variables == {
        "date": "2026-03-07T09:00:00+00:00",
        "next": "2026-03-08T09:00:00+00:00",
        "previous": "2026-03-01T09:00:00+00:00",
    }


def test_dates_may_run_at_the_same_time_where_the_flow_says_so(service: Service) -> None:
    service.save(flow(", allowConcurrent: true", task=PAUSE))
    service.tick(at("15:30"))
    assert dates(service) == ["13:00", "14:00", "15:00"]
    asked = {"start": "2026-02-01T06:00:00Z", "end": "2026-02-01T08:00:00Z"}
    service.change(service.changes.backfill, NAME, asked)
    service.tick()
    assert dates(service)[3:] == ["06:00"]


def test_a_schedule_stops_at_the_first_failure_where_the_flow_says_so(service: Service) -> None:
    fail = "{id: say, type: io.kestra.plugin.core.execution.Fail}"
    service.save(flow(", stopOnFailure: true", task=fail))
    service.tick(at("15:30"))
    assert dates(service) == ["13:00"]
    assert service.state("a", "hourly").disabled
