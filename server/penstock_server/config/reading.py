"""Reading the settings: from where, in which order, with all faults at once.

The later wins: `penstock.yaml` in the working directory or the home, `PENSTOCK_CONFIGURATION` (or,
when that is not set, `KESTRA_CONFIGURATION`), the `PENSTOCK_*` variables, the options of the
command. The process environment is read here and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from penstock_runner.jobs.secrets import Secrets
from penstock_server.config.faults import BadSettings
from penstock_server.config.kestra import from_kestra
from penstock_server.config.secrets import FILE_PREFIX, PREFIX, envs_of, secrets_of
from penstock_server.config.section import Section
from penstock_server.config.settings import LOOPBACK, Settings

VARIABLES = {
    "PENSTOCK_HOST": ("host",),
    "PENSTOCK_PORT": ("port",),
    "PENSTOCK_HOME": ("home",),
    "PENSTOCK_DATABASE_URL": ("database_url",),
    "PENSTOCK_DURABILITY": ("durability",),
    "PENSTOCK_WEB": ("web",),
    "PENSTOCK_SLOTS": ("runner", "slots"),
    "PENSTOCK_RUNNER_USER": ("runner", "user"),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was read: the settings, the secrets, and what a person should hear at start.

    `again` reads the same places once more.
    """

    settings: Settings
    secrets: Secrets = field(repr=False, default_factory=lambda: Secrets({}))
    envs: Mapping[str, str] = field(repr=False, default_factory=dict)
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)
    notes: tuple[str, ...] = ()
    again: Callable[[], Told] | None = field(repr=False, default=None)


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
    ours = (name for name in sorted(given) if name.startswith("PENSTOCK_"))
    unknown = (name for name in ours if name not in VARIABLES and name not in READ_ELSEWHERE)
    notes.extend(f"{name} is no setting of Penstock and does nothing" for name in unknown)
    for name, value in (options or {}).items():
        if value is not None:
            _put(data, tuple(name.split(".")), value)
    settings = _checked(data, faults)
    secrets = secrets_of(given, settings.secret, notes)
    envs = envs_of(given, settings.env_prefixes)
    return Told(
        settings=settings,
        secrets=secrets,
        envs=envs,
        environment={k: v for k, v in given.items() if not k.startswith((PREFIX, FILE_PREFIX))},
        notes=tuple(notes),
        again=lambda: read_settings(options, environment=given, folder=folder),
    )


def _texts(
    given: Mapping[str, str], options: Mapping[str, Any], folder: Path
) -> Iterator[tuple[str, str]]:
    asked = given.get("PENSTOCK_CONFIG")
    home = Path(options.get("home") or given.get("PENSTOCK_HOME") or ".penstock")
    for path in [Path(asked)] if asked else [folder / "penstock.yaml", home / "penstock.yaml"]:
        if path.is_file():
            yield str(path), _text_of(path)
        elif asked:
            raise BadSettings([f"PENSTOCK_CONFIG names {path}, which does not exist"])
    for name in ("PENSTOCK_CONFIGURATION", "KESTRA_CONFIGURATION"):
        if given.get(name):
            yield name, given[name]
            return


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise BadSettings([f"{path} cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise BadSettings([f"{path} is not UTF-8 text"]) from None


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
        found.update(from_kestra(foreign, where, notes))
    known = _spellings(Settings)
    for name, value in {**data, **own}.items():
        if str(name) in known:
            found[known[str(name)]] = value
        elif foreign:
            notes.append(f"{where}: `{name}` is not used by Penstock")
        else:
            faults.append(
                f"{where}: `{name}` is no setting; known are "
                + ", ".join(sorted(set(known.values())))
            )
    return found


def _spellings(section: type[Section]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name in section.model_fields:
        names[name] = name
        names[to_camel(name)] = name
        names[name.replace("_", "-")] = name
    return names


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
                f"{settings.host} can be reached by others: set `basicAuth` (username and "
                "password, or PENSTOCK_BASIC_AUTH=user:password), or listen on 127.0.0.1"
            ]
        )
    return settings
