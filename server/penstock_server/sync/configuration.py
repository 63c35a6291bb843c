"""The Git section of the configuration as typed settings, all faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from penstock_server.config import BadSettings
from penstock_server.sync.settings import GitSettings, SourceSettings


def git_settings(
    section: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> GitSettings:
    """The sources with their defaults put in; raises `BadSettings`.

    Of the environment only the proxies are taken.
    """
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
                sources=tuple(sources),
                file_roots=tuple(section.get("file_roots") or ()),
                allow_private=section.get("allow_private"),
                hosts=frozenset(str(host).lower() for host in section.get("hosts") or ()),
                proxies=_proxies(environment or {}),
            )
        except ValidationError as error:
            faults.extend(str(detail["msg"]) for detail in error.errors(include_input=False))
    raise BadSettings(faults)


def _proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Scheme -> proxy, and under `no` the hosts that need none, as most programs read them."""
    lower = {name.lower(): value for name, value in environment.items() if name.isupper()}
    lower |= {name: value for name, value in environment.items() if name.islower()}
    found = {kind: lower.get(f"{kind}_proxy", "") for kind in ("http", "https", "no")}
    return {kind: value for kind, value in found.items() if value}


def _snake(values: Mapping[str, Any]) -> dict[str, Any]:
    return {to_snake(str(name)): value for name, value in values.items()}
