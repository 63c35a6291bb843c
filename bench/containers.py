"""How much longer a job takes in a container than `docker run` by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.taskrunners.real_docker import IMAGE, NoDaemon, prepared

from bench.records import Raw, Record, record
from bench.service import NotMeasured
from bench.settings import Bench
from penstock_runner.jobs.inprocess import InProcess
from penstock_runner.jobs.parts import default_parts
from penstock_runner.jobs.protocol import Job, JobId, Report
from penstock_runner.jobs.settings import RunnerSettings, pick_environment
from penstock_runner.taskrunners.docker_access import Daemon, DockerAccess

DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"


class _Nobody:
    """Hears what a job says and forgets it."""

    def lines(self, job: JobId, lines: list[list[Any]], task_id: str | None) -> None: ...
    def report(self, report: Report) -> None: ...
    def call(self, job: Job, operation: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ARG002
        return []


def docker_start(bench: Bench) -> list[Record]:
    """Jobs that run `true` in a container, each beside a container that was started by hand."""
    try:
        daemon = prepared()
    except NoDaemon as reason:
        raise NotMeasured(str(reason)) from None
    program = shutil.which("docker")
    if program is None:
        raise NotMeasured("there is no docker command to compare with")
    with tempfile.TemporaryDirectory() as folder:
        ours, by_hand = [], []
        _job(Path(folder), daemon, 0)  # the first one imports what containers need
        for n in range(bench.count(20, 2)):
            bench.say(f"containers ({n + 1} of {bench.count(20, 2)})")
            by_hand.append(_by_hand(program, daemon))
            ours.append(_job(Path(folder), daemon, n + 1))
    hand = median(by_hand)
    return [
        record(
            "a job in a container, beyond `docker run` by hand",
            "ms",
            [value - hand for value in ours],
            aim=50,
            raw=Raw(name="docker run --rm", value=hand, unit="ms"),
        )
    ]


def _by_hand(program: str, daemon: Daemon) -> float:
    began = time.perf_counter()
    run = ("run", "--rm", "--network", "none", IMAGE, "/bin/sh", "-c", "true")
    subprocess.run([program, "-H", daemon.host, *run], check=True)
    return (time.perf_counter() - began) * 1000


def _job(folder: Path, daemon: Daemon, number: int) -> float:
    settings = RunnerSettings(
        home=folder,
        workspaces=folder / "work",
        storage=folder / "storage",
        environment=pick_environment(os.environ),
        docker=DockerAccess(hosts=(daemon.host,)),
    )
    properties = {
        "commands": ["true"],
        "containerImage": IMAGE,
        "taskRunner": {"type": DOCKER, "pullPolicy": "NEVER", "networkMode": "none"},
    }
    job = Job(
        execution_id="x",
        key="t",
        attempt=1,
        taskrun_id=f"run-{number}",
        namespace="bench",
        flow_id="flow",
        flow_revision=1,
        task={
            "id": "t",
            "type": "io.kestra.plugin.scripts.shell.Commands",
            "properties": properties,
        },
        variables={},
    )
    runner = InProcess(default_parts(settings, lambda: datetime.now(UTC)), _Nobody())
    began = time.perf_counter()
    report = runner.run(job)
    if report.state != "SUCCESS":
        raise RuntimeError(f"the job in a container ended {report.state}: {report.error}")
    return (time.perf_counter() - began) * 1000
