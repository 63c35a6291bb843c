"""Which task runner a task gets, and what a container is made of."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from penstock_runner.taskrunners import docker, names
from penstock_runner.taskrunners.api import Command, SetupFailed, ended_from_wait_code
from penstock_runner.taskrunners.choice import choose, docker_answers

DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"
PROCESS = "io.kestra.plugin.core.runner.Process"


def test_a_named_process_is_a_process() -> None:
    assert choose({"type": PROCESS}, default="docker").kind == "process"


def test_docker_without_a_daemon_fails_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=PROCESS):
        choose({"type": DOCKER, "host": f"unix://{tmp_path}/none"}, default="auto")


def test_an_unknown_task_runner_is_named() -> None:
    with pytest.raises(SetupFailed, match=r"kubernetes\.Kubernetes"):
        choose({"type": "io.kestra.plugin.ee.kubernetes.Kubernetes"}, default="auto")


def test_auto_falls_back_to_a_process_with_a_note(tmp_path: Path) -> None:
    chosen = choose(None, default="auto", docker_host=f"unix://{tmp_path}/none")
    assert chosen.kind == "process"
    assert chosen.note is not None


def test_auto_takes_docker_where_a_daemon_answers(tmp_path: Path) -> None:
    address = str(tmp_path / "d.sock")
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(address)
        daemon.listen()
        assert docker_answers(f"unix://{address}")
        assert choose(None, default="auto", docker_host=f"unix://{address}").kind == "docker"


def test_a_signal_is_shown_as_a_shell_does() -> None:
    assert ended_from_wait_code(-9).shown == "137 (SIGKILL)"
    assert ended_from_wait_code(3).shown == "3"


def test_labels_are_cut_to_what_is_allowed() -> None:
    found = names.labels({"namespace": "very." * 12 + "lo.g"}, prefix="kestra.io/")
    assert found == {"kestra.io/namespace": "very." * 12 + "lo"}


def test_a_job_name_is_short_and_ends_with_its_seed() -> None:
    assert len(names.job_name("namespace", "flowId", "task", "x")) == 27
    assert len(names.job_name("very." * 20, "flowId", "task", "x")) == 63
    assert names.job_name("a", "b", "c", "1") != names.job_name("a", "b", "c", "2")


def test_properties_of_a_container_are_translated() -> None:
    settings = docker.settings_of(
        {
            "host": "unix:///x",
            "memory": {"memory": "512MB"},
            "cpu": {"cpus": 1.5},
            "volumes": ["/:/host"],
            "credentials": {"registry": "r", "username": "u", "registryToken": "t"},
        },
        image="python:3.13-slim",
        host=None,
        volumes=False,
        grace=10,
    )
    assert settings.image == "python:3.13-slim"
    assert settings.options["mem_limit"] == "512m"
    assert settings.options["nano_cpus"] == 1_500_000_000
    assert "volumes" not in settings.options
    assert settings.credentials == {"username": "u", "registrytoken": "t"}


def test_a_container_needs_an_image() -> None:
    with pytest.raises(SetupFailed, match="containerImage"):
        docker.settings_of({"host": "unix:///x"}, image=None, host=None, volumes=False, grace=1)


class Sink:
    def __init__(self) -> None:
        self.text = b""

    def feed(self, stream: str, chunk: bytes) -> None:
        self.text += chunk

    def quiet(self) -> None: ...
    def close(self) -> None: ...


class NoInterrupts:
    def on_cancel(self, stop: object) -> None: ...


@pytest.mark.docker
def test_a_command_runs_in_a_container_with_its_files(tmp_path: Path) -> None:
    if not docker_answers(None):
        pytest.skip("no Docker daemon answers")
    work = tmp_path / "work"
    work.mkdir()
    (work / "in.txt").write_text("hello")
    command = Command(
        argv=("/bin/sh", "-c", "cat in.txt && echo kept > out.txt && exit 3"),
        env={},
        cwd=work,
        folder=tmp_path,
    )
    sink = Sink()
    settings = docker.settings_of(
        {"pullPolicy": "IF_NOT_PRESENT"}, image="busybox", host=None, volumes=False, grace=1
    )
    ended = docker.run(command, settings, sink=sink, interrupts=NoInterrupts())
    assert (ended.exit_code, sink.text) == (3, b"hello")
    assert (work / "out.txt").read_text() == "kept\n"
