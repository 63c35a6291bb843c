"""Settings: what the service is told, from where it may be told, with all faults at once.

Order, the later wins: `penstock.yaml` in the working directory or the home, `PENSTOCK_CONFIGURATION` (or,
when that is not set, `KESTRA_CONFIGURATION`: the YAML that people have in their compose files), the
`PENSTOCK_*` variables, the options of the command. The process environment is read here and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
VARIABLES = {
    "PENSTOCK_HOST": ("host",),
    "PENSTOCK_PORT": ("port",),
    "PENSTOCK_HOME": ("home",),
    "PENSTOCK_DATABASE_URL": ("database_url",),
    "PENSTOCK_DURABILITY": ("durability",),
    "PENSTOCK_WEB": ("web",),
    "PENSTOCK_SLOTS": ("runner", "slots"),
    "PENSTOCK_URL": ("url",),
    "PENSTOCK_TIMEZONE": ("timezone",),
    "PENSTOCK_ENCRYPTION_KEY": ("encryption_key",),
    "PENSTOCK_BASIC_AUTH": ("basic_auth",),
    "PENSTOCK_EXAMPLES": ("examples",),
}
READ_ELSEWHERE = {
    "PENSTOCK_CONFIGURATION",
    "PENSTOCK_CONFIG",
    "PENSTOCK_PASSWORD",
    "PENSTOCK_SERVER",
    "PENSTOCK_TOKEN",
    "PENSTOCK_USER",
    "PENSTOCK_CONFORMANCE",
}


class BadSettings(Exception):
    """The settings cannot be used; `faults` says all that is wrong, one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Section(BaseModel):
    """A part of the settings; files may spell its names with camelCase or underscores."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class BasicAuth(Section):
    """The user that the API and the page ask for."""

    username: str = Field(min_length=1)
    password: str = Field(min_length=1, repr=False)


class RunnerSection(Section):
    """How this machine's runner works."""

    slots: int | None = Field(default=None, ge=1, le=512)
    labels: tuple[str, ...] = ()
    workspaces: Path | None = None
    default: Literal["auto", "process", "docker"] = "auto"
    pass_env: tuple[str, ...] = ()
    user: str | None = None


class GitSection(Section):
    """The repositories that are kept in sync; each source is checked by the sync room."""

    defaults: Mapping[str, Any] = {}
    sources: tuple[Mapping[str, Any], ...] = ()
    file_roots: tuple[str, ...] = ()
    allow_private: bool = True


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
    storage: Path | None = None
    recursive_rendering: bool = False
    globals: Mapping[str, Any] = {}
    env_prefixes: tuple[str, ...] = ("ENV_", "KESTRA_")
    plugin_defaults: tuple[Mapping[str, Any], ...] = ()
    retention: Mapping[str, str] = {}
    environment: str | None = None
    examples: bool = False
    runner: RunnerSection = RunnerSection()
    git: GitSection = GitSection()

    @field_validator("basic_auth", mode="before")
    @classmethod
    def _user_and_password(cls, value: object) -> object:
        if isinstance(value, str):
            username, colon, password = value.partition(":")
            if not colon:
                raise ValueError("give it as USER:PASSWORD")
            return {"username": username, "password": password}
        return value

    @property
    def database(self) -> str:
        """The address of the store; SQLite in the home when none is given."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'penstock.db'}"

    @property
    def storage_root(self) -> Path:
        """Where the files of executions and namespaces are."""
        return self.storage or self.home.absolute() / "storage"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was read: the settings, the secrets, and what a person should hear at start."""

    settings: Settings
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    envs: Mapping[str, str] = field(repr=False, default_factory=dict)
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)
    notes: tuple[str, ...] = ()


def read_settings(
    options: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Told:
    """Read everything; raises `BadSettings` with all faults."""
    given = dict(os.environ if environment is None else environment)  # noqa: TID251 - the one place
    data: dict[str, Any] = {}
    notes: list[str] = []
    faults: list[str] = []
    for where, text in _texts(given, options or {}, folder or Path()):
        _merge(data, _understand(where, text, notes, faults))
    for name, path in VARIABLES.items():
        if given.get(name):
            _put(data, path, given[name])
    for name in sorted(given):
        if name.startswith("PENSTOCK_") and name not in VARIABLES and name not in READ_ELSEWHERE:
            notes.append(f"{name} is no setting of Penstock and does nothing")
    for name, value in (options or {}).items():
        if value is not None:
            _put(data, tuple(name.split(".")), value)
    settings = _checked(data, faults)
    secrets = _secrets(given, notes)
    envs = _envs(given, settings.env_prefixes)
    return Told(
        settings=settings,
        secrets=secrets,
        envs=envs,
        environment={k: v for k, v in given.items() if not k.startswith("SECRET_")},
        notes=tuple(notes),
    )


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file of NAME=value lines; raises `BadSettings` naming the bad line."""
    found: dict[str, str] = {}
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise BadSettings([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise BadSettings([f"{path}: is not UTF-8 text"]) from None
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise BadSettings([f"{path}:{number}: expected NAME=value"])
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found


def _texts(
    given: Mapping[str, str], options: Mapping[str, Any], folder: Path
) -> Iterator[tuple[str, str]]:
    asked = given.get("PENSTOCK_CONFIG")
    home = Path(options.get("home") or given.get("PENSTOCK_HOME") or ".penstock")
    for path in [Path(asked)] if asked else [folder / "penstock.yaml", home / "penstock.yaml"]:
        if path.is_file():
            yield str(path), path.read_text("utf-8-sig")
        elif asked:
            raise BadSettings([f"PENSTOCK_CONFIG names {path}, which does not exist"])
    for name in ("PENSTOCK_CONFIGURATION", "KESTRA_CONFIGURATION"):
        if given.get(name):
            yield name, given[name]
            return


def _understand(where: str, text: str, notes: list[str], faults: list[str]) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        faults.append(f"{place}: is not YAML: {getattr(error, 'problem', None) or error}")
        return {}
    if data is None:
        return {}
    if not isinstance(data, dict):
        faults.append(f"{where}: expected a map of settings")
        return {}
    found: dict[str, Any] = {}
    foreign = {k: data.pop(k) for k in ("kestra", "datasources", "micronaut") if k in data}
    own = data.pop("penstock", {}) or {}
    if foreign:
        found.update(_from_kestra(foreign, where, notes))
    known = _spellings(Settings)
    for name, value in {**data, **own}.items():
        if str(name) in known:
            found[known[str(name)]] = value
        elif foreign:
            notes.append(f"{where}: `{name}` is not used by Penstock")
        else:
            faults.append(
                f"{where}: `{name}` is no setting; known are {', '.join(sorted(set(known.values())))}"
            )
    return found


def _spellings(section: type[Section]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name in section.model_fields:
        names[name] = name
        names[to_camel(name)] = name
        names[name.replace("_", "-")] = name
    return names


class _Taken:
    """Takes known keys out of a foreign configuration; what is left is named to the person."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._left: dict[str, Any] = {}
        self._flatten("", data)

    def _flatten(self, prefix: str, value: Any) -> None:
        if isinstance(value, Mapping) and value:
            for key, item in value.items():
                self._flatten(f"{prefix}.{_camel(str(key))}" if prefix else _camel(str(key)), item)
        else:
            self._left[prefix] = value

    def take(self, path: str) -> Any:
        """The value at a path, None when there is none."""
        return self._left.pop(path, None)

    def tree(self, path: str) -> dict[str, Any]:
        """Everything below a path, as a map of one level."""
        below = {k: v for k, v in self._left.items() if k.startswith(path + ".")}
        for key in below:
            del self._left[key]
        return {k.removeprefix(path + "."): v for k, v in below.items()}

    def left(self) -> list[str]:
        """Paths that nobody took."""
        return sorted(self._left)


def _camel(name: str) -> str:
    head, *rest = name.split("-")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _from_kestra(foreign: Mapping[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    kestra = dict(foreign.get("kestra") or {})
    verbatim = {
        "globals": ((kestra.get("variables") or {}).get("globals")),
        "plugin_defaults": _defaults_of(kestra),
    }
    taken = _Taken(foreign)
    found: dict[str, Any] = {name: value for name, value in verbatim.items() if value}
    taken.tree("kestra.variables.globals")
    for path in ("kestra.plugins.defaults", "kestra.tasks.defaults", "kestra.variables.globals"):
        taken.take(path)
    _put_if(found, "database_url", _jdbc(taken))
    _put_if(found, "port", taken.take("micronaut.server.port"))
    _put_if(found, "url", taken.take("kestra.url"))
    _put_if(found, "environment", taken.take("kestra.environment.name"))
    _put_if(found, "encryption_key", taken.take("kestra.encryption.secretKey"))
    _put_if(found, "storage", taken.take("kestra.storage.local.basePath"))
    _put_if(found, "recursive_rendering", taken.take("kestra.variables.recursiveRendering"))
    prefix = taken.take("kestra.variables.envVarsPrefix")
    if prefix is not None:
        found["env_prefixes"] = (str(prefix),)
    workspaces = taken.take("kestra.tasks.tmpDir.path")
    if workspaces:
        found["runner"] = {"workspaces": workspaces}
    auth = taken.tree("kestra.server.basicAuth")
    if auth.get("username") and auth.get("password") and auth.get("enabled") is not False:
        found["basic_auth"] = {"username": auth["username"], "password": str(auth["password"])}
    for ignored in ("kestra.repository", "kestra.queue"):
        taken.tree(ignored)
    taken.take("kestra.storage.type")
    notes.extend(f"{where}: `{path}` is not used by Penstock" for path in taken.left())
    return found


def _defaults_of(kestra: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for part in ("tasks", "plugins"):
        listed = (kestra.get(part) or {}).get("defaults")
        if isinstance(listed, list):
            found.extend(listed)
    return found


def _jdbc(taken: _Taken) -> str | None:
    for name in ("postgres", "postgresql", "default"):
        source = taken.tree(f"datasources.{name}")
        address = str(source.get("url") or "")
        if address.startswith("jdbc:postgresql:"):
            parts = urlsplit(address.removeprefix("jdbc:"))
            user = quote(str(source.get("username") or ""), safe="")
            password = quote(str(source.get("password") or ""), safe="")
            login = f"{user}:{password}@" if user else ""
            query = f"?{parts.query}" if parts.query else ""
            return f"postgresql://{login}{parts.netloc}{parts.path}{query}"
    taken.tree("datasources")
    return None


def _put_if(found: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        found[name] = value


def _put(data: MutableMapping[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        data = data.setdefault(name, {})
    data[path[-1]] = value


def _merge(data: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(data.get(name), dict):
            _merge(data[name], value)
        else:
            data[name] = dict(value) if isinstance(value, Mapping) else value


def _checked(data: Mapping[str, Any], faults: list[str]) -> Settings:
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        for detail in error.errors():
            name = ".".join(str(part) for part in detail["loc"])
            shown = (
                ""
                if name in {"basic_auth.password", "encryption_key"}
                else f", not {detail['input']!r}"
            )
            message = detail["msg"].removeprefix("Value error, ")
            faults.append(f"setting `{name}`: {message[:1].lower() + message[1:]}{shown}")
        raise BadSettings(faults) from None
    if faults:
        raise BadSettings(faults)
    if settings.host not in LOOPBACK and settings.basic_auth is None:
        raise BadSettings(
            [
                f"{settings.host} can be reached by others: set `basicAuth` (username and password, or "
                "PENSTOCK_BASIC_AUTH=user:password), or listen on 127.0.0.1"
            ]
        )
    return settings


def _secrets(given: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    secrets: dict[str, str] = {}
    for name, encoded in sorted(given.items()):
        if not name.startswith("SECRET_") or name == "SECRET_":
            continue
        value = decoded_secret(encoded)
        if value is None:
            notes.append(
                f"Could not decode secret '{name}', make sure it is Base64-encoded: "
                "`penstock secrets encode` does that"
            )
            continue
        if not value:
            notes.append(f"secret '{name}' is empty")
        secrets[name.removeprefix("SECRET_").upper()] = value
    return secrets


def decoded_secret(encoded: str) -> str | None:
    """The text behind standard or URL base64, with or without padding; None when it is neither."""
    text = "".join(encoded.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        return raw.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None


def _envs(given: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for prefix in prefixes:
        for name, value in given.items():
            if name.startswith(prefix) and name != "KESTRA_CONFIGURATION":
                found[name.removeprefix(prefix).lower()] = value
    return found
