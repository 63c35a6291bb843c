"""What the settings say about containers of tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_runner.taskrunners.docker_access import DockerAccess
from penstock_server.app.containers import docker_access
from penstock_server.config import BadSettings, read_settings

OPEN = {"PENSTOCK_HOST": "0.0.0.0", "PENSTOCK_BASIC_AUTH": "ada:secret"}


def access(text: str = "", **environment: str) -> DockerAccess:
    told = read_settings(
        environment={"PENSTOCK_CONFIGURATION": text, **environment}, folder=Path("/nonexistent")
    )
    return docker_access(told.settings, environment, private=(Path("/srv/home"),))


def test_docker_is_on_for_loopback_and_off_for_others_until_allowed() -> None:
    assert access().enabled
    assert not access("docker: {enabled: false}").enabled
    assert not access(**OPEN).enabled
    assert access("docker: {enabled: true}", **OPEN).enabled


def test_nothing_that_reaches_beyond_a_container_is_allowed_by_itself() -> None:
    assert access().allow == frozenset()
    assert access("docker: {allow: [volumes, networkMode]}").allow == {"volumes", "networkMode"}
    with pytest.raises(BadSettings, match="allow"):
        access("docker: {allow: [everything]}")


def test_the_daemon_is_that_of_the_settings_then_that_of_the_environment() -> None:
    environment = {"DOCKER_HOST": "unix:///run/other.sock"}
    assert access(**environment).hosts == ("unix:///run/other.sock",)
    named = access("docker: {host: 'unix:///run/named.sock'}", **environment)
    assert named.hosts == ("unix:///run/named.sock",)
    assert "unix:///var/run/docker.sock" in access().hosts


def test_the_home_and_the_sockets_of_daemons_are_never_shown_to_a_container() -> None:
    private = access("docker: {host: 'unix:///run/named.sock'}").private
    assert private == (Path("/srv/home"), Path("/run/named.sock"))


FOREIGN = """
kestra:
  plugins:
    configurations:
      - type: io.kestra.plugin.scripts.runner.docker.Docker
        values: {volume-enabled: true, privilegedEnabled: false}
"""


def test_volumes_that_a_compose_file_allows_are_allowed() -> None:
    told = read_settings(environment={"KESTRA_CONFIGURATION": FOREIGN}, folder=Path("/nonexistent"))
    assert docker_access(told.settings, {}).allow == {"volumes"}
    assert not [note for note in told.notes if "docker" in note.lower()]
