"""What a task can learn of the service that runs it, as root and as a user."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live import AS_OURSELVES, Service, live_service

from penstock_runner.jobs import users
from penstock_runner.jobs.settings import RunAs

pytestmark = pytest.mark.e2e
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may run jobs as another user")
NOBODY = RunAs(user=65534, group=65534, name="nobody")
PASSWORD = "open sesame 4711"
SECRETS = {"SECRET_PASSWORD": base64.b64encode(PASSWORD.encode()).decode()}
CURIOUS = """
id: curious
namespace: team
inputs: [{id: home, type: STRING}]
tasks:
  - id: look
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    failFast: false
    warningOnStdErr: false
    commands:
      - id -u
      - env
      - parent=$PPID
      - >-
        while [ "$parent" -gt 1 ]; do
        for file in environ maps mem; do
        head -c 1 "/proc/$parent/$file" > /dev/null && echo "read $file of $parent";
        done;
        tr '\\\\0' ' ' < "/proc/$parent/cmdline" | grep -q penstock_server || break;
        parent=$(sed 's/.*) //' "/proc/$parent/stat" | cut -d' ' -f2);
        done
      - echo "stopped at $parent"
      - ls {{ inputs.home }} && echo "read the home"
      - echo done
"""


def told(service: Service) -> list[str]:
    """What the curious flow finds out."""
    service.put_flow(CURIOUS)
    found = service.ended(service.start_flow("team", "curious", home=str(service.home)))
    lines = service.get(f"/api/v1/main/logs/{found['id']}").json()
    return [line["message"] for line in lines]


@as_root
def test_a_task_of_a_service_that_is_root_reads_neither_processes_nor_home(tmp_path: Path) -> None:
    with live_service(tmp_path, environment=SECRETS) as service:
        said = told(service)
        assert "the processes of tasks run as users 60706 to " in service.said()
        closed = not users.reaches(NOBODY, Path(sys.executable).resolve().parent)
        assert ("is closed to the user of tasks" in service.said()) is closed
    assert 60_706 <= int(said[0]) < 61_184
    assert "done" in said
    assert [line for line in said if line.startswith("read ")] == []
    assert not any("SECRET_" in line or SECRETS["SECRET_PASSWORD"] in line for line in said)


@as_root
def test_the_protection_can_be_turned_off(tmp_path: Path) -> None:
    with live_service(tmp_path, environment=AS_OURSELVES) as service:
        said = told(service)
    assert said[0] == "0"
    assert "read the home" in said


@as_root
def test_a_user_of_tasks_that_does_not_exist_is_told_at_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "penstock_server", "server", "--home", str(tmp_path / "home")]
    environment = {**os.environ, "PENSTOCK_RUNNER_USER": "no-such-user"}
    done = subprocess.run(
        [*command, "--port", "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "no user or group no-such-user" in done.stderr


@pytest.fixture
def of_a_user() -> Iterator[Service]:
    """A service that is not root; when the tests are, it is nobody's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0:
            with live_service(folder, environment=SECRETS) as service:
                yield service
            return
        os.chown(folder, NOBODY.user, NOBODY.group)
        python = Path(sys.executable).resolve()
        if not users.reaches(NOBODY, python.parent):
            python = Path(f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")
        if not python.exists():
            pytest.skip("no Python of this version can be started by nobody")
        become = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        environment = {**SECRETS, "PYTHONPATH": ":".join(part for part in sys.path if part)}
        with live_service(
            folder, environment=environment, within=become, python=str(python)
        ) as service:
            yield service


def test_a_task_of_a_service_that_is_a_user_reads_no_environment_and_no_memory(
    of_a_user: Service,
) -> None:
    said = told(of_a_user)
    assert said[0] != "0"
    assert "done" in said
    assert [line for line in said if line.startswith("read ")] == ["read the home"]
    assert not any("SECRET_" in line or SECRETS["SECRET_PASSWORD"] in line for line in said)
