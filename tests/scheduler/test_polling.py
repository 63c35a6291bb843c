"""Polling triggers ask through a runner, and start a flow when the answer fits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.scheduler.service import Service, at
from tests.tasks.context import Context, Templates

from penstock_runner.executor.dispatch import RunnerSeat
from penstock_runner.jobs.protocol import Report
from penstock_runner.tasks.binding import bind
from penstock_runner.tasks.polling import interval_of, must_be_told
from penstock_runner.tasks.registry import Registry
from penstock_server.scheduler.rows import Name

NAME: Name = ("team", "a", "ask")
FOUND = {"uri": "u", "code": 200, "headers": {}, "body": "text"}


FILES = {
    "files": [{"uri": "kestra:///a.csv", "localPath": "/in/a.csv", "version": "1"}],
    "count": 1,
}


def arrivals(more: str = "", task: str = "core.log.Log, message: hi") -> str:
    return (
        "id: a\nnamespace: team\n"
        f"tasks:\n  - {{id: t, type: io.kestra.plugin.{task}}}\n"
        "triggers:\n  - id: ask\n    type: io.kestra.plugin.fs.local.Trigger\n"
        f"    from: /in\n    action: DELETE\n    interval: PT30S\n{more}"
    )


def flow(more: str = "", task: str = "core.log.Log, message: hi") -> str:
    return (
        "id: a\nnamespace: team\nlabels: {of: flow}\n"
        f"tasks:\n  - {{id: t, type: io.kestra.plugin.{task}}}\n"
        "triggers:\n  - id: ask\n    type: io.kestra.plugin.core.http.Trigger\n"
        f"    uri: https://example.org/\n    interval: PT30S\n{more}"
    )


class Asked:
    """A service with one runner that only listens."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.jobs: list[dict[str, Any]] = []

    def join(self, *labels: str, name: str = "r") -> None:
        seat = RunnerSeat(name=name, slots=2, labels=frozenset(labels), send=self.jobs.append)
        self.service.executor.runner_joined(seat)
        self.service.settle()

    def answer(self, found: dict[str, Any] | None = FOUND, *, state: str = "SUCCESS") -> bool:
        job = self.jobs[-1]
        report = Report(
            execution_id=job["execution_id"],
            key=job["key"],
            attempt=job["attempt"],
            state=state,
            at=self.service.clock.now(),
            outputs={"found": found} if state == "SUCCESS" else None,
            error=None if state == "SUCCESS" else "no route to host",
        )
        taken = self.service.scheduler.reported(report)
        self.service.settle()
        return taken


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    service = Service(tmp_path)
    made = Asked(service)
    made.join()
    yield made
    service.database.close()


def test_an_answer_that_fits_starts_the_flow_and_one_is_asked_for_again(asked: Asked) -> None:
    asked.service.save(flow("    labels: {of: trigger, by: '{{ raw }}'}\n"))
    asked.service.tick()
    [job] = asked.jobs
    assert job["task"]["kind"] == "io.kestra.plugin.core.http.Trigger"
    assert job["task"]["properties"] == {"uri": "https://example.org/", "interval": "PT30S"}
    asked.service.clock.forward(seconds=5)
    assert asked.answer()
    [execution] = asked.service.executions("a")
    assert execution.id == job["execution_id"]
    assert execution.trigger is not None
    assert execution.trigger.variables == FOUND
    assert execution.labels == {"of": "flow", "by": "{{ raw }}"}
    state = asked.service.state("a", "ask")
    assert state.next_date == at("12:00:35")
    assert not asked.answer()


@pytest.mark.parametrize(
    ("answer", "more"),
    [
        ({"found": None}, ""),
        ({"state": "FAILED"}, ""),
        ({}, "    conditions: [{type: io.kestra.plugin.core.condition.Weekend}]\n"),
        ({}, "    inputs: {a: '{{ nope() }}'}\n"),
    ],
)
def test_an_answer_that_does_not_fit_starts_nothing(
    asked: Asked, answer: dict[str, Any], more: str
) -> None:
    asked.service.save(flow(more))
    asked.service.tick()
    asked.answer(**answer)
    assert asked.service.executions("a") == []
    asked.service.tick(at("12:00:29"))
    assert len(asked.jobs) == 1
    asked.service.tick(at("12:00:30"))
    assert len(asked.jobs) == 2


def test_nothing_is_asked_while_the_last_question_is_out_or_its_execution_runs(
    asked: Asked,
) -> None:
    asked.service.save(flow(task="core.flow.Pause"))
    asked.service.tick()
    asked.service.tick(at("12:05"))
    assert len(asked.jobs) == 1
    asked.answer()
    asked.service.tick(at("12:20"))
    assert len(asked.jobs) == 1
    assert len(asked.service.executions("a")) == 1


def test_a_question_that_is_lost_with_its_runner_is_asked_again(asked: Asked) -> None:
    asked.service.save(flow())
    asked.service.tick()
    asked.service.executor.runner_left("r")
    asked.service.settle()
    asked.service.tick(at("12:01"))
    assert len(asked.jobs) == 1
    asked.join()
    asked.service.tick(asked.service.clock.now() + timedelta(seconds=5))
    assert len(asked.jobs) == 2
    asked.answer()
    assert len(asked.service.executions("a")) == 1


def word(job: dict[str, Any]) -> Any:
    return job["task"]["word"]


def test_a_runner_is_told_that_its_finding_was_taken_once_the_execution_exists(
    asked: Asked,
) -> None:
    asked.service.save(arrivals(task="core.flow.Pause"))
    asked.service.tick()
    assert word(asked.jobs[0]) is None
    asked.answer(FILES)
    [execution] = asked.service.executions("a")
    asked.service.tick()
    assert word(asked.jobs[1]) == {"is": "taken", "found": FILES}
    assert asked.jobs[1]["execution_id"] == execution.id == asked.jobs[0]["execution_id"]
    asked.answer(None)
    assert asked.service.state("a", "ask").body is None
    asked.service.tick(at("12:10"))
    assert len(asked.jobs) == 2


def test_what_was_found_is_not_asked_for_again_before_its_end_was_told(asked: Asked) -> None:
    asked.service.save(arrivals())
    asked.service.tick()
    asked.answer(FILES)
    asked.service.tick()
    asked.answer(state="FAILED")
    for minute in (1, 2):
        asked.service.tick(at(f"12:0{minute}"))
        assert word(asked.jobs[-1]) == {"is": "taken", "found": FILES}
        asked.answer(state="FAILED")
    asked.service.tick(at("12:03"))
    asked.answer(None)
    asked.service.tick(at("12:04"))
    assert word(asked.jobs[-1]) is None
    assert len(asked.service.executions("a")) == 1


def test_what_a_service_that_died_has_not_told_is_told_after_its_start(asked: Asked) -> None:
    asked.service.save(arrivals(task="core.flow.Pause"))
    asked.service.tick()
    asked.answer(FILES)
    asked.service.start()
    asked.join()
    asked.service.tick()
    assert word(asked.jobs[-1]) == {"is": "taken", "found": FILES}
    asked.answer(None)
    asked.service.tick(at("12:05"))
    assert len(asked.jobs) == 2
    assert len(asked.service.executions("a")) == 1


def test_an_answer_that_comes_after_a_crash_is_asked_for_again(asked: Asked) -> None:
    asked.service.save(arrivals())
    asked.service.tick()
    asked.service.start()
    asked.join()
    assert not asked.answer(FILES)
    asked.service.tick(at("12:01"))
    assert word(asked.jobs[-1]) is None
    asked.answer(FILES)
    assert len(asked.service.executions("a")) == 1


def test_files_of_an_execution_that_does_not_start_are_dropped(asked: Asked) -> None:
    weekend = "{type: io.kestra.plugin.core.condition.Weekend, date: '2026-03-02'}"
    asked.service.save(arrivals(f"    conditions: [{weekend}]\n"))
    asked.service.tick()
    asked.answer(FILES)
    assert asked.service.executions("a") == []
    assert word(asked.jobs[-1]) == {"is": "dropped", "found": FILES}
    asked.answer(None)
    asked.service.tick(at("12:00:30"))
    assert word(asked.jobs[-1]) is None


def test_a_restart_takes_a_question_back(asked: Asked) -> None:
    asked.service.save(arrivals())
    asked.service.tick()
    assert asked.service.change(asked.service.changes.restart, NAME) is None
    assert asked.jobs[-1]["type"] == "cancel"
    del asked.jobs[-1]
    assert not asked.answer(FILES)
    asked.service.tick(at("12:00:30"))
    assert len(asked.jobs) == 2


def test_labels_of_other_polls_are_rendered_and_go_over_those_of_the_flow(asked: Asked) -> None:
    more = "    labels: {of: trigger, n: '{{ trigger.count }}'}\n"
    asked.service.save(arrivals(more).replace("team\n", "team\nlabels: {of: flow, own: x}\n", 1))
    asked.service.tick()
    asked.answer(FILES)
    [execution] = asked.service.executions("a")
    assert execution.labels == {"of": "trigger", "n": "1", "own": "x"}


def test_a_poll_that_is_switched_on_again_is_asked_at_once(asked: Asked) -> None:
    asked.service.save(arrivals())
    asked.service.tick()
    asked.answer(None)
    for disabled in (True, False):
        change = asked.service.changes.switch_anew
        assert asked.service.change(change, NAME, disabled=disabled) is None
        asked.service.tick(at("12:10"))
        assert len(asked.jobs) == (1 if disabled else 2)


def test_a_trigger_is_evaluated_where_it_asks_for(
    asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    asked.service.save(arrivals("    runsOn: [nas]\n"))
    asked.service.tick()
    asked.service.tick(at("12:00:10"))
    assert asked.jobs == []
    [told] = [one for one in caplog.messages if "is not evaluated" in one]
    assert "nas" in told
    asked.join("nas", name="other")
    asked.service.tick(at("12:00:20"))
    assert len(asked.jobs) == 1


def test_executions_may_run_at_the_same_time_where_the_flow_says_so(asked: Asked) -> None:
    asked.service.save(flow("    allowConcurrent: true\n", task="core.flow.Pause"))
    for minute in ("12:01", "12:02"):
        asked.service.tick(at(minute))
        asked.answer()
    assert [one.state.value for one in asked.service.executions("a")] == ["PAUSED", "PAUSED"]


@pytest.mark.parametrize("how", ["an error", "no such variable"])
def test_an_evaluation_that_fails_is_an_execution_where_the_flow_says_so(
    asked: Asked, how: str
) -> None:
    more = "    failOnTriggerError: true\n"
    asked.service.save(
        flow(more + ("" if how == "an error" else "    inputs: {a: '{{ nope() }}'}\n"))
    )
    asked.service.tick()
    asked.answer(state="FAILED" if how == "an error" else "SUCCESS")
    [execution] = asked.service.executions("a")
    assert execution.state.value == "FAILED"
    assert "Unable to evaluate the trigger 'ask'" in asked.service.lines(execution.id)[0]
    assert asked.service.state("a", "ask").execution_id is None


def test_a_trigger_of_another_package_is_found_and_asked(tmp_path: Path) -> None:
    registry = Registry(["penstock_runner.tasks", "tests.scheduler.other_tasks"])
    assert registry.is_polling("acme.Ticks")
    assert not registry.is_polling("io.kestra.plugin.core.trigger.Schedule")
    cls = registry.load("acme.Ticks")
    assert interval_of(cls, None) == timedelta(minutes=5)
    assert not must_be_told(cls)
    context: Any = Context(tmp_path)
    assert bind(cls, {"least": 1}, Templates({})).run(context) == {"found": {"ticks": 3}}
    assert bind(cls, {"least": 9}, Templates({})).run(context) == {"found": None}
