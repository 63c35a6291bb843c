"""The properties of task runners: where the process of a script task runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from penstock_runner.tasks.api import Properties, TaskProperties, task

Texts = tuple[str, ...]


class Limits(Properties):
    """What a process of the machine may use at most."""

    cpu: object = None
    memory: object = None
    files: object = None
    processes: object = None


@task("io.kestra.plugin.core.runner.Process", kind="taskrunner")
class Process(TaskProperties):
    """Run the process on the machine of the runner.

    `home: inherit` gives it the home of its user in place of the working directory.
    """

    limits: Limits | None = None
    home: Literal["inherit"] | None = None


class Credentials(Properties):
    """How to log in to the registry of an image."""

    registry: str | None = None
    username: str | None = None
    password: str | None = None
    registry_token: str | None = None
    identity_token: str | None = None
    auth: str | None = None


class DeviceRequest(Properties):
    """A device, such as a GPU, that the container may use."""

    driver: str | None = None
    count: int | None = None
    device_ids: Texts | None = None
    capabilities: tuple[Texts, ...] | None = None
    options: Mapping[str, str] | None = None


class Cpu(Properties):
    """How much of the processors the container may use."""

    cpus: float | None = None


class Memory(Properties):
    """How much memory the container may use."""

    memory: str | None = None
    memory_swap: str | None = None
    memory_swappiness: str | None = None
    memory_reservation: str | None = None
    kernel_memory: str | None = None
    oom_kill_disable: bool | None = None


@task("io.kestra.plugin.scripts.runner.docker.Docker", kind="taskrunner")
class Docker(TaskProperties):
    """Run the process in a container."""

    host: str | None = None
    config: object = None
    credentials: Credentials | None = None
    image: str | None = None
    user: str | None = None
    entry_point: Texts | None = None
    extra_hosts: Texts | None = None
    network_mode: str | None = None
    volumes: Texts | None = None
    pull_policy: Literal["ALWAYS", "IF_NOT_PRESENT", "NEVER"] = "ALWAYS"
    device_requests: tuple[DeviceRequest, ...] | None = None
    cpu: Cpu | None = None
    memory: Memory | None = None
    shm_size: str | None = None
    privileged: bool | None = None
    port_bindings: Texts | None = None
    file_handling_strategy: Literal["VOLUME", "MOUNT"] = "VOLUME"
    delete: bool = True
    wait: bool = True
    kill_grace_period: str | None = None
    resume: bool | None = None
