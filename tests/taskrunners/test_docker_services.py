"""Services beside the tasks of a WorkingDirectory; on a real daemon."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import job, now, runner
from tests.taskrunners.real_docker import IMAGE, TASK_RUNNER, access, client, containers, daemon

from penstock_runner.jobs.protocol import Job

pytestmark = pytest.mark.docker

DIRECTORY = "io.kestra.plugin.core.flow.WorkingDirectory"
COMMANDS = "io.kestra.plugin.scripts.shell.Commands"
SPEAKS = "echo up; while true; do echo hello | nc -l -p 80; done"
SLOW = f"sleep 0.5; touch /tmp/ready; {SPEAKS}"
IN_CONTAINER = {"type": TASK_RUNNER, "pullPolicy": "NEVER"}
PROCESS = {"type": "io.kestra.plugin.core.runner.Process"}


def service(alias: str, script: str, **more: Any) -> dict[str, Any]:
    return {
        "image": IMAGE, "alias": alias, "pullPolicy": "NEVER",
        "commands": ["/bin/sh", "-c", script], **more,
    }  # fmt: skip


def directory(services: list[dict[str, Any]], *children: dict[str, Any]) -> Job:
    tasks = [{"id": f"c{n}", "type": COMMANDS, "properties": p} for n, p in enumerate(children)]
    return job(
        {
            "type": DIRECTORY,
            "kind": DIRECTORY,
            "properties": {"services": services},
            "branches": {"tasks": tasks},
        },
        key=f"t{secrets.token_hex(4)}",
    )


def inside(*lines: str) -> dict[str, Any]:
    return {"commands": list(lines), "taskRunner": IN_CONTAINER, "containerImage": IMAGE}


def do(folder: Path, wanted: Job) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    daemon()
    with runner(folder, docker=access()) as core:
        report = core.do(wanted)
        return report, [(line[2], line[3]) for line in core.lines(wanted)]


def nothing_left(folder: Path) -> None:
    found = daemon()
    assert containers(found, folder) == []
    networks = client(found).api.networks(filters={"label": "penstock.folder"})
    assert [n["Name"] for n in networks if str(folder) in n["Labels"]["penstock.folder"]] == []


def test_tasks_find_services_by_their_alias_and_processes_by_their_port(tmp_path: Path) -> None:
    read = (
        "import os, socket; port = int(os.environ['PENSTOCK_SERVICE_WEB_PORT_80']);"
        "print(socket.create_connection(('127.0.0.1', port), 10).recv(9).decode().strip())"
    )
    wanted = directory(
        [
            service(
                "web", SLOW, ports=["80"],
                healthcheck={"test": "test -f /tmp/ready", "interval": "PT0.2S"},
            ),
            service("db", "echo $WORD; sleep 600", env={"WORD": "{{ 'x' | upper }}"}),
        ],
        inside("nc web 80 < /dev/null"),
        {"commands": [f'{sys.executable} -c "{read}"'], "taskRunner": PROCESS},
    )  # fmt: skip
    report, said = do(tmp_path, wanted)
    assert report["state"] == "SUCCESS", said
    assert [text for level, text in said if level == "INFO"] == ["hello", "hello"]
    kept = [text for level, text in said if level == "DEBUG"]
    assert "web: up" in kept
    assert "db: X" in kept
    nothing_left(tmp_path)


def test_a_service_that_does_not_come_up_fails_the_directory_with_what_it_said(
    tmp_path: Path,
) -> None:
    health = {"test": ["test", "-e", "/ready"], "interval": "PT30S"}
    failing = service("db", "echo no room; exit 4", healthcheck=health)
    report, said = do(tmp_path, directory([failing], inside("echo never")))
    assert (report["state"], report["reason"]) == ("FAILED", "setup")
    assert "The service db ended with exit code 4; it said: no room" in report["error"]
    assert ("INFO", "never") not in said
    nothing_left(tmp_path)


def test_a_service_that_is_not_healthy_is_not_waited_for_any_longer(tmp_path: Path) -> None:
    health = {"test": ["false"], "interval": "PT0.1S", "retries": 2}
    wanted = directory([service("db", "echo up; sleep 600", healthcheck=health)], inside("true"))
    report, _ = do(tmp_path, wanted)
    assert report["state"] == "FAILED"
    assert "The service db is not healthy; it said: up" in report["error"]
    nothing_left(tmp_path)


def test_services_end_with_a_directory_that_fails_or_is_killed(tmp_path: Path) -> None:
    report, _ = do(tmp_path, directory([service("db", "sleep 600")], inside("exit 3")))
    assert (report["state"], report["exit_code"]) == ("FAILED", 3)
    nothing_left(tmp_path)
    wanted = directory([service("db", "sleep 600")], inside("echo ready; sleep 600"))
    with runner(tmp_path, docker=access()) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        assert core.report(wanted)["state"] == "KILLED"
        until_gone(tmp_path)


def test_services_of_a_lost_worker_are_removed_with_their_network(tmp_path: Path) -> None:
    daemon()
    wanted = directory([service("db", "sleep 600")], inside("echo ready; sleep 600"))
    with runner(tmp_path, docker=access()) as core:
        core.start(wanted)
        core.line("ready")
        for pid in map(int, Path(f"/proc/{core.pid}/task/{core.pid}/children").read_text().split()):
            os.kill(pid, signal.SIGKILL)
        core.report(wanted)
        until_gone(tmp_path)


def test_a_service_that_cannot_be_started_leaves_nothing(tmp_path: Path) -> None:
    wrong = {**service("db", ""), "commands": ["/no/such/program"]}
    report, _ = do(tmp_path, directory([service("web", "sleep 600"), wrong], inside("true")))
    assert report["state"] == "FAILED"
    assert "The service db could not be started" in report["error"]
    nothing_left(tmp_path)


def until_gone(folder: Path) -> None:
    until = now().timestamp() + 20
    while True:
        try:
            nothing_left(folder)
        except AssertionError:
            if now().timestamp() > until:
                raise
        else:
            return


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"alias": "db"}, "services[0].image: Field required"),
        ({"image": IMAGE, "ports": ["web:80"]}, "the port 'web:80' is none"),
        ({"image": IMAGE, "healthcheck": {"test": "x", "interval": "soon"}}, "`healthcheck`"),
    ],
)
def test_a_service_that_cannot_be_read_is_told_with_its_place(
    tmp_path: Path, wrong: dict[str, Any], told: str
) -> None:
    report, _ = do(tmp_path, directory([wrong], inside("true")))
    assert (report["state"], report["reason"]) == ("FAILED", "setup")
    assert told in report["error"]
    nothing_left(tmp_path)
