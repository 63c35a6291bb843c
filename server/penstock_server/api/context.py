"""What the web process gives every route: core's ear, the store's eyes, and the language."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock_runner.engine.state import Execution
from penstock_runner.flow.catalogue import Catalogue, TypeKind
from penstock_runner.jobs.secrets import Secrets
from penstock_runner.tasks.storage import Storage
from penstock_server.clock import Clock
from penstock_server.core.client import Following
from penstock_server.core.shapes import Json
from penstock_server.store.engine import Database
from penstock_server.store.flow_changes import FlowChanges


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """Who may come in; the password is kept only as a scrypt hash of werkzeug's form."""

    username: str
    password_hash: str


class Settings(Protocol):
    """What the API needs to know of the configuration."""

    @property
    def allowed_hosts(self) -> Collection[str]:
        """Host names, without port, that a request may name; `*` allows any."""
        ...

    @property
    def basic_auth(self) -> BasicAuth | None: ...
    @property
    def open_paths(self) -> Collection[str]:
        """Path prefixes that need no password, besides `/ping` and `/health`."""
        ...

    @property
    def url(self) -> str | None:
        """The address people use, `https://ci.example.org`, when it is not the bound one."""
        ...

    @property
    def version(self) -> str: ...
    @property
    def environment(self) -> str | None: ...
    @property
    def public_status(self) -> bool:
        """Whether `/status` can be read without a password."""
        ...


class Core(Protocol):
    """The part of `CoreClient` that routes use."""

    def call(self, operation: str, *, timeout: float = 30, **arguments: Any) -> Any:
        """Ask core to do something; the answer comes after its commit."""
        ...

    def follow(self, topic: str) -> Following:
        """Live messages about an execution, or all for `*`."""
        ...

    @property
    def connected(self) -> bool: ...


class Types(Catalogue, Protocol):
    """A catalogue that can be listed."""

    def names(self, kind: TypeKind | None = None) -> list[str]:
        """The present names of all types, sorted."""
        ...


class Expressions(Protocol):
    """Renders expressions for the API: webhook keys, choices of inputs, evaluation.

    Both raise an exception whose text says what is wrong.
    """

    def render(self, source: str, variables: Mapping[str, object]) -> str | None:
        """The source rendered as text."""
        ...

    def render_typed(self, source: str, variables: Mapping[str, object]) -> object:
        """The source rendered to a value."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHook:
    """How deliveries for one Git source are verified."""

    secrets: Sequence[str]
    forge: str = "auto"
    allow_sha1: bool = False
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    """What the routes are given. Nothing of an execution is shown but through `veil`."""

    client: Core
    database: Database
    storage: Storage
    registry: Types
    settings: Settings
    clock: Clock
    expressions: Expressions
    secrets: Secrets = field(default_factory=lambda: Secrets({}), repr=False)
    veil: Callable[[Execution], Execution] = field(default=lambda execution: execution)
    veil_json: Callable[[Json], Json] = field(default=lambda shown: shown)
    encrypt: Callable[[str], str] | None = None
    runner_alive: Callable[[], bool] = field(default=lambda: True)
    git_hooks: Mapping[str, GitHook] = field(default_factory=dict)
    followers: int = 250
    flow_changes: FlowChanges | None = None
    timezone: str = "UTC"
