"""Polling triggers ask through a runner, and start a flow when the answer fits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.scheduler.service import Service, at

from penstock_runner.executor.dispatch import RunnerSeat
from penstock_runner.jobs.protocol import Report
from penstock_server.scheduler.rows import Name

NAME: Name = ("team", "a", "ask")
FOUND = {"uri": "u", "code": 200, "headers": {}, "body": "text"}


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

    def join(self) -> None:
        seat = RunnerSeat(name="r", slots=2, labels=frozenset(), send=self.jobs.append)
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
