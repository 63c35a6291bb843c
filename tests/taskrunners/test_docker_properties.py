"""Each property of the Docker task runner, seen from inside the container; on a real daemon."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import runner
from tests.taskrunners.real_docker import access, client, containers, daemon, in_container

from penstock_runner.taskrunners.docker_access import DockerAccess

pytestmark = pytest.mark.docker


def said(folder: Path, line: str, *allow: str, **properties: Any) -> list[str]:
    """What one line of shell says in a container with these properties."""
    daemon()
    wanted = in_container(line, runner=properties)
    with runner(folder, docker=access(allow=frozenset(allow))) as core:
        report = core.do(wanted)
        assert report["state"] == "SUCCESS", core.texts(wanted)
        return core.texts(wanted)


def test_names_of_other_machines_are_known(tmp_path: Path) -> None:
    hosts = ["db:10.0.0.1", "six:fd00::1", "host.docker.internal:host-gateway"]
    lines = said(tmp_path, "cat /etc/hosts", extraHosts=hosts)
    found = [line.split() for line in lines]
    assert ["10.0.0.1", "db"] in found
    assert ["fd00::1", "six"] in found
    assert any(line[-1] == "host.docker.internal" for line in found)


def test_shared_memory_has_its_size(tmp_path: Path) -> None:
    assert "32.0M" in said(tmp_path, "df -h /dev/shm | tail -1", shmSize="32MB")[0]


def test_an_entry_point_comes_before_the_command(tmp_path: Path) -> None:
    assert said(tmp_path, "echo $A", entryPoint=["/bin/env", "A=1"]) == ["1"]


def test_a_privileged_container_is_one_once_it_is_allowed(tmp_path: Path) -> None:
    found = daemon()
    wanted = in_container("true", runner={"privileged": True, "delete": False})
    with runner(tmp_path, docker=access()) as core:
        assert "docker: {allow: [privileged]}" in core.do(wanted)["error"]
    with runner(tmp_path, docker=access(allow=frozenset({"privileged"}))) as core:
        core.do(wanted)  # a machine that may not give all rights away fails it, but it is asked
    [one] = containers(found, tmp_path)
    made = client(found).api.inspect_container(one["Id"])
    client(found).api.remove_container(one["Id"], force=True)
    assert made["HostConfig"]["Privileged"] is True


def test_a_port_of_the_container_is_one_of_the_machine_once_it_is_allowed(tmp_path: Path) -> None:
    found = daemon()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    wanted = in_container(
        "echo ready", "sleep 600", runner={"portBindings": [f"127.0.0.1:{port}:80"]}
    )
    with runner(tmp_path, docker=access(allow=frozenset({"portBindings"}))) as core:
        core.start(wanted)
        core.line("ready")
        [one] = containers(found, tmp_path)
        ports = client(found).api.inspect_container(one["Id"])["HostConfig"]["PortBindings"]
        assert ports == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
        core.cancel(wanted, force=True)
        core.report(wanted)


def test_limits_of_memory_are_those_of_the_task(tmp_path: Path) -> None:
    found = daemon()
    memory = {
        "memory": "64MB", "memorySwap": "128MB", "memoryReservation": "32MB",
        "kernelMemory": "16MB",
    }  # fmt: skip
    wanted = in_container("echo ready", "sleep 600", runner={"memory": memory})
    with runner(tmp_path, docker=access()) as core:
        core.start(wanted)
        core.line("ready")
        [one] = containers(found, tmp_path)
        limits = client(found).api.inspect_container(one["Id"])["HostConfig"]
        core.cancel(wanted, force=True)
        core.report(wanted)
        assert any("kernelMemory" in text for text in core.texts(wanted))
    sizes = [limits[name] // 1024**2 for name in ("Memory", "MemorySwap", "MemoryReservation")]
    assert sizes == [64, 128, 32]


@pytest.fixture
def network() -> Iterator[str]:
    name = f"penstock-test-{secrets.token_hex(4)}"
    api = client(daemon()).api
    made = api.create_network(name, driver="bridge")
    yield name
    api.remove_network(made["Id"])


def test_a_named_network_is_joined(tmp_path: Path, network: str) -> None:
    found = daemon()
    wanted = in_container("echo ready", "sleep 600", runner={"networkMode": network})
    with runner(tmp_path, docker=access()) as core:
        core.start(wanted)
        core.line("ready")
        [one] = containers(found, tmp_path)
        assert list(one["NetworkSettings"]["Networks"]) == [network]
        core.cancel(wanted, force=True)
        core.report(wanted)


def test_a_container_is_kept_when_the_task_says_so(tmp_path: Path) -> None:
    found = daemon()
    wanted = in_container("echo kept", runner={"delete": False})
    with runner(tmp_path, docker=access()) as core:
        kept = core.do(wanted)["outputs"]["taskRunner"]["containerId"]
    try:
        assert client(found).containers.get(kept).logs() == b"kept\n"
    finally:
        client(found).api.remove_container(kept, force=True)


def test_the_host_of_the_task_is_used_once_it_is_allowed(tmp_path: Path) -> None:
    found = daemon()
    wanted = in_container("echo there", runner={"host": found.host})
    elsewhere = DockerAccess(hosts=("unix:///nonexistent.sock",), allow=frozenset({"host"}))
    with runner(tmp_path, docker=elsewhere) as core:
        assert core.do(wanted)["state"] == "SUCCESS"


def test_labels_name_the_job_to_people(tmp_path: Path) -> None:
    found = daemon()
    wanted = in_container("echo ready", "sleep 600")
    with runner(tmp_path, docker=access()) as core:
        core.start(wanted)
        core.line("ready")
        [one] = containers(found, tmp_path)
        core.cancel(wanted, force=True)
        core.report(wanted)
    named = {key: value for key, value in one["Labels"].items() if key.startswith("kestra.io/")}
    assert named == {
        "kestra.io/namespace": "team.app",
        "kestra.io/flow-id": "build",
        "kestra.io/task-id": "t",
        "kestra.io/execution-id": "x1",
        "kestra.io/taskrun-id": "run-t",
        "kestra.io/taskrun-attempt": "0",
    }


def test_a_kill_does_not_wait_for_a_registry_that_says_nothing(tmp_path: Path) -> None:
    found = daemon()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(20)
        image = f"127.0.0.1:{mute.getsockname()[1]}/image:1"
        task_runner = {"type": "io.kestra.plugin.scripts.runner.docker.Docker"}
        wanted = in_container("true")
        properties = {
            **wanted.task["properties"], "containerImage": image, "taskRunner": task_runner
        }  # fmt: skip
        wanted.task["properties"].update(properties)  # type: ignore[attr-defined]
        with runner(tmp_path, docker=access()) as core:
            core.start(wanted)
            connection, _ = mute.accept()
            core.cancel(wanted)
            assert core.report(wanted)["state"] == "KILLED"
        with contextlib.suppress(OSError):
            connection.close()
    assert containers(found, tmp_path) == []


def test_a_command_that_is_not_in_the_image_is_told(tmp_path: Path) -> None:
    daemon()
    wanted = in_container("true", interpreter=["/bin/no-such-shell", "-c"])
    with runner(tmp_path, docker=access()) as core:
        report = core.do(wanted)
    assert (report["state"], report["reason"]) == ("FAILED", "setup")
    assert "no-such-shell" in report["error"]
    assert containers(daemon(), tmp_path) == []
