"""The Git section of the configuration as typed settings, all faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from penstock_server.config import BadSettings
from penstock_server.sync.settings import GitSettings, SourceSettings


def git_settings(section: Mapping[str, Any]) -> GitSettings:
    """The sources with their defaults put in; raises `BadSettings`."""
    defaults = _snake(section.get("defaults") or {})
    faults: list[str] = []
    sources: list[SourceSettings] = []
    for number, given in enumerate(section.get("sources") or ()):
        name = given.get("id") or number
        try:
            sources.append(SourceSettings.model_validate({**defaults, **_snake(given)}))
        except ValidationError as error:
            for detail in error.errors(include_input=False):
                place = ".".join(str(part) for part in detail["loc"])
                message = detail["msg"].removeprefix("Value error, ")
                faults.append(f"git source `{name}`: {place}: {message[:1].lower()}{message[1:]}")
    if not faults:
        try:
            return GitSettings(
                sources=tuple(sources), file_roots=tuple(section.get("file_roots") or ())
            )
        except ValidationError as error:
            faults.extend(str(detail["msg"]) for detail in error.errors(include_input=False))
    raise BadSettings(faults)


def _snake(values: Mapping[str, Any]) -> dict[str, Any]:
    return {to_snake(str(name)): value for name, value in values.items()}
