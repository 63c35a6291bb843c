"""Secrets and variables out of the environment, and the files that hold them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from penstock_runner.jobs.masking import SHORTEST
from penstock_runner.jobs.secrets import Scope, Secrets
from penstock_server.config.faults import BadSettings
from penstock_server.config.section import Section

PREFIX = "SECRET_"
SHORT = 4
FILE_PREFIX = "SECRETFILE_"


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


class ScopeSection(Section):
    """Secrets that only some may read: globs of names and namespaces, flows of protected refs."""

    names: str = Field(min_length=1)
    namespaces: tuple[str, ...] = Field(default=("*",), min_length=1)
    protected: bool = False

    @model_validator(mode="after")
    def _keeps_from_somebody(self) -> Self:
        if "namespaces" not in self.model_fields_set and not self.protected:
            raise ValueError("name the `namespaces` that may read, or say `protected: true`")
        return self


class SecretSection(Section):
    """How values of the environment are written, where files are, who may read what."""

    encoding: Literal["base64", "plain"] = "base64"
    dir: Path | None = None
    scopes: tuple[ScopeSection, ...] = ()


def secrets_of(given: Mapping[str, str], section: SecretSection, notes: list[str]) -> Secrets:
    """The secrets of environment and files; what cannot be used is noted, never shown."""
    values: dict[str, str] = {}
    files: dict[str, Path] = {}
    for name, text in sorted(given.items()):
        if name.startswith(FILE_PREFIX) and name != FILE_PREFIX:
            files[name.removeprefix(FILE_PREFIX).upper()] = Path(text)
        elif name.startswith(PREFIX) and name != PREFIX:
            value = text if section.encoding == "plain" else decoded_secret(text)
            if value is None:
                notes.append(
                    f"Could not decode secret '{name}', make sure it is Base64-encoded: "
                    "`penstock secrets encode` does that"
                )
                continue
            values[name.removeprefix(PREFIX).upper()] = value
    scopes = [
        Scope(names=one.names, namespaces=one.namespaces, protected=one.protected)
        for one in section.scopes
    ]
    secrets = Secrets(values, files=files, folder=section.dir, scopes=scopes)
    if section.dir is not None and not section.dir.is_dir():
        notes.append(f"secret.dir: there is no folder {section.dir}")
    for name in secrets:
        fault = fault_of(secrets, name)
        if fault is not None:
            notes.append(f"secret '{name}' {fault}")
    return secrets


def fault_of(secrets: Secrets, name: str) -> str | None:
    """What is wrong with a secret, None when nothing is."""
    value = secrets.get(name)
    if value is None:
        return f"cannot be read from {secrets.source(name)}: it must be UTF-8 text of 1 MiB at most"
    if not value.strip():
        return "is empty"
    if len(value.strip()) < SHORTEST:
        return f"has fewer than {SHORTEST} characters and is not masked in logs"
    if len(value.strip()) < SHORT:
        return f"has {SHORT - 1} characters: masking it will hide other words, too"
    if name in secrets.doubled():
        return f"is given twice; what is used comes from {secrets.source(name)}"
    return None


def decoded_secret(encoded: str) -> str | None:
    """The text behind standard or URL base64, with or without padding; None when it is neither."""
    text = "".join(encoded.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        return raw.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None


def envs_of(given: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """The variables that flows see as `envs`."""
    found: dict[str, str] = {}
    for prefix in prefixes:
        for name, value in given.items():
            if name.startswith(prefix) and name != "KESTRA_CONFIGURATION":
                found[name.removeprefix(prefix).lower()] = value
    return found
