"""What may be said of a Git source in the configuration.

Names that end in `secret` name a secret; its value is looked up when a look is sent and is never
kept here. `digest` tells whether a source reads something else than before.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, get_args
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from penstock_runner.git.remote import stripped
from penstock_server.sync.file_rules import FileLayout, FileRules
from penstock_server.sync.forge_calls import Forge, forge_of

SourceId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}$")]
Seconds = Annotated[timedelta, Field(ge=timedelta(seconds=1))]


class Settings(BaseModel):
    """A frozen part of the configuration, spelt in camelCase."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Auth(Settings):
    """How to get in: user and password, a token or an SSH key; best by the name of a secret."""

    username: str | None = None
    password: SecretStr | None = None
    password_secret: str | None = None
    token: SecretStr | None = None
    token_secret: str | None = None
    ssh_key_secret: str | None = None
    passphrase_secret: str | None = None
    known_hosts: str | None = None


class Tls(Settings):
    """Which certificates are trusted."""

    ca_file: Path | None = None
    client_cert: Path | None = None
    insecure_skip_verify: bool = False


class Mapping(Settings):
    """How a file's place decides its namespace; `declared` is what the file says."""

    mode: Literal["declared", "directory", "rewrite", "folders", "prefix"] = "declared"
    prefix: str | None = None
    target: str | None = None
    children: bool = True
    from_: str | None = Field(default=None, alias="from")
    to: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mode == "rewrite" and not self.target:
            raise ValueError("mapping mode 'rewrite' needs 'target', the namespace to write to")
        if self.mode == "prefix" and (self.from_ is None or self.to is None):
            raise ValueError("mapping mode 'prefix' needs 'from' and 'to'")
        return self


class PruneLimit(Settings):
    """More than both at once is not pruned without a confirmation."""

    percent: int = Field(default=50, ge=0, le=100)
    min: int = Field(default=10, ge=0)


class Webhook(Settings):
    """The secrets that deliveries are signed with, newest first, and the forge that sends them."""

    secret_secret: str | tuple[str, ...]
    forge: Literal["auto", "github", "gitlab", "gitea", "forgejo", "bitbucket", "generic"] = "auto"
    allow_sha1: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the secrets."""
        return (self.secret_secret,) if isinstance(self.secret_secret, str) else self.secret_secret


class Report(Settings):
    """What the forge is told of each commit, and with which token; else with that of `auth`.

    `url` is the address of this service as people reach it, for links.
    """

    statuses: bool = True
    deployments: str | None = None
    token_secret: str | None = None
    context: str = "penstock/{source}"
    url: str | None = None
    forge: Forge | Literal["auto"] = "auto"

    @property
    def base(self) -> str:
        """What links begin with; empty when nobody said it."""
        return (self.url or "").rstrip("/")


class Limits(Settings):
    """Sizes past which a repository is not read."""

    file_bytes: int = 1024 * 1024
    blob_bytes: int = 10 * 1024 * 1024
    files: int = 20_000
    pack_bytes: int = 512 * 1024 * 1024
    memory_bytes: int = 1024 * 1024 * 1024


class SourceSettings(Settings):
    """One Git source: where it is, what of it is read, and what is done with it."""

    origin: ClassVar[Literal["config", "api"]] = "config"

    id: SourceId
    url: str
    ref: str | None = None
    tag: str | None = None
    commit: str | None = None
    path: str = ""
    include: tuple[str, ...] = ("**/*.yml", "**/*.yaml")
    exclude: tuple[str, ...] = ()
    mapping: Mapping = Mapping()
    namespaces: tuple[str, ...] = ("*",)
    files: FileRules = FileLayout()
    tests: bool = True
    symlinks: Literal["skip", "inside"] = "skip"
    interval: Annotated[timedelta, Field(ge=timedelta(seconds=10))] = timedelta(seconds=60)
    jitter: float = Field(default=0.2, ge=0, le=1)
    timeout: Seconds = timedelta(seconds=60)
    auto: bool = True
    enabled: bool = True
    prune: bool = True
    prune_limit: PruneLimit = PruneLimit()
    allow_empty: bool = False
    protected: tuple[str, ...] = ("system",)
    protected_refs: tuple[str, ...] = ()
    on_invalid: Literal["FAIL", "SKIP_FILE"] = "FAIL"
    strict: bool = False
    adopt: bool = True
    edits: Literal["deny", "allow"] = "deny"
    self_heal: bool = True
    force_push: Literal["apply", "refuse"] = "apply"
    labels: dict[str, str] = {}
    disable_triggers: bool = False
    auth: Auth = Auth()
    tls: Tls = Tls()
    proxy: str | None = None
    allow_http: bool = False
    webhook: Webhook | None = None
    report: Report | None = None
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _reports_to_somebody(self) -> Self:
        report = self.report
        if report is None:
            return self
        if self.report_forge is None:
            names = ", ".join(get_args(Forge))
            raise ValueError(f"the host of 'url' tells no forge: set 'report.forge' to {names}")
        if report.deployments and self.report_forge != "github":
            raise ValueError("'report.deployments' is for GitHub: leave it out")
        if not (report.token_secret or self.auth.token_secret or self.auth.token):
            raise ValueError("'report' needs 'tokenSecret', the secret with a token of the forge")
        return self

    @model_validator(mode="after")
    def _one_ref(self) -> Self:
        if sum(given is not None for given in (self.ref, self.tag, self.commit)) > 1:
            raise ValueError("give one of 'ref', 'tag' and 'commit'")
        return self

    @property
    def report_forge(self) -> Forge | None:
        """The forge that reports go to."""
        if self.report is None or self.report.forge == "auto":
            return forge_of(self.shown_url)
        return self.report.forge

    @property
    def shown_url(self) -> str:
        """The address as it may be stored and shown."""
        return stripped(self.url)

    @property
    def ref_kind(self) -> Literal["branch", "tag", "commit"]:
        """What kind of name is followed."""
        return "tag" if self.tag else "commit" if self.commit else "branch"

    @property
    def ref_name(self) -> str:
        """The name that is followed; `HEAD` is the remote's own branch."""
        return self.tag or self.commit or self.ref or "HEAD"

    @property
    def folder(self) -> str:
        """The folder that is read, without slashes at its ends."""
        return self.path.strip("/")

    @property
    def digest(self) -> str:
        """Changes when the same commit would be read in another way."""
        parts: list[object] = [self.url, self.ref_kind, self.ref_name, self.folder]
        parts += [self.include, self.exclude, self.mapping.model_dump(), self.namespaces]
        parts.append(self.limits.file_bytes)
        # Left out while they are not set: the digest of a source that never used them stays.
        if self.files != FileLayout() or self.symlinks != "skip":
            parts += [self.files, self.symlinks]
        if not self.tests:
            parts.append("no tests")
        if self.strict:
            parts.append("strict")
        return hashlib.sha256(orjson.dumps(parts, default=_plain)).hexdigest()


def _plain(value: object) -> object:
    """What JSON does not know: the rules for files."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError


class GitSettings(Settings):
    """All configured sources, and what holds for each source.

    `allow_private` is for all; when nobody said it, sources that the API declares may not reach
    into private networks, but for `hosts`.
    """

    sources: tuple[SourceSettings, ...] = ()
    file_roots: tuple[Path, ...] = ()
    allow_private: bool | None = None
    hosts: frozenset[str] = frozenset()
    proxies: dict[str, str] = Field(default_factory=dict, repr=False)

    def private_allowed(self, source: SourceSettings, url: str) -> bool:
        """Whether an address in a private network may be asked for this source."""
        if source.origin == "config" or self.allow_private is not None:
            return self.allow_private is not False
        return (urlsplit(url).hostname or "").lower() in self.hosts

    @model_validator(mode="after")
    def _unique(self) -> Self:
        ids = [source.id for source in self.sources]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"two sources have the id {twice[0]!r}; give each its own")
        return self
