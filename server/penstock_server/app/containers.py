"""What the settings and the environment of the service say about containers of tasks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from penstock_runner.taskrunners.docker_access import DockerAccess, certificates_of, hosts_of
from penstock_server.config.settings import LOOPBACK, Settings


def docker_access(
    settings: Settings, environment: Mapping[str, str], *, private: tuple[Path, ...] = ()
) -> DockerAccess:
    """How this machine's runner may use Docker.

    `private` folders, and the sockets of all daemons, never get into a container. Whoever may start
    one rules the machine, so a service that others can reach needs an administrator's word first.
    """
    docker = settings.docker
    hosts = (docker.host,) if docker.host else hosts_of(environment, os.getuid())
    sockets = (Path(host.removeprefix("unix://")) for host in hosts if host.startswith("unix://"))
    return DockerAccess(
        enabled=settings.host in LOOPBACK if docker.enabled is None else docker.enabled,
        hosts=hosts,
        allow=frozenset(map(str, docker.allow)),
        private=(*private, *sockets),
        certificates=certificates_of(environment),
    )
