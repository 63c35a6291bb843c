from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.sync.world import REGISTRY, DirectStarter, FrozenClock

from penstock_runner.engine.state import Execution, State, TriggerOrigin
from penstock_runner.executor.messages import Refused
from penstock_runner.expressions.environment import Expressions
from penstock_runner.flow.model import Flow
from penstock_runner.flow.parse import parse_flow
from penstock_server.scheduler.triggers import Scheduler
from penstock_server.store import triggers
from penstock_server.store.engine import open_store
from penstock_server.store.migrations import upgrade
from penstock_server.store.triggers import TriggerState

HOURLY = "{id: hourly, type: io.kestra.plugin.core.trigger.Schedule, cron: '0 * * * *'%s}"


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}").replace(tzinfo=UTC)


class World:
    """One scheduler over one store and the flows that tests save."""

    def __init__(self, folder: Path) -> None:
        self.database = open_store(f"sqlite:///{folder / 'store.db'}")
        upgrade(self.database)
        self.clock = FrozenClock()
        self.starter = DirectStarter(self.database)
        self.flows: dict[tuple[str, str], Flow] = {}
        self.scheduler = self.restart()

    def restart(self) -> Scheduler:
        self.scheduler = Scheduler(
            database=self.database,
            starter=self.starter,
            clock=self.clock,
            flows=lambda namespace, flow_id: self.flows.get((namespace, flow_id)),
            expressions=Expressions(),
            load=REGISTRY.load,
        )
        return self.scheduler

    def save(self, *written: str, more: str = "") -> Flow:
        listed = "".join(f"  - {one}\n" for one in written)
        text = "id: a\nnamespace: team\ntasks:\n  - {id: t, type: io.kestra.plugin.core.log.Log, "
        text += f"message: hi}}\n{more}" + (f"triggers:\n{listed}" if written else "")
        parsed = parse_flow(text)
        flow = parsed.effective
        assert flow is not None, parsed.faults
        self.flows["team", "a"] = flow
        with self.database.begin() as tx:
            self.scheduler.flow_saved(tx, flow, self.clock.now())
        return flow

    def state(self, trigger_id: str = "hourly") -> TriggerState:
        with self.database.read() as connection:
            found = triggers.get(connection, "team", "a", trigger_id)
        assert found is not None
        return found

    def tick(self, moment: datetime) -> datetime | None:
        self.clock.at = moment
        return self.scheduler.tick(moment)

    def end(self, state: State = State.SUCCESS) -> None:
        """The last execution that was started ends."""
        start = self.starter.started[-1]
        execution = Execution(
            id=str(start.id),
            namespace="team",
            flow_id="a",
            flow_revision=1,
            history=((state, self.clock.now()),),
            trigger=start.trigger,
        )
        with self.database.begin() as tx:
            for write in self.scheduler.execution_ended(execution):
                write(tx)

    def dates(self) -> list[str]:
        return [f"{start.schedule_date:%H:%M}" for start in self.starter.started]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def test_a_schedule_waits_for_its_first_date_and_then_starts_once(world: World) -> None:
    world.save(HOURLY % ", labels: {kind: '{{ trigger.date | date(\"HH\") }}'}")
    assert world.state().next_date == at("13:00")
    assert world.tick(at("12:59:59.500000")) == at("13:00")
    assert world.starter.started == []

    world.tick(at("13:00"))
    world.tick(at("13:00:01"))
    [start] = world.starter.started
    assert start.trigger == TriggerOrigin(
        id="hourly",
        type="io.kestra.plugin.core.trigger.Schedule",
        variables={
            "date": "2026-03-01T13:00:00+00:00",
            "next": "2026-03-01T14:00:00+00:00",
            "previous": "2026-03-01T12:00:00+00:00",
        },
    )
    assert start.labels == {"kind": "13"}
    assert world.state().execution_id == start.id
    assert world.state().next_date == at("14:00")


def test_dates_that_pass_while_an_execution_runs_are_run_one_by_one(world: World) -> None:
    world.save(HOURLY % "")
    world.tick(at("13:00"))
    world.tick(at("16:30"))
    assert world.dates() == ["13:00"]
    for _ in range(4):
        world.end()
        world.tick(at("16:30"))
    assert world.dates() == ["13:00", "14:00", "15:00", "16:00"]


@pytest.mark.parametrize(
    ("mode", "expected"), [("ALL", ["13:00"]), ("LAST", ["16:00"]), ("NONE", [])]
)
def test_what_was_missed_while_the_service_was_down_is_recovered_as_asked(
    world: World, mode: str, expected: list[str]
) -> None:
    world.save(HOURLY % f", recoverMissedSchedules: {mode}")
    world.restart()
    world.tick(at("16:30"))
    world.tick(at("16:30:01"))
    assert world.dates() == expected
    assert world.state().next_date == (at("14:00") if mode == "ALL" else at("17:00"))


def test_dates_that_are_too_late_are_left_out(world: World) -> None:
    world.save(HOURLY % ", lateMaximumDelay: PT90M")
    world.tick(at("13:00"))
    world.clock.at = at("17:10")
    world.end()
    world.tick(at("17:10"))
    world.end()
    world.tick(at("17:10:01"))
    # 14:00 was computed in time; of those after it only the last 90 minutes count.
    assert world.dates() == ["13:00", "14:00", "16:00"]


def test_conditions_choose_among_the_dates(world: World) -> None:
    condition = "{type: io.kestra.plugin.core.condition.DayWeek, dayOfWeek: MONDAY}"
    daily = "{id: hourly, type: io.kestra.plugin.core.trigger.Schedule, cron: '0 9 * * *', "
    world.save(daily + f"conditions: [{condition}]}}")
    for day in range(2, 17):
        world.tick(datetime(2026, 3, day, 9, tzinfo=UTC))
        if world.state().execution_id:
            world.end()
    assert [start.schedule_date.day for start in world.starter.started if start.schedule_date] == [
        2,
        9,
        16,
    ]
    variables = world.starter.started[1].trigger
    assert variables is not None
    assert variables.variables["previous"] == "2026-03-02T09:00:00+00:00"
    assert variables.variables["next"] == "2026-03-16T09:00:00+00:00"


def test_a_condition_that_fails_leaves_a_failed_execution_and_passes_its_date_over(
    world: World,
) -> None:
    condition = "{type: io.kestra.plugin.core.condition.Expression, expression: '{{ nope() }}'}"
    world.save(HOURLY % f", conditions: [{condition}]")
    world.tick(at("13:00"))
    [start] = world.starter.started
    assert (start.failure or "").startswith("Unable to evaluate the trigger 'hourly': ")
    assert (world.state().next_date, world.state().execution_id) == (at("14:00"), None)


def test_an_execution_that_cannot_start_does_not_stop_the_schedule(world: World) -> None:
    world.save(HOURLY % "")
    world.starter.refuse = Refused("an input is missing")
    world.tick(at("13:00"))
    assert world.state().next_date == at("14:00")
    assert world.state().execution_id is None
    world.starter.refuse = None
    world.tick(at("14:00"))
    assert world.dates() == ["14:00"]


def test_a_changed_trigger_begins_anew_and_a_removed_one_is_forgotten(world: World) -> None:
    world.save(HOURLY % "", HOURLY.replace("id: hourly", "id: other") % "")
    before = world.state()
    world.clock.at = at("12:30")
    world.save(HOURLY % "", more="description: changed\n")
    assert world.state() == before
    with world.database.read() as connection:
        assert len(triggers.of_flow(connection, "team", "a")) == 1
    world.save(HOURLY.replace("0 * * * *", "45 * * * *") % "")
    assert world.state().next_date == at("12:45")
    with world.database.begin() as tx:
        world.scheduler.flow_deleted(tx, "team", "a")
    with world.database.read() as connection:
        assert triggers.of_flow(connection, "team", "a") == []


def test_disabled_flows_and_triggers_do_not_fire(world: World) -> None:
    world.save(HOURLY % ", disabled: true")
    assert world.state().next_date is None
    world.save(HOURLY % "", more="disabled: true\n")
    assert world.state().next_date is None
    world.save(HOURLY % "")
    assert world.state().next_date == at("13:00")


def test_stop_after_switches_a_trigger_off_and_on(world: World) -> None:
    world.save(HOURLY % ", stopAfter: [FAILED]")
    world.tick(at("13:00"))
    world.end(State.FAILED)
    assert (world.state().disabled, world.state().execution_id) == (True, None)
    world.tick(at("14:00"))
    assert world.dates() == ["13:00"]


def test_dates_can_be_written_out(world: World) -> None:
    dates = "['2026-03-01T12:30:00Z', '2026-03-01T14:15:00+01:00']"
    world.save(
        f"{{id: hourly, type: io.kestra.plugin.core.trigger.ScheduleOnDates, dates: {dates}}}"
    )
    world.tick(at("12:30"))
    world.end()
    world.tick(at("13:15"))
    world.end()
    world.tick(at("20:00"))
    assert [start.schedule_date for start in world.starter.started] == [at("12:30"), at("13:15")]
    assert world.state().next_date is None


def test_inputs_of_a_trigger_are_rendered(world: World) -> None:
    world.save(HOURLY % ", inputs: {day: '{{ trigger.date | date(\"yyyy-MM-dd\") }}', n: 5}")
    world.tick(at("13:00"))
    assert world.starter.started[0].inputs == {"day": "2026-03-01", "n": 5}
