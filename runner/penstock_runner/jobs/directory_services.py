"""The `services` of a WorkingDirectory: read, started before its tasks, ended after them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from penstock_runner.flow import durations
from penstock_runner.flow.model import Level
from penstock_runner.jobs import running
from penstock_runner.jobs.context import JobContext
from penstock_runner.jobs.environment import Earlier
from penstock_runner.jobs.parts import Outside
from penstock_runner.jobs.protocol import Job
from penstock_runner.taskrunners.api import Command, SetupFailed
from penstock_runner.taskrunners.choice import daemon_for
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.service_types import Healthcheck, ServiceProperties


class DirectoryServices:
    """Started services; what tasks have to know of them is in `earlier`."""

    def __init__(self, services: Any, context: JobContext) -> None:
        self._services = services
        self._context = context

    def tell(self, earlier: Earlier) -> None:
        """Let later tasks find the services."""
        earlier.network = self._services.network
        earlier.service_hosts = self._services.hosts()
        earlier.service_ports = self._services.addresses()

    def end(self) -> None:
        """Keep what they said in the log, and remove them."""
        self._services.end(lambda line: self._context.log(Level.DEBUG, line))


class Notes:
    """Implements `Sink` for what is said of the images of services."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    def feed(self, stream: str, chunk: bytes) -> None:
        """A service is not followed."""

    def quiet(self) -> None:
        """Nothing is held back."""

    def note(self, text: str) -> None:
        """Something to know about an image."""
        self._context.log(Level.WARN, text)

    def close(self) -> None:
        """Nothing is open."""


def start(
    properties: Mapping[str, Any], job: Job, outside: Outside, context: JobContext
) -> DirectoryServices | None:
    """Start the services that the properties name; raises `TaskFailed`, with nothing left."""
    written = context.renderer.deep(properties.get("services"))
    if not written:
        return None
    wanted = [_read(one, number) for number, one in enumerate(written)]
    stopped = threading.Event()
    outside.cancellation.on_cancel(stopped.set)
    command = Command(
        argv=(),
        env={},
        cwd=context.workspace,
        folder=context.workspace.parent,
        labels=running.labels(job, context.task_id, context.taskrun_id),
    )
    try:
        daemon = daemon_for(None, context.docker_access)
        from penstock_runner.taskrunners.docker_services import Services

        services = Services(daemon, command)
        try:
            services.start([_service(one, context) for one in wanted], Notes(context), stopped)
        except BaseException:
            services.end(lambda line: context.log(Level.DEBUG, line))
            raise
    except SetupFailed as failed:
        raise TaskFailed(f"services: {failed}", reason="setup") from None
    return DirectoryServices(services, context)


def _read(written: Any, number: int) -> ServiceProperties:
    try:
        return ServiceProperties.model_validate(written)
    except ValidationError as invalid:
        [first, *_] = invalid.errors()
        place = ".".join(str(part) for part in (f"services[{number}]", *first["loc"]))
        raise TaskFailed(f"{place}: {first['msg']}") from None


def _service(given: ServiceProperties, context: JobContext) -> Any:
    from penstock_runner.taskrunners.docker_services import Service
    from penstock_runner.taskrunners.docker_settings import settings_of

    properties = given.model_dump(
        by_alias=True, exclude_none=True, include={"user", "pull_policy", "credentials", "memory"}
    )
    properties["entryPoint"] = list(given.entry_point) if given.entry_point else None
    return Service(
        alias=given.name,
        settings=settings_of(properties, image=given.image, access=context.docker_access, grace=0),
        command=tuple(given.commands),
        env={key: str(value) for key, value in given.env.items() if value is not None},
        ports=dict(map(_port, given.ports)),
        health=None if given.healthcheck is None else _health(given.healthcheck),
    )


def _port(written: str | int) -> tuple[str, int | None]:
    """`5432`, `15432:5432` or `53/udp`: the port of the container, and that of this machine."""
    outer, _, inner = str(written).rpartition(":")
    if outer and not outer.isdigit():
        raise SetupFailed(f"the port {written!r} is none: write 5432, or 15432:5432")
    return (inner if "/" in inner else f"{inner}/tcp"), int(outer) if outer else None


def _health(given: Healthcheck) -> Any:
    from penstock_runner.taskrunners.docker_health import Health

    test = given.test
    words = ("CMD-SHELL", test) if isinstance(test, str) else test
    known = words and words[0] in {"CMD", "CMD-SHELL", "NONE"}
    try:
        lengths = {
            name: durations.parse(value)
            for name, value in {
                "interval": given.interval, "timeout": given.timeout, "start": given.start_period,
            }.items()
            if value is not None
        }  # fmt: skip
    except durations.BadDuration as error:
        raise SetupFailed(f"`healthcheck`: {error}") from None
    return Health(test=words if known else ("CMD", *words), retries=given.retries, **lengths)
