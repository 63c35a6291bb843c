"""What a container is made of, and what a task may not have."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from penstock_runner.taskrunners.api import SetupFailed
from penstock_runner.taskrunners.docker_access import DockerAccess
from penstock_runner.taskrunners.docker_settings import DockerSettings, registry_of, settings_of

NOTHING_ALLOWED = DockerAccess()


def read(
    properties: dict[str, Any],
    *allow: str,
    image: str | None = "python:3.13-slim",
    private: tuple[Path, ...] = (),
) -> DockerSettings:
    access = DockerAccess(allow=frozenset(allow), private=private)
    return settings_of(properties, image=image, access=access, grace=10)


def test_properties_of_a_container_are_translated() -> None:
    settings = read(
        {
            "memory": {"memory": "512MB", "memorySwap": "1g"},
            "cpu": {"cpus": 1.5},
            "shmSize": "64m",
            "user": "1000:1000",
            "networkMode": "compose_default",
            "extraHosts": ["db:10.0.0.1"],
            "killGracePeriod": "PT3S",
        }
    )
    assert settings.image == "python:3.13-slim"
    assert settings.pull is None
    assert settings.grace == 3
    assert settings.options == {
        "entrypoint": "",
        "user": "1000:1000",
        "network_mode": "compose_default",
        "extra_hosts": {"db": "10.0.0.1"},
        "shm_size": 64 * 1024**2,
        "mem_limit": 512 * 1024**2,
        "memswap_limit": 1024**3,
        "nano_cpus": 1_500_000_000,
    }


def test_an_entry_point_of_its_own_is_kept() -> None:
    assert read({"entryPoint": ["/bin/tini", "--"]}).options["entrypoint"] == ["/bin/tini", "--"]


def test_a_container_needs_an_image() -> None:
    with pytest.raises(SetupFailed, match="containerImage"):
        read({}, image=None)


def test_a_size_that_is_none_is_told() -> None:
    with pytest.raises(SetupFailed, match="`memory` of the task runner is no size: 'much'"):
        read({"memory": {"memory": "much"}})


REACHING: list[tuple[str, Any]] = [
    ("volumes", ["/data:/data"]),
    ("networkMode", "host"),
    ("networkMode", "container:database"),
    ("privileged", True),
    ("portBindings", ["8080:80"]),
    ("deviceRequests", [{"driver": "nvidia", "count": -1}]),
]


@pytest.mark.parametrize(("name", "value"), REACHING)
def test_what_reaches_beyond_the_container_is_refused_until_allowed(name: str, value: Any) -> None:
    with pytest.raises(SetupFailed, match=rf"docker: \{{allow: \[{name}\]\}}"):
        read({name: value})
    assert read({name: value}, name).options


def test_ports_are_translated() -> None:
    asked = {"portBindings": ["8080:80", "127.0.0.1:5353:53/udp", "9000"]}
    assert read(asked, "portBindings").options["ports"] == {
        "80/tcp": 8080,
        "53/udp": ("127.0.0.1", 5353),
        "9000/tcp": None,
    }


@pytest.mark.parametrize("volume", ["{home}:/x", "{home}/core.sock:/x", "/:/host:ro", "/proc/1:/p"])
def test_no_volume_shows_a_container_what_is_ours(tmp_path: Path, volume: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(SetupFailed, match="no task may have"):
        read({"volumes": [volume.format(home=home)]}, "volumes", private=(home,))


def test_a_link_to_what_is_ours_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "docker.sock").touch()
    (tmp_path / "link").symlink_to(tmp_path / "docker.sock")
    volumes = [f"{tmp_path}/link:/var/run/docker.sock"]
    with pytest.raises(SetupFailed, match="no task may have"):
        read({"volumes": volumes}, "volumes", private=(tmp_path / "docker.sock",))


def test_other_folders_and_named_volumes_are_mounted(tmp_path: Path) -> None:
    asked = [f"{tmp_path}/data:/data", "named:/cache"]
    found = read({"volumes": asked}, "volumes", private=(tmp_path / "home",))
    assert found.options["volumes"] == asked


def test_credentials_are_those_that_the_daemon_reads() -> None:
    given = {"registry": "r.example.org", "username": "u", "registryToken": "t"}
    of_ours = read({"credentials": given}, image="r.example.org/app")
    assert of_ours.credentials == {"username": "u", "registrytoken": "t"}
    assert read({"credentials": given}).credentials == {}


def test_the_login_of_a_docker_configuration_is_that_of_the_registry() -> None:
    def login(text: str) -> dict[str, str]:
        return {"auth": base64.b64encode(text.encode()).decode()}

    config = {
        "auths": {
            "https://registry.example.org/v2/": login("ada:lovelace"),
            "https://index.docker.io/v1/": login("hub:word"),
        }
    }
    for written in (config, json.dumps(config)):
        ours = read({"config": written}, image="registry.example.org/team/app:1")
        assert ours.credentials == {"username": "ada", "password": "lovelace"}
        assert read({"config": written}).credentials == {"username": "hub", "password": "word"}
    assert read({"config": config}, image="other.example.org/app").credentials == {}
    with pytest.raises(SetupFailed, match="no JSON"):
        read({"config": "{"})


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("python:3.13", "docker.io"),
        ("team/app", "docker.io"),
        ("localhost/app", "localhost"),
        ("registry.example.org:5000/app:1", "registry.example.org:5000"),
    ],
)
def test_the_registry_of_an_image_is_known(image: str, registry: str) -> None:
    assert registry_of(image) == registry
