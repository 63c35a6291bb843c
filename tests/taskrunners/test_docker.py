"""Commands in containers, against a stand-in for the daemon."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import commands, runner
from tests.taskrunners.daemon import Daemon

from penstock_runner.taskrunners import docker

DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d") / "docker.sock") as daemon:
        yield daemon
        daemon.shutdown()


def in_docker(*lines: str, **properties: Any) -> Any:
    task_runner = {"type": DOCKER, **properties.pop("runner", {})}
    return commands(*lines, taskRunner=task_runner, containerImage="present", **properties)


def test_a_job_runs_in_a_container_and_its_files_come_back(tmp_path: Path, daemon: Daemon) -> None:
    wanted = in_docker(
        "cat in.txt",
        "echo oops >&2",
        "echo kept > out.txt",
        "exit 3",
        inputFiles={"in.txt": "hello\n"},
        outputFiles=["out.txt"],
        runner={"pullPolicy": "IF_NOT_PRESENT", "memory": {"memory": "512MB"}},
    )
    with runner(tmp_path, docker_host=daemon.host) as core:
        report = core.do(wanted)
        said = sorted((line[2], line[3]) for line in core.lines(wanted)[:2])
    assert said == [("ERROR", "oops"), ("INFO", "hello")]
    assert (report["state"], report["exit_code"]) == ("FAILED", 3)
    assert list(report["outputs"]["outputFiles"]) == ["out.txt"]
    [container] = daemon.containers.values()
    assert container.removed
    assert daemon.pulled == []
    assert container.wanted["HostConfig"]["Memory"] == 512 * 1024 * 1024
    assert container.wanted["Labels"]["kestra.io/flow-id"] == "build"
    assert not any(entry.startswith("PATH=") for entry in container.wanted["Env"])
    with tarfile.open(fileobj=io.BytesIO(container.archives[0])) as archive:
        assert any(name.endswith("/work/in.txt") for name in archive.getnames())


def test_the_image_is_pulled_unless_told_otherwise(tmp_path: Path, daemon: Daemon) -> None:
    with runner(tmp_path, docker_host=daemon.host) as core:
        assert core.do(in_docker("true"))["state"] == "SUCCESS"
    assert daemon.pulled == ["present"]


def test_a_killed_job_stops_its_container(tmp_path: Path, daemon: Daemon) -> None:
    wanted = in_docker("echo ready", "sleep 600")
    with runner(tmp_path, docker_host=daemon.host) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        report = core.report(wanted)
    assert (report["state"], report["reason"]) == ("KILLED", "killed")
    [container] = daemon.containers.values()
    assert container.signals == ["stop"]
    assert container.removed


def test_containers_of_an_earlier_runner_are_removed(tmp_path: Path, daemon: Daemon) -> None:
    with runner(tmp_path, docker_host=daemon.host) as core:
        core.do(in_docker("true", runner={"delete": False}))
    [container] = daemon.containers.values()
    assert not container.removed
    assert docker.sweep(tmp_path / "elsewhere", daemon.host) == 0
    assert docker.sweep(tmp_path / "work", daemon.host) == 1
    assert container.removed


def test_what_comes_out_of_a_container_stays_in_the_folder(tmp_path: Path, daemon: Daemon) -> None:
    wanted = in_docker("ln -s /etc/passwd link.txt", "echo x > real.txt", outputFiles=["*.txt"])
    with runner(tmp_path, docker_host=daemon.host) as core:
        report = core.do(wanted)
    assert list(report["outputs"]["outputFiles"]) == ["real.txt"]
