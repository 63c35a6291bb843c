"""Secrets and variables out of the environment, and the files that hold them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from penstock_server.config.faults import BadSettings


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


def secrets_of(given: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """The secrets of the environment; what cannot be read is noted, never shown."""
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


def envs_of(given: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """The variables that flows see as `envs`."""
    found: dict[str, str] = {}
    for prefix in prefixes:
        for name, value in given.items():
            if name.startswith(prefix) and name != "KESTRA_CONFIGURATION":
                found[name.removeprefix(prefix).lower()] = value
    return found
