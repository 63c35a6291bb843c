"""How the runners of this machine work, and what holds for jobs of a namespace."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from penstock_runner.flow import durations
from penstock_runner.flow.routing import BadRoute, good_label, read_route
from penstock_server.config.section import Section


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]


def _span(value: object) -> object:
    return value if isinstance(value, timedelta) else durations.parse(value)


Span = Annotated[timedelta, BeforeValidator(_span), Field(ge=timedelta(), le=timedelta(hours=24))]
Lease = Annotated[
    timedelta, BeforeValidator(_span), Field(ge=timedelta(seconds=1), le=timedelta(hours=1))
]


class NamespaceDefault(Section):
    """What holds for jobs of a namespace, and of those below it, whose flows say nothing."""

    runs_on: Texts | None = None
    on_runner_lost: Literal["RETRY", "FAIL"] | None = None

    @field_validator("runs_on")
    @classmethod
    def _labels(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        try:
            return None if value is None else read_route({"runs_on": list(value)}).required
        except BadRoute as bad:
            raise ValueError(str(bad)) from None


def _labels_alone(value: object) -> object:
    return value if isinstance(value, Mapping) else {"runsOn": value}


class RunnerSection(Section):
    """How a runner of this machine works; `name` tells several apart.

    `namespaces` are globs of those whose jobs it takes, and `protected` keeps it for flows of
    protected refs. `namespaceDefaults` is said once, for all runners.
    """

    name: str = Field(default="local", pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")
    slots: int | None = Field(default=None, ge=1, le=512)
    labels: tuple[str, ...] = ()
    namespaces: Texts = ()
    protected: bool = False
    namespace_defaults: Mapping[
        str, Annotated[NamespaceDefault, BeforeValidator(_labels_alone)]
    ] = {}
    workspaces: Path | None = None
    default: Literal["auto", "process", "docker"] = "auto"
    folders: tuple[str, ...] = ()
    pass_env: tuple[str, ...] = ()
    pass_proxy: bool = False
    user: str | None = None
    drain: Span = timedelta(seconds=60)
    lease: Lease = timedelta(seconds=60)
    uids: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.user is not None and self.uids is not None:
            raise ValueError("`user` and `uids` exclude each other: one user for all, or many")
        return self

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        labels = tuple(label.strip().lower() for label in value)
        for label in labels:
            if not good_label(label.removeprefix("!")):
                raise ValueError(f"{label[:80]!r} is no label: write name or name=value")
        return labels

    def default_of(self, namespace: str) -> NamespaceDefault:
        """What holds for a namespace: each thing from the nearest of it and those above it."""
        found: dict[str, Any] = {}
        parts = namespace.split(".")
        for end in range(1, len(parts) + 1):
            rule = self.namespace_defaults.get(".".join(parts[:end]))
            found.update({} if rule is None else rule.model_dump(exclude_none=True))
        return NamespaceDefault.model_validate(found)
