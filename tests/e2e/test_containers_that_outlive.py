"""A container that may be resumed runs on while the service is away, and is not run twice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live import Service, live_service, wait_for
from tests.taskrunners.real_docker import IMAGE, client, daemon

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

LONG = f"""
id: long
namespace: team.app
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: {IMAGE}
    taskRunner:
      type: io.kestra.plugin.scripts.runner.docker.Docker
      pullPolicy: NEVER
      resume: true
    outputFiles: [out.txt]
    commands:
      - echo begun
      - date +%s%N > out.txt
      - until [ -f /tmp/go ]; do sleep 0.05; done
      - echo done
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def of_execution(execution_id: str) -> list[str]:
    wanted = {"label": f"kestra.io/execution-id={execution_id}"}
    return [one["Id"] for one in client(daemon()).api.containers(all=True, filters=wanted)]


def lines(service: Service, execution_id: str) -> list[str]:
    found = service.get(f"/api/v1/main/logs/{execution_id}").json()
    return [str(line["message"]) for line in found]


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_a_service_that_comes_back_takes_up_its_container(folder: Path, how: str) -> None:
    found = daemon()
    with live_service(folder, environment={"DOCKER_HOST": found.host}) as service:
        service.put_flow(LONG)
        execution_id = service.start_flow("team.app", "long")
        wait_for(lambda: lines(service, execution_id), lambda said: "begun" in said)
        [one] = of_execution(execution_id)
        if how == "killed":
            service.kill()
            service.start()
        else:
            service.restart()
        wait_for(
            lambda: lines(service, execution_id),
            lambda said: any("is taken up" in text for text in said),
        )
        assert of_execution(execution_id) == [one]
        client(found).containers.get(one).exec_run(["touch", "/tmp/go"])
        execution: dict[str, Any] = service.ended(execution_id)
        said = lines(service, execution_id)
    assert execution["state"]["current"] == "SUCCESS", said
    assert list(execution["taskRunList"][0]["outputs"]["outputFiles"]) == ["out.txt"]
    assert said.count("done") == 1
    assert of_execution(execution_id) == []
