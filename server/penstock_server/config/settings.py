"""Everything that can be set, typed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from penstock_runner.tasks.object_storage import SCHEMES
from penstock_server.config.docker import DockerSection
from penstock_server.config.retention import RetentionSection
from penstock_server.config.runners import RunnerSection
from penstock_server.config.secrets import SecretSection
from penstock_server.config.section import Section

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class BasicAuth(Section):
    """The user that the API and the page ask for."""

    username: str = Field(min_length=1)
    password: str = Field(min_length=1, repr=False)


class GitSection(Section):
    """The repositories that are kept in sync; each source is checked by the sync room."""

    defaults: Mapping[str, Any] = {}
    sources: tuple[Mapping[str, Any], ...] = ()
    file_roots: tuple[str, ...] = ()
    allow_private: bool | None = None
    hosts: tuple[str, ...] = ()
    looks_at_once: int = Field(default=4, ge=1, le=64)
    looks_per_host: int = Field(default=2, ge=1, le=64)


class Settings(Section):
    """Everything that can be set."""

    home: Path = Path(".penstock")
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    url: str | None = None
    database_url: str | None = Field(default=None, repr=False)
    durability: Literal["full", "relaxed"] = "full"
    web: int = Field(default=1, ge=1, le=64)
    timezone: str = "UTC"
    basic_auth: BasicAuth | None = None
    public_status: bool = False
    encryption_key: str | None = Field(default=None, repr=False)
    storage: Path | str | None = None
    recursive_rendering: bool = False
    globals: Mapping[str, Any] = {}
    env_prefixes: tuple[str, ...] = ("ENV_", "KESTRA_")
    plugin_defaults: tuple[Mapping[str, Any], ...] = ()
    recover_missed_schedules: Literal["ALL", "LAST", "NONE"] = "ALL"
    retention: RetentionSection = RetentionSection()
    environment: str | None = None
    examples: bool = False
    runner: RunnerSection = RunnerSection()
    docker: DockerSection = DockerSection()
    runners: tuple[RunnerSection, ...] = ()
    secret: SecretSection = SecretSection()
    git: GitSection = GitSection()

    @field_validator("storage", mode="before")
    @classmethod
    def _folder_or_bucket(cls, value: object) -> object:
        if not isinstance(value, str) or value.startswith(SCHEMES):
            return value
        if "://" in value:
            raise ValueError("it is a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX")
        return Path(value)

    @field_validator("basic_auth", mode="before")
    @classmethod
    def _user_and_password(cls, value: object) -> object:
        if isinstance(value, str):
            username, colon, password = value.partition(":")
            if not colon:
                raise ValueError("give it as USER:PASSWORD")
            return {"username": username, "password": password}
        return value

    @model_validator(mode="after")
    def _runners_have_names(self) -> Self:
        names = [runner.name for runner in self.all_runners]
        if len(set(names)) < len(names):
            raise ValueError(f"each of `runners` needs a `name` of its own, not {names}")
        return self

    @property
    def all_runners(self) -> tuple[RunnerSection, ...]:
        """The runners of this machine; what a further one does not say is as in `runner`."""
        first = self.runner.model_dump(exclude_unset=True)
        further = (one.model_dump(exclude_unset=True) for one in self.runners)
        return (self.runner, *(RunnerSection.model_validate({**first, **one}) for one in further))

    @property
    def database(self) -> str:
        """The address of the store; SQLite in the home when none is given."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'penstock.db'}"

    @property
    def storage_root(self) -> Path:
        """The folder of the files of executions and namespaces, unless a bucket has them."""
        return self.storage if isinstance(self.storage, Path) else self.home.absolute() / "storage"

    @property
    def workspaces(self) -> Path:
        """Where jobs have their working directories."""
        return self.runner.workspaces or self.home.absolute() / "workspaces"

    @property
    def public_url(self) -> str:
        """Where people reach the service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def host_names(self) -> frozenset[str]:
        """The names that requests may address us by."""
        named = {urlsplit(self.url).hostname or ""} if self.url else set()
        return LOOPBACK | {self.host} | named | set(self.hosts)
