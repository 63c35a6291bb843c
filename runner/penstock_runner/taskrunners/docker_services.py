"""Services beside a job: containers in a network of their own, until the job has ended.

Containers of the job join the network and know each service by its alias; processes of this
machine reach the ports that a service publishes, on loopback alone. Whatever happens, everything
is removed at the end, and carries the labels by which it is found when nobody did.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from docker.types import EndpointConfig

from penstock_runner.taskrunners import docker_labels
from penstock_runner.taskrunners.api import Command, SetupFailed, Sink
from penstock_runner.taskrunners.docker_access import Daemon
from penstock_runner.taskrunners.docker_client import UNREACHABLE, connect, words
from penstock_runner.taskrunners.docker_images import bring
from penstock_runner.taskrunners.docker_settings import DockerSettings

START_SECONDS = 120.0
LOOK_SECONDS = 0.1
KEPT_LINES = 1000
TOLD_LINES = 20
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the daemon finds out whether a service is ready."""

    test: tuple[str, ...]
    interval: timedelta = timedelta(seconds=1)
    timeout: timedelta = timedelta(seconds=5)
    retries: int = 30
    start: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service; `ports` are those of the container with the port of this machine, if it matters.

    `settings` say which image, and how it is brought.
    """

    alias: str
    settings: DockerSettings
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int | None] = field(default_factory=dict)
    health: Health | None = None


class Services:
    """The running services of one job; `command` names the job and its folder.

    `network` is the id of their network: names of networks are not unique.
    """

    def __init__(self, daemon: Daemon, command: Command) -> None:
        self._daemon = daemon
        self._command = command
        self._client = connect(daemon)
        self._containers: dict[str, Any] = {}
        self.network = ""

    def start(self, services: Sequence[Service], sink: Sink, stopped: threading.Event) -> None:
        """Start all and wait until each is ready; one that is not is a `SetupFailed`."""
        alias = "?"
        try:
            labels = self._labels(self._command)
            name = f"penstock-{self._command.folder.name}"
            made = self._client.api.create_network(name, driver="bridge", labels=labels)
            self.network = str(made["Id"])
            for service in services:
                alias = service.alias
                bring(self._client, service.settings, sink, stopped)
                if stopped.is_set():
                    return
                made = self._client.containers.create(**self._creation(service))
                self._containers[alias] = made
                made.start()
            self._await_ready(stopped)
        except UNREACHABLE as error:
            raise SetupFailed(f"The service {alias} could not be started: {words(error)}") from None

    def addresses(self) -> dict[str, str]:
        """The published ports, as variables for processes of this machine."""
        found: dict[str, str] = {}
        for alias, container in self._containers.items():
            container.reload()
            for inner, outer in (container.ports or {}).items():
                if outer:
                    number = inner.partition("/")[0]
                    name = "".join(c if c.isalnum() else "_" for c in alias.upper())
                    found[f"PENSTOCK_SERVICE_{name}_PORT_{number}"] = str(outer[0]["HostPort"])
        return found

    def end(self, tell: Callable[[str], None]) -> None:
        """Tell what the services said, and remove everything."""
        try:
            for alias, container in self._containers.items():
                for line in self._said(container, KEPT_LINES):
                    tell(f"{alias}: {line}")
        finally:
            for container in self._containers.values():
                with contextlib.suppress(*UNREACHABLE):
                    container.kill()
                with contextlib.suppress(*UNREACHABLE):
                    container.remove(force=True, v=True)
            with contextlib.suppress(*UNREACHABLE):
                if self.network:
                    self._client.api.remove_network(self.network)
            self._client.close()

    def _await_ready(self, stopped: threading.Event) -> None:
        until = time.monotonic() + START_SECONDS
        waiting = dict(self._containers)
        while waiting and not stopped.is_set():
            for alias, container in list(waiting.items()):
                container.reload()
                state = container.attrs["State"]
                health = (state.get("Health") or {}).get("Status") or "none"
                if not state.get("Running") or health == "unhealthy":
                    self._give_up(alias, container, state, health)
                if health in {"none", "healthy"}:
                    del waiting[alias]
            if waiting and time.monotonic() >= until:
                alias, container = next(iter(waiting.items()))
                raise SetupFailed(
                    f"The service {alias} is not ready after {START_SECONDS:g} seconds: its "
                    f"`healthcheck` does not succeed{self._told(container)}"
                )
            stopped.wait(LOOK_SECONDS if waiting else 0)

    def _give_up(self, alias: str, container: Any, state: Mapping[str, Any], health: str) -> None:
        ended = f"ended with exit code {state.get('ExitCode')}"
        what = "is not healthy" if health == "unhealthy" else ended
        raise SetupFailed(f"The service {alias} {what}{self._told(container)}")

    def _told(self, container: Any) -> str:
        lines = self._said(container, TOLD_LINES)
        return "; it said: " + " | ".join(lines) if lines else ""

    @staticmethod
    def _said(container: Any, lines: int) -> list[str]:
        with contextlib.suppress(*UNREACHABLE):
            text = container.logs(tail=lines).decode("utf-8", "replace")
            return list(text.splitlines())
        return []

    def _labels(self, command: Command) -> dict[str, str]:
        return docker_labels.of_job(command, DockerSettings(image=""), self._daemon.runner)

    def _creation(self, service: Service) -> dict[str, Any]:
        found: dict[str, Any] = {
            "image": service.settings.image,
            "command": list(service.command) or None,
            "environment": dict(service.env),
            "labels": self._labels(self._command),
            "detach": True,
            "network": self.network,
            "networking_config": {
                self.network: EndpointConfig(self._daemon.version, aliases=[service.alias])
            },
            "ports": {port: (LOOPBACK, outer) for port, outer in service.ports.items()},
            **service.settings.options,
        }
        if service.health is not None:
            found["healthcheck"] = _health(service.health)
        return found


def _health(health: Health) -> dict[str, Any]:
    def nanoseconds(length: timedelta) -> int:
        return int(length.total_seconds() * 1e9)

    return {
        "test": list(health.test),
        "interval": nanoseconds(health.interval),
        "timeout": nanoseconds(health.timeout),
        "retries": health.retries,
        "start_period": nanoseconds(health.start),
    }
