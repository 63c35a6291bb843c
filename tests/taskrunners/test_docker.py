"""Commands in containers, against a stand-in for the daemon."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import commands, runner
from tests.taskrunners.daemon import Daemon

from penstock_runner.taskrunners import docker_labels, docker_sweep
from penstock_runner.taskrunners.docker_access import Daemon as Answering
from penstock_runner.taskrunners.docker_access import DockerAccess
from penstock_runner.taskrunners.docker_client import connect

DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d") / "docker.sock") as daemon:
        yield daemon
        daemon.shutdown()


def in_docker(*lines: str, **properties: Any) -> Any:
    task_runner = {"type": DOCKER, **properties.pop("runner", {})}
    given = {"containerImage": "present", **properties}
    return commands(*lines, taskRunner=task_runner, **given)


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
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
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
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
        assert core.do(in_docker("true"))["state"] == "SUCCESS"
    assert daemon.pulled == ["present"]


@pytest.mark.parametrize(
    ("policy", "pulled"), [("ALWAYS", ["present"]), ("IF_NOT_PRESENT", []), ("NEVER", [])]
)
def test_the_pull_policy_is_kept(
    tmp_path: Path, daemon: Daemon, policy: str, pulled: list[str]
) -> None:
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
        core.do(in_docker("true", runner={"pullPolicy": policy}))
    assert daemon.pulled == pulled


def test_an_image_that_cannot_be_pulled_is_a_setup_failure(tmp_path: Path, daemon: Daemon) -> None:
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
        report = core.do(in_docker("true", containerImage="unknown:1"))
    assert (report["state"], report["reason"]) == ("FAILED", "setup")
    assert "The image unknown:1 could not be pulled: manifest for unknown" in report["error"]


def test_an_image_of_this_machine_is_used_when_no_registry_has_it(
    tmp_path: Path, daemon: Daemon
) -> None:
    wanted = in_docker("echo ran", containerImage="present-only")
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
        report = core.do(wanted)
        said = core.texts(wanted)
    assert report["state"] == "SUCCESS"
    assert "could not be pulled" in said[0]
    assert said[1:] == ["ran"]


def test_asked_to_pull_always_it_takes_no_other_image(tmp_path: Path, daemon: Daemon) -> None:
    wanted = in_docker("true", containerImage="present-only", runner={"pullPolicy": "ALWAYS"})
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
        assert core.do(wanted)["state"] == "FAILED"


def test_a_kill_does_not_wait_for_a_pull(tmp_path: Path, daemon: Daemon) -> None:
    wanted = in_docker("true", containerImage="slow")
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
        core.start(wanted)
        assert daemon.pulling.wait(20)
        core.cancel(wanted)
        report = core.report(wanted)
        daemon.given_up.set()
    assert (report["state"], report["reason"]) == ("KILLED", "killed")
    assert daemon.containers == {}


def test_a_killed_job_stops_its_container(tmp_path: Path, daemon: Daemon) -> None:
    wanted = in_docker("echo ready", "sleep 600")
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        report = core.report(wanted)
    assert (report["state"], report["reason"]) == ("KILLED", "killed")
    [container] = daemon.containers.values()
    assert container.signals == ["stop"]
    assert container.removed


def test_a_container_that_its_task_keeps_is_not_tidied_up(tmp_path: Path, daemon: Daemon) -> None:
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
        report = core.do(in_docker("true", runner={"delete": False}))
    assert report["outputs"]["taskRunner"] == {"containerId": "c0"}
    known = Answering(host=daemon.host, version="1.45")
    assert docker_sweep.sweep(tmp_path / "work", known) == 0
    [container] = daemon.containers.values()
    assert not container.removed


def test_containers_of_an_earlier_runner_are_removed(tmp_path: Path, daemon: Daemon) -> None:
    known = Answering(host=daemon.host, version="1.45")
    with contextlib.closing(connect(known)) as client:
        labels = {docker_labels.FOLDER: str(tmp_path / "work/run-1"), docker_labels.RUNNER: "7-1"}
        client.api.create_container("present", "true", labels=labels)
    [container] = daemon.containers.values()
    assert docker_sweep.sweep(tmp_path / "elsewhere", known) == 0
    assert docker_sweep.sweep(tmp_path / "work", known, but_of="7-1") == 0
    assert docker_sweep.sweep(tmp_path / "work", known, in_use={"run"}) == 0
    assert not container.removed
    assert docker_sweep.sweep(tmp_path / "work", known) == 1
    assert container.removed


def test_what_comes_out_of_a_container_stays_in_the_folder(tmp_path: Path, daemon: Daemon) -> None:
    wanted = in_docker("ln -s /etc/passwd link.txt", "echo x > real.txt", outputFiles=["*.txt"])
    with runner(tmp_path, docker=DockerAccess(hosts=(daemon.host,))) as core:
        report = core.do(wanted)
    assert list(report["outputs"]["outputFiles"]) == ["real.txt"]
