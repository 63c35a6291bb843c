"""Which task runner a task gets, and how its container is named."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.taskrunners.daemon import Daemon

from penstock_runner.taskrunners import names
from penstock_runner.taskrunners.api import Ended, SetupFailed
from penstock_runner.taskrunners.choice import choose
from penstock_runner.taskrunners.docker_access import DockerAccess, find_daemon, hosts_of

DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"
PROCESS = "io.kestra.plugin.core.runner.Process"


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d") / "docker.sock") as daemon:
        yield daemon
        daemon.shutdown()


def nowhere(folder: Path) -> DockerAccess:
    return DockerAccess(hosts=(f"unix://{folder}/none",))


def test_a_named_process_is_a_process_and_stands_in_for_nothing() -> None:
    chosen = choose({"type": PROCESS}, default="docker")
    assert (chosen.kind, chosen.stands_in) == ("process", False)


def test_docker_without_a_daemon_fails_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=PROCESS):
        choose({"type": DOCKER}, default="auto", access=nowhere(tmp_path))
    with pytest.raises(SetupFailed, match=PROCESS):
        choose(None, default="docker", access=nowhere(tmp_path))


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("unix:///nonexistent/d.sock", "unix:///nonexistent/d.sock: there is no such socket"),
        ("ssh://ada@build", r"ssh://ada@build: ssh:// is not spoken here: forward the socket"),
        ("npipe:////./pipe/docker", "a daemon is at unix://, tcp:// or https://"),
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1: .*refused"),
    ],
)
def test_why_a_daemon_does_not_answer_is_said(host: str, why: str) -> None:
    with pytest.raises(SetupFailed, match=why):
        choose({"type": DOCKER}, default="auto", access=DockerAccess(hosts=(host,)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use any socket")
def test_a_socket_of_others_says_what_to_do(daemon: Daemon) -> None:
    Path(daemon.host.removeprefix("unix://")).chmod(0)
    with pytest.raises(SetupFailed, match="add it to its group"):
        choose({"type": DOCKER}, default="auto", access=DockerAccess(hosts=(daemon.host,)))


def test_an_unknown_task_runner_is_named() -> None:
    with pytest.raises(SetupFailed, match=r"kubernetes\.Kubernetes"):
        choose({"type": "io.kestra.plugin.ee.kubernetes.Kubernetes"}, default="auto")


def test_auto_falls_back_to_a_process_with_a_note(tmp_path: Path) -> None:
    chosen = choose(None, default="auto", access=nowhere(tmp_path))
    assert (chosen.kind, chosen.stands_in) == ("process", True)
    assert "No Docker daemon answers" in str(chosen.note)


def test_auto_takes_docker_where_a_daemon_answers(daemon: Daemon) -> None:
    chosen = choose(None, default="auto", access=DockerAccess(hosts=(daemon.host,)))
    assert chosen.kind == "docker"
    assert chosen.daemon is not None
    assert (chosen.daemon.host, chosen.daemon.version) == (daemon.host, "1.45")


def test_the_old_docker_property_says_how_a_container_is_to_be_where_there_is_one(
    tmp_path: Path, daemon: Daemon
) -> None:
    chosen = choose({"image": "present"}, default="auto", access=nowhere(tmp_path))
    assert (chosen.kind, chosen.stands_in) == ("process", True)
    there = DockerAccess(hosts=(daemon.host,))
    chosen = choose({"image": "present"}, default="auto", access=there)
    assert (chosen.kind, chosen.properties) == ("docker", {"image": "present"})
    with pytest.raises(SetupFailed, match="without a type"):
        choose({"type": None, "image": "present"}, default="auto", access=there)


def test_something_that_listens_and_says_nothing_is_no_daemon(tmp_path: Path) -> None:
    address = str(tmp_path / "d.sock")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(address)
        mute.listen()
        assert find_daemon(DockerAccess(hosts=(f"unix://{address}",))) is None


def test_the_first_daemon_that_answers_is_taken(tmp_path: Path, daemon: Daemon) -> None:
    found = find_daemon(DockerAccess(hosts=(f"unix://{tmp_path}/none", daemon.host)))
    assert found is not None
    assert found.host == daemon.host


def test_docker_that_is_off_is_not_even_asked(daemon: Daemon) -> None:
    off = DockerAccess(enabled=False, hosts=(daemon.host,))
    chosen = choose(None, default="auto", access=off)
    assert chosen.kind == "process"
    assert "`docker: {enabled: true}`" in str(chosen.note)
    for named, default in (({"type": DOCKER}, "auto"), (None, "docker")):
        with pytest.raises(SetupFailed, match="an administrator turns it on"):
            choose(named, default=default, access=off)


def test_a_task_may_not_choose_another_daemon_unless_allowed(daemon: Daemon) -> None:
    named = {"type": DOCKER, "host": daemon.host}
    with pytest.raises(SetupFailed, match=r"allow: \[host\]"):
        choose(named, default="auto", access=DockerAccess(hosts=("unix:///other.sock",)))
    for allowed in (
        DockerAccess(hosts=("unix:///other.sock",), allow=frozenset({"host"})),
        DockerAccess(hosts=(daemon.host,)),
    ):
        assert choose(named, default="auto", access=allowed).kind == "docker"


def test_docker_host_is_the_only_place_when_it_is_set() -> None:
    assert hosts_of({"DOCKER_HOST": "tcp://10.0.0.7:2375"}, 1000) == ("tcp://10.0.0.7:2375",)


def test_sockets_of_rootless_docker_and_podman_are_known_places() -> None:
    found = hosts_of({"XDG_RUNTIME_DIR": "/run/user/1000", "HOME": "/home/ada"}, 1000)
    assert found[0] == "unix:///var/run/docker.sock"
    assert "unix:///run/user/1000/docker.sock" in found
    assert "unix:///run/user/1000/podman/podman.sock" in found
    assert "unix:///run/podman/podman.sock" not in found
    assert "unix:///run/podman/podman.sock" in hosts_of({}, 0)
    assert "unix:///run/user/1000/docker.sock" in hosts_of({}, 1000)


@pytest.mark.parametrize("place", ["docker.sock", "podman/podman.sock"])
def test_a_rootless_daemon_is_found_in_the_folder_of_its_user(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    usual = hosts_of({"XDG_RUNTIME_DIR": str(tmp_path)}, 1000)
    own = tuple(host for host in usual if str(tmp_path) in host)
    with Daemon(tmp_path / place) as rootless:
        chosen = choose(None, default="auto", access=DockerAccess(hosts=own))
        rootless.shutdown()
    assert chosen.daemon is not None
    assert chosen.daemon.host == f"unix://{tmp_path}/{place}"


def test_a_signal_is_shown_as_a_shell_does() -> None:
    assert Ended(exit_code=137, signal=9).shown == "137 (SIGKILL)"
    assert Ended(exit_code=3).shown == "3"


def test_labels_are_cut_to_what_is_allowed() -> None:
    found = names.labels({"namespace": "very." * 12 + "lo.g"}, prefix="kestra.io/")
    assert found == {"kestra.io/namespace": "very." * 12 + "lo"}


def test_a_job_name_is_short_and_ends_with_its_seed() -> None:
    assert len(names.job_name("namespace", "flowId", "task", "x")) == 27
    assert len(names.job_name("very." * 20, "flowId", "task", "x")) == 63
    assert names.job_name("a", "b", "c", "1") != names.job_name("a", "b", "c", "2")
