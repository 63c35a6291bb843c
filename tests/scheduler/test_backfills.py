"""Backfills run the dates of the past, one after the other, and leave no trace in the schedule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scheduler.service import Service, at

from penstock_runner.executor.messages import Refused

NAME = ("team", "a", "hourly")
WAITING = "{id: t, type: io.kestra.plugin.core.flow.Pause}"
SAYING = "{id: t, type: io.kestra.plugin.core.log.Log, message: hi}"


def flow(more: str = "", task: str = SAYING) -> str:
    return (
        f"id: a\nnamespace: team\nlabels: {{of: flow, kind: flow}}\n"
        f"inputs:\n  - {{id: day, type: STRING, defaults: none}}\n"
        f"tasks:\n  - {task}\ntriggers:\n"
        "  - {id: hourly, type: io.kestra.plugin.core.trigger.Schedule, cron: '0 * * * *'"
        f"{more}}}\n"
    )


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.database.close()


def dates(service: Service) -> list[str]:
    return [f"{one.schedule_date:%H:%M}" for one in service.executions("a")]


def backfill(service: Service, **asked: object) -> Exception | None:
    return service.change(service.changes.backfill, NAME, asked)


def test_every_date_from_start_to_end_runs_and_then_the_schedule_goes_on(service: Service) -> None:
    service.save(flow())
    start, end = at("06:00").isoformat(), at("08:00").isoformat()
    assert backfill(service, start=start, end=end) is None
    service.tick()
    assert dates(service) == ["06:00", "07:00", "08:00"]
    state = service.state("a", "hourly")
    assert (state.backfill, state.next_date, state.last_date) == (None, at("13:00"), None)
    service.tick(at("13:00"))
    assert dates(service)[-1] == "13:00"


def test_a_date_waits_for_the_one_before_and_progress_is_seen(service: Service) -> None:
    service.save(flow(task=WAITING))
    backfill(service, start=at("05:30").isoformat(), end=at("07:30").isoformat())
    service.tick()
    assert dates(service) == ["06:00"]
    state = service.state("a", "hourly")
    assert state.execution_id == service.executions("a")[0].id
    assert state.backfill == {
        "start": "2026-03-01T05:30:00Z",
        "end": "2026-03-01T07:30:00Z",
        "currentDate": "2026-03-01T07:00:00Z",
        "paused": False,
        "inputs": {},
        "labels": [],
        "previousNextExecutionDate": "2026-03-01T13:00:00Z",
    }


def test_inputs_and_labels_of_a_backfill_come_last(service: Service) -> None:
    service.save(flow(", inputs: {day: monday}, labels: {kind: trigger, by: trigger}"))
    day = "{{ trigger.date | date('HH') }}"
    backfill(
        service,
        start=at("06:00").isoformat(),
        end=at("06:00").isoformat(),
        inputs={"day": day},
        labels=[{"key": "by", "value": "backfill {{ trigger.date | date('HH') }}"}],
    )
    service.tick()
    [execution] = service.executions("a")
    assert execution.labels == {"of": "flow", "kind": "trigger", "by": "backfill 06"}
    assert execution.inputs == {"day": "06"}
    assert execution.trigger is not None
    assert execution.trigger.variables["previous"] == "2026-03-01T05:00:00+00:00"


def test_a_paused_backfill_waits_and_goes_on_where_it_was(service: Service) -> None:
    service.save(flow())
    backfill(service, start=at("06:00").isoformat(), end=at("07:00").isoformat())
    assert service.change(service.changes.pause, NAME) is None
    service.tick(at("15:00"))
    assert dates(service) == []
    service.start()
    service.tick()
    assert dates(service) == []
    service.change(service.changes.unpause, NAME)
    service.tick()
    assert dates(service) == ["06:00", "07:00", "13:00", "14:00", "15:00"]


def test_a_deleted_backfill_restores_the_next_date(service: Service) -> None:
    service.save(flow(task=WAITING))
    backfill(service, start=at("01:00").isoformat())
    service.tick()
    assert service.change(service.changes.end, NAME) is None
    state = service.state("a", "hourly")
    assert (state.backfill, state.next_date) == (None, at("13:00"))
    refused = service.change(service.changes.end, NAME)
    assert isinstance(refused, Refused)
    assert refused.status == 400


def test_a_second_backfill_is_refused_and_the_same_again_is_not(service: Service) -> None:
    service.save(flow(task=WAITING))
    asked = {"start": at("01:00").isoformat(), "end": at("03:00").isoformat()}
    assert backfill(service, **asked) is None
    assert backfill(service, **asked) is None
    refused = backfill(service, **{**asked, "start": at("02:00").isoformat()})
    assert "under way" in str(refused)


def test_conditions_choose_among_the_dates_of_a_backfill(service: Service) -> None:
    early = "{type: io.kestra.plugin.core.condition.TimeBetween, before: '08:30:00Z'}"
    service.save(flow(f", conditions: [{early}]"))
    backfill(service, start=at("07:00").isoformat(), end=at("11:00").isoformat())
    service.tick()
    assert dates(service) == ["07:00", "08:00"]
    assert service.state("a", "hourly").backfill is None


def test_a_backfill_without_dates_is_over_at_once(service: Service) -> None:
    service.save(flow())
    assert backfill(service, start=at("06:10").isoformat(), end=at("06:50").isoformat()) is None
    assert service.state("a", "hourly").backfill is None
    assert service.state("a", "hourly").next_date == at("13:00")


def test_dates_that_are_too_late_for_the_schedule_run_in_a_backfill(service: Service) -> None:
    service.save(flow(", lateMaximumDelay: PT30M"))
    backfill(service, start=at("06:00").isoformat(), end=at("08:00").isoformat())
    service.tick()
    assert dates(service) == ["06:00", "07:00", "08:00"]
