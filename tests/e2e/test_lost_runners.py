"""Runners that are drained, killed or cut off: their jobs go on elsewhere, and never twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import processes
from tests.live import AS_OURSELVES, Service, live_service, wait_for

pytestmark = pytest.mark.e2e

SETTINGS = "runner: {lease: PT2S, drain: PT1S}\n"
LONG = """
id: long
namespace: team
inputs: [{id: folder, type: STRING}]
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands:
      - echo $$ >> {{ inputs.folder }}/pids
      - while ! test -e {{ inputs.folder }}/go; do sleep 0.05; done
      - echo done >> {{ inputs.folder }}/done
"""
STRICT = LONG.replace("id: long", "id: strict") + "onRunnerLost: FAIL\n"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "penstock.yaml").write_text(SETTINGS)
    with live_service(tmp_path, environment=AS_OURSELVES) as running:
        running.put_flow(LONG)
        running.put_flow(STRICT)
        yield running


def runner_of(service: Service) -> int:
    """The process of the runner."""
    assert service.process is not None
    return next(
        pid
        for pid in processes.below(service.process.pid)
        if Path(f"/proc/{pid}/comm").read_text().startswith("penstock-runner")
        and Path(f"/proc/{pid}/stat").read_text().split()[3] == str(service.process.pid)
    )


def pids(folder: Path) -> list[int]:
    """The processes that the task has had."""
    path = folder / "pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def begun(folder: Path, count: int) -> list[int]:
    """Wait until the task has begun so often."""
    return wait_for(lambda: pids(folder), lambda found: len(found) == count)


def attempts(execution: dict[str, Any]) -> list[str]:
    """The ends of the attempts of the only task."""
    return [one["state"]["current"] for one in execution["taskRunList"][0]["attempts"]]


def test_the_job_of_a_killed_runner_is_started_again_once(service: Service, tmp_path: Path) -> None:
    running = service.start_flow("team", "long", folder=str(tmp_path))
    [first] = begun(tmp_path, 1)
    os.kill(runner_of(service), signal.SIGKILL)
    begun(tmp_path, 2)
    assert not processes.alive(first)
    (tmp_path / "go").touch()
    ended = service.ended(running)
    assert ended["state"]["current"] == "SUCCESS"
    assert attempts(ended) == ["FAILED", "SUCCESS"]
    assert (tmp_path / "done").read_text() == "done\n"


def test_a_second_loss_fails_the_task_as_does_the_first_when_its_flow_says_so(
    service: Service, tmp_path: Path
) -> None:
    running = service.start_flow("team", "long", folder=str(tmp_path))
    for count in (1, 2):
        begun(tmp_path, count)
        os.kill(runner_of(service), signal.SIGKILL)
    ended = service.ended(running)
    assert (ended["state"]["current"], attempts(ended)) == ("FAILED", ["FAILED", "FAILED"])
    strict = service.start_flow("team", "strict", folder=str(tmp_path))
    begun(tmp_path, 3)
    os.kill(runner_of(service), signal.SIGKILL)
    ended = service.ended(strict)
    assert (ended["state"]["current"], attempts(ended)) == ("FAILED", ["FAILED"])


def test_a_runner_that_hangs_is_ended_before_its_job_is_started_again(
    service: Service, tmp_path: Path
) -> None:
    """It is cut off: alive, but it neither speaks nor listens, and its processes run on."""
    running = service.start_flow("team", "long", folder=str(tmp_path))
    [first] = begun(tmp_path, 1)
    hung = runner_of(service)
    os.kill(hung, signal.SIGSTOP)
    begun(tmp_path, 2)
    assert not processes.alive(hung)
    assert not processes.alive(first)
    assert "was not heard of for 0:00:02: it is killed" in service.said()
    (tmp_path / "go").touch()
    assert service.ended(running)["state"]["current"] == "SUCCESS"
    assert (tmp_path / "done").read_text() == "done\n"


def test_a_drained_runner_hands_over_what_it_cannot_end_in_time(
    service: Service, tmp_path: Path
) -> None:
    running = service.start_flow("team", "long", folder=str(tmp_path))
    [first] = begun(tmp_path, 1)
    drained = runner_of(service)
    os.kill(drained, signal.SIGTERM)
    begun(tmp_path, 2)
    assert not processes.alive(first)
    assert runner_of(service) != drained
    (tmp_path / "go").touch()
    ended = service.ended(running)
    assert (ended["state"]["current"], attempts(ended)) == ("SUCCESS", ["FAILED", "SUCCESS"])
    assert (tmp_path / "done").read_text() == "done\n"
