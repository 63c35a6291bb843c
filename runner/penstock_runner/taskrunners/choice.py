"""Which task runner a task gets: the one it names, else what the runner's settings say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from penstock_runner.taskrunners.api import SetupFailed
from penstock_runner.taskrunners.docker_access import (
    Daemon,
    DockerAccess,
    find_daemon,
    troubles,
)

PROCESS_LINE = "`taskRunner: {type: io.kestra.plugin.core.runner.Process}`"
NO_DOCKER = (
    "Docker socket is not accessible or not found. This task asks for Docker, and no daemon "
    "answers here: start one, mount its socket or set DOCKER_HOST for the service, or give the "
    f"task {PROCESS_LINE}"
)
DOCKER_IS_OFF = (
    "This task asks for Docker, which is off here, since the service listens on more than "
    "loopback and whoever may start a container rules the machine: an administrator turns it on "
    f"with `docker: {{enabled: true}}` in the settings, or give the task {PROCESS_LINE}"
)
FELL_BACK = (
    "No Docker daemon answers, so this task runs as a process of this machine; write "
    f"{PROCESS_LINE} to say that it may"
)
STAYED_OFF = (
    "Docker is off here, so this task runs as a process of this machine; write "
    f"{PROCESS_LINE} to say that it may, or have `docker: {{enabled: true}}` set"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The kind of task runner, its properties, and what the log should say about it.

    `stands_in` says that a process takes the place of a container that the task did not ask to do
    without.
    """

    kind: Literal["process", "docker"]
    properties: Mapping[str, object] = field(default_factory=dict)
    daemon: Daemon | None = None
    note: str | None = None
    stands_in: bool = False


def choose(
    named: Mapping[str, object] | None, *, default: str, access: DockerAccess | None = None
) -> Choice:
    """The task runner for a task that names one, or none; an unusable one is a `SetupFailed`.

    Properties without a `type` are for a container, if it comes to that.
    """
    access = access or DockerAccess()
    if named and "type" in named:
        return _named(named, access)
    properties = named or {}
    if default == "process":
        return Choice(kind="process", stands_in=True)
    daemon = _preferred(properties, access) if access.enabled else None
    if daemon is not None:
        return Choice(kind="docker", properties=properties, daemon=daemon)
    if default == "docker":
        raise SetupFailed(_no_docker(access) if access.enabled else DOCKER_IS_OFF)
    note = FELL_BACK if access.enabled else STAYED_OFF
    return Choice(kind="process", note=note, stands_in=True)


def _named(named: Mapping[str, object], access: DockerAccess) -> Choice:
    kind = str(named.get("type") or "")
    properties = {key: value for key, value in named.items() if key not in {"type", "version"}}
    match kind.rpartition(".")[2].lower():
        case "process":
            return Choice(kind="process", properties=properties)
        case "docker":
            host = str(properties.get("host") or "") or None
            daemon = daemon_for(host, access)
            return Choice(kind="docker", properties=properties, daemon=daemon)
        case _:
            raise SetupFailed(
                f"This runner has no task runner {kind or '(without a type)'}; use "
                "io.kestra.plugin.core.runner.Process or "
                "io.kestra.plugin.scripts.runner.docker.Docker"
            )


def _preferred(properties: Mapping[str, object], access: DockerAccess) -> Daemon | None:
    host = str(properties.get("host") or "") or None
    return find_daemon(access) if host is None else daemon_for(host, access)


def daemon_for(host: str | None, access: DockerAccess) -> Daemon:
    """The daemon of this runner, or the one at `host` when tasks may choose; else `SetupFailed`."""
    if not access.enabled:
        raise SetupFailed(DOCKER_IS_OFF)
    if host is not None and host not in access.hosts and "host" not in access.allow:
        raise SetupFailed(
            f"`host` {host} of the task runner is not the daemon of this runner: leave it out, or "
            "have it allowed with `docker: {allow: [host]}` in the settings"
        )
    daemon = find_daemon(access, host)
    if daemon is None:
        raise SetupFailed(_no_docker(access, host))
    return daemon


def _no_docker(access: DockerAccess, host: str | None = None) -> str:
    why = troubles(access, host)
    return f"{NO_DOCKER} ({why})" if why else NO_DOCKER
