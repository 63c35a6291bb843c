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
from typing import Any

from docker.types import EndpointConfig

from penstock_runner.taskrunners import docker_labels
from penstock_runner.taskrunners.api import Command, SetupFailed, Sink
from penstock_runner.taskrunners.docker_access import Daemon
from penstock_runner.taskrunners.docker_client import UNREACHABLE, connect, words
from penstock_runner.taskrunners.docker_health import Check, Health, State
from penstock_runner.taskrunners.docker_images import bring
from penstock_runner.taskrunners.docker_settings import DockerSettings

START_SECONDS = 120.0
LOOK_SECONDS = 0.1
KEPT_LINES = 1000
TOLD_LINES = 20
LOOPBACK = "127.0.0.1"


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
            self._await_ready(services, stopped)
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

    def hosts(self) -> tuple[str, ...]:
        """The services as `extraHosts` of containers, since not every daemon resolves aliases."""
        found: list[str] = []
        for alias, container in self._containers.items():
            container.reload()
            networks = (container.attrs.get("NetworkSettings") or {}).get("Networks") or {}
            addresses = [one.get("IPAddress") for one in networks.values()]
            found += [f"{alias}:{address}" for address in addresses if address]
        return tuple(found)

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

    def _await_ready(self, services: Sequence[Service], stopped: threading.Event) -> None:
        began = time.monotonic()
        checks = {
            service.alias: Check(self._containers[service.alias], service.health, began)
            for service in services
        }
        while checks and not stopped.is_set():
            for alias, check in list(checks.items()):
                match check.look(time.monotonic()):
                    case State.READY:
                        del checks[alias]
                    case State.ENDED:
                        raise self._given_up(alias, f"ended with exit code {check.exit_code}")
                    case State.UNHEALTHY:
                        raise self._given_up(alias, "is not healthy")
                    case State.STARTING:
                        pass
            if checks and time.monotonic() >= began + START_SECONDS:
                why = f"is not ready after {START_SECONDS:g} seconds"
                raise self._given_up(next(iter(checks)), why)
            stopped.wait(LOOK_SECONDS if checks else 0)

    def _given_up(self, alias: str, why: str) -> SetupFailed:
        return SetupFailed(f"The service {alias} {why}{self._told(self._containers[alias])}")

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
        return {
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
