"""Ctrl-C, a stop and a start again: in order, quickly, and what ran goes on where it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import processes
from tests.live import AS_OURSELVES, STOP_SECONDS, Service, live_service, wait_for

pytestmark = pytest.mark.e2e

LONG = """
id: long
namespace: team
inputs: [{id: folder, type: STRING}]
tasks:
  - id: before
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands: ["echo before >> {{ inputs.folder }}/marks"]
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands:
      - echo work >> {{ inputs.folder }}/marks
      - while ! test -e {{ inputs.folder }}/go; do sleep 0.05; done
"""
PAUSED = """
id: paused
namespace: team
tasks:
  - {id: wait, type: io.kestra.plugin.core.flow.Pause}
  - {id: after, type: io.kestra.plugin.core.log.Log, message: after}
"""
SLEEPING = """
id: sleeping
namespace: team
tasks:
  - {id: doze, type: io.kestra.plugin.core.flow.Sleep, duration: PT6S}
  - {id: after, type: io.kestra.plugin.core.log.Log, message: after}
"""
STUBBORN = """
id: stubborn
namespace: team
inputs: [{id: folder, type: STRING}]
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands:
      - trap 'echo asked >> {{ inputs.folder }}/marks; exit 0' TERM
      - setsid sh -c 'echo $$ > {{ inputs.folder }}/grandchild; sleep 600' &
      - while true; do sleep 0.05; done
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with live_service(tmp_path, environment=AS_OURSELVES) as running:
        for flow in (LONG, PAUSED, SLEEPING, STUBBORN):
            running.put_flow(flow)
        yield running


def interrupt(service: Service, number: int = signal.SIGINT) -> int:
    """Press Ctrl-C: the terminal signals the whole process group, as a service manager may do."""
    process = service.process
    assert process is not None
    everybody = processes.below(process.pid)
    os.killpg(process.pid, number)
    code = process.wait(STOP_SECONDS)
    service.kill()
    wait_for(lambda: [pid for pid in everybody if processes.alive(pid)], lambda left: not left, 5)
    return code


def marks(folder: Path) -> list[str]:
    """What tasks have left behind."""
    path = folder / "marks"
    return path.read_text().split() if path.exists() else []


def await_state(service: Service, execution_id: str, state: str) -> None:
    """Wait for a state of an execution."""
    wait_for(
        lambda: service.execution(execution_id)["state"]["current"], lambda found: found == state
    )


def test_ctrl_c_stops_an_idle_service_cleanly(service: Service) -> None:
    assert interrupt(service) == 0
    assert "Traceback" not in service.said()
    assert "is killed" not in service.said()


def test_after_ctrl_c_what_ran_goes_on_and_a_shell_job_begins_again_once(
    service: Service, tmp_path: Path
) -> None:
    paused = service.start_flow("team", "paused")
    sleeping = service.start_flow("team", "sleeping")
    running = service.start_flow("team", "long", folder=str(tmp_path))
    await_state(service, paused, "PAUSED")
    wait_for(lambda: marks(tmp_path), lambda found: "work" in found)
    assert interrupt(service) == 0
    assert "Traceback" not in service.said()
    service.start()
    assert service.execution(paused)["state"]["current"] == "PAUSED"
    wait_for(lambda: marks(tmp_path), lambda found: found.count("work") == 2)
    (tmp_path / "go").touch()
    execution = service.ended(running)
    assert execution["state"]["current"] == "SUCCESS"
    assert marks(tmp_path) == ["before", "work", "work"]
    lines = [line["message"] for line in service.get(f"/api/v1/main/logs/{running}").json()]
    assert len([line for line in lines if "started again" in line]) == 1, lines
    answer = service.post(f"/api/v1/main/executions/{paused}/resume")
    assert answer.status_code < 300, answer.text
    for execution_id in (paused, sleeping):
        ended = service.ended(execution_id)
        assert ended["state"]["current"] == "SUCCESS"
        lines = [
            line["message"] for line in service.get(f"/api/v1/main/logs/{execution_id}").json()
        ]
        assert lines.count("after") == 1


def test_however_often_a_service_is_stopped_a_long_job_begins_again(
    service: Service, tmp_path: Path
) -> None:
    running = service.start_flow("team", "long", folder=str(tmp_path))
    for count in (1, 2, 3):
        wait_for(lambda: marks(tmp_path), lambda found, n=count: found.count("work") == n)
        if count % 2:
            service.stop()
        else:
            assert interrupt(service, signal.SIGTERM) == 0
        service.start()
    wait_for(lambda: marks(tmp_path), lambda found: found.count("work") == 4)
    (tmp_path / "go").touch()
    assert service.ended(running)["state"]["current"] == "SUCCESS"


def test_a_kill_reaches_the_process_of_a_task_and_what_it_has_detached(
    service: Service, tmp_path: Path
) -> None:
    running = service.start_flow("team", "stubborn", folder=str(tmp_path))
    pid = int(
        wait_for(
            lambda: (
                (tmp_path / "grandchild").read_text() if (tmp_path / "grandchild").exists() else ""
            ),
            lambda text: text.strip(),
        )
    )
    assert processes.alive(pid)
    answer = service.request("DELETE", f"/api/v1/main/executions/{running}/kill")
    assert answer.status_code < 300, answer.text
    assert service.ended(running)["state"]["current"] == "KILLED"
    wait_for(lambda: processes.alive(pid), lambda still: not still)
    assert marks(tmp_path) == ["asked"]
    assert "Traceback" not in service.said()
