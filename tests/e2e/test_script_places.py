"""Flows written for containers, with a Docker daemon and without, and packages for both users."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live import Service, live_service
from tests.taskrunners.real_docker import IMAGE, daemon
from tests.tasks.wheels import only_from, wheel

from penstock_runner.jobs.settings import RunAs
from penstock_runner.jobs.slot_users import slot_users

pytestmark = pytest.mark.e2e

NOWHERE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
PACKAGES = """
id: packages
namespace: team.app
tasks:
  - id: dependencies
    type: io.kestra.plugin.scripts.python.Script
    dependencies: [greeting]
    script: |
      import os, greeting
      print(os.getuid(), greeting.word)
  - id: image
    type: io.kestra.plugin.scripts.python.Commands
    containerImage: python:slim
    beforeCommands: [pip install greeting]
    inputFiles:
      main.py: |
        import sys, greeting
        print(sys.prefix != sys.base_prefix, greeting.word)
    commands: [python main.py]
"""
ANYWHERE = f"""
id: anywhere
namespace: team.app
tasks:
  - id: where
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: {IMAGE}
    outputFiles: [out.txt]
    commands:
      - if [ -d /usr/lib ]; then echo outside > out.txt; else echo inside > out.txt; fi
      - cat out.txt
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user of tasks can enter, too."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def run(service: Service, flow_id: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    execution = service.ended(service.start_flow("team.app", flow_id))
    lines = service.get(f"/api/v1/main/logs/{execution['id']}").json()
    return execution, [(line["level"], line["message"]) for line in lines]


def test_packages_are_brought_to_tasks_of_the_user_of_tasks(folder: Path) -> None:
    wheels = folder / "wheels"
    wheels.mkdir(mode=0o755)
    package = wheel(wheels)
    users = slot_users(None, 64) or [RunAs(user=os.geteuid(), group=os.getegid())]
    with live_service(folder, environment={**only_from(wheels), **NOWHERE}) as service:
        service.put_flow(PACKAGES)
        for _ in range(2):
            execution, said = run(service, "packages")
            assert execution["state"]["current"] == "SUCCESS", said
            infos = [text for level, text in said if level == "INFO"]
            user, _, rest = infos[0].partition(" ")
            assert int(user) in {one.user for one in users}
            assert [rest, *infos[1:]] == ["hello", "True hello"]
            package.unlink(missing_ok=True)


def test_a_flow_for_docker_runs_without_it_with_one_warning(folder: Path) -> None:
    with live_service(folder, environment=NOWHERE) as service:
        service.put_flow(ANYWHERE)
        execution, said = run(service, "anywhere")
    assert execution["state"]["current"] == "SUCCESS"
    assert [text for level, text in said if level == "INFO"] == ["outside"]
    [warning] = [text for level, text in said if level == "WARN"]
    assert "No Docker daemon answers" in warning


@pytest.mark.docker
def test_a_flow_for_docker_runs_in_a_container_where_a_daemon_answers(folder: Path) -> None:
    found = daemon()
    with live_service(folder, environment={"DOCKER_HOST": found.host}) as service:
        service.put_flow(ANYWHERE)
        execution, said = run(service, "anywhere")
        assert [text for level, text in said if level == "INFO"] == ["inside"], said
        uri = execution["taskRunList"][0]["outputs"]["outputFiles"]["out.txt"]
        path = f"/api/v1/main/executions/{execution['id']}/file"
        assert service.get(path, params={"path": uri}).text == "inside\n"


@pytest.mark.docker
def test_docker_is_off_for_a_service_that_others_reach(folder: Path) -> None:
    found = daemon()
    environment = {
        "DOCKER_HOST": found.host,
        "PENSTOCK_HOST": "0.0.0.0",
        "PENSTOCK_BASIC_AUTH": "ada:secret-word",
    }
    with live_service(folder, environment=environment) as service:
        client = {"auth": ("ada", "secret-word")}
        headers = {"Content-Type": "application/x-yaml"}
        service.post("/api/v1/main/flows", content=ANYWHERE, headers=headers, **client)
        path = "/api/v1/main/executions/team.app/anywhere"
        execution = service.post(path, params={"wait": "true"}, **client).json()
        lines = service.get(f"/api/v1/main/logs/{execution['id']}", **client).json()
        said = [line["message"] for line in lines]
        assert said[-1] == "outside"
        assert any("`docker: {enabled: true}`" in text for text in said)
