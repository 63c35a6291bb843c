"""Speaks to a Docker daemon: the connection, and what can go wrong between us and it."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import docker
import docker.errors
import docker.tls
import requests.exceptions
import urllib3.exceptions

from penstock_runner.taskrunners.api import SetupFailed
from penstock_runner.taskrunners.docker_access import Daemon
from penstock_runner.taskrunners.docker_settings import registry_of

API_SECONDS = 120
UNREACHABLE = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
)
"""What a call raises when the daemon refuses it, answers late or is gone."""


def connect(daemon: Daemon) -> Any:
    """A client of the daemon, to be closed; raises `SetupFailed` when there is no talking to it."""
    tls: Any = None
    host = daemon.host
    if daemon.certificates is not None and not host.startswith("unix:"):
        folder = daemon.certificates
        tls = docker.tls.TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=True,
        )
    try:
        client = docker.DockerClient(
            base_url=host, version=daemon.version, timeout=API_SECONDS, tls=tls
        )
    except UNREACHABLE as error:
        raise SetupFailed(f"The Docker daemon at {host} cannot be used: {error}") from None
    # Else REQUESTS_CA_BUNDLE would take the place of the daemon's own authority, and a proxy come
    # between us and it.
    client.api.trust_env = False
    return client


def discard(client: Any, container: str) -> None:
    """Remove a container that may be on its way out by itself."""
    try:
        client.api.remove_container(container, force=True, v=True)
    except docker.errors.APIError as error:
        if error.status_code not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            raise


@contextmanager
def log_in(client: Any, image: str, login: Mapping[str, Any]) -> Iterator[None]:
    """Let a build pull from the registry of an image with this login."""
    if not login:
        yield
        return
    word = f"{login.get('username', '')}:{login.get('password', '')}"
    entry = {"auth": base64.b64encode(word.encode()).decode()}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        json.dump({"auths": {registry_of(image): entry}}, config)
        config.flush()
        client.api.reload_config(config.name)
    yield


def refused(error: Exception) -> bool:
    """Whether the daemon answered, and said no."""
    return isinstance(error, docker.errors.APIError)


def missing(error: Exception) -> bool:
    """Whether the daemon answered that there is no such thing."""
    return isinstance(error, docker.errors.NotFound)


def words(error: Exception) -> str:
    """What the daemon itself said, else what the client makes of it."""
    return str(getattr(error, "explanation", None) or error)
