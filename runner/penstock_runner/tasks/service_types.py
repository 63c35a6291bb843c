"""The properties of services beside the tasks of a WorkingDirectory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from penstock_runner.tasks.api import Properties
from penstock_runner.tasks.taskrunner_types import Credentials, Memory, Texts


class Healthcheck(Properties):
    """When a service is ready: `test` is a command for its shell, or a list of words."""

    test: str | Texts
    interval: str | None = None
    timeout: str | None = None
    retries: int = 30
    start_period: str | None = None


class ServiceProperties(Properties):
    """A container that runs beside the tasks; they reach it by its `alias`."""

    image: str
    alias: str | None = None
    env: Annotated[Mapping[str, object], Field(default_factory=dict)]
    ports: tuple[int | str, ...] = ()
    healthcheck: Healthcheck | None = None
    entry_point: Texts | None = None
    commands: Texts = ()
    user: str | None = None
    pull_policy: Literal["ALWAYS", "IF_NOT_PRESENT", "NEVER"] | None = None
    credentials: Credentials | None = None
    memory: Memory | None = None

    @property
    def name(self) -> str:
        """The alias, else what the image is called."""
        return self.alias or self.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
