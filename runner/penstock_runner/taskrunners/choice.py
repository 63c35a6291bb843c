"""Which task runner a task gets: the one it names, else what the runner's settings say."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from penstock_runner.taskrunners.api import SetupFailed

SOCKETS = ("/var/run/docker.sock", "/dind/docker.sock")
CONNECT_SECONDS = 1.0
NO_DOCKER = (
    "Docker socket is not accessible or not found. This task asks for Docker, and no daemon "
    "answers here: start one and mount its socket, or give the task "
    "`taskRunner: {type: io.kestra.plugin.core.runner.Process}`"
)
FELL_BACK = (
    "No Docker daemon answers, so this task runs as a process of this machine; write "
    "`taskRunner: {type: io.kestra.plugin.core.runner.Process}` to say that it may"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The kind of task runner, its properties, and what the log should say about it."""

    kind: Literal["process", "docker"]
    properties: Mapping[str, object] = field(default_factory=dict)
    note: str | None = None


def choose(
    named: Mapping[str, object] | None, *, default: str, docker_host: str | None = None
) -> Choice:
    """The task runner for a task that names one, or none; an unusable one is a `SetupFailed`."""
    if named:
        return _named(named, docker_host)
    if default == "process":
        return Choice(kind="process")
    if docker_answers(docker_host):
        return Choice(kind="docker")
    if default == "docker":
        raise SetupFailed(NO_DOCKER)
    return Choice(kind="process", note=FELL_BACK)


def _named(named: Mapping[str, object], docker_host: str | None) -> Choice:
    kind = str(named.get("type") or "")
    properties = {key: value for key, value in named.items() if key not in {"type", "version"}}
    match kind.rpartition(".")[2].lower():
        case "process":
            return Choice(kind="process")
        case "docker":
            own_host = properties.get("host")
            if not docker_answers(str(own_host) if own_host else docker_host):
                raise SetupFailed(NO_DOCKER)
            return Choice(kind="docker", properties=properties)
        case _:
            raise SetupFailed(
                f"This runner has no task runner {kind or '(without a type)'}; use "
                "io.kestra.plugin.core.runner.Process or "
                "io.kestra.plugin.scripts.runner.docker.Docker"
            )


def docker_answers(host: str | None) -> bool:
    """Whether something listens where the Docker daemon should."""
    address = host or next((f"unix://{path}" for path in SOCKETS if os.path.exists(path)), None)  # noqa: PTH110
    if address is None:
        return False
    parts = urlsplit(address)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(CONNECT_SECONDS)
                connection.connect(str(Path(parts.path)))
        else:
            with socket.create_connection(
                (parts.hostname or "", parts.port or 2375), timeout=CONNECT_SECONDS
            ):
                pass
    except OSError:
        return False
    return True
