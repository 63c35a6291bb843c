"""Refusing a value: the words of it, and the bounds that many types have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class BadValue(ValueError):
    """The value is not what its type asks for; the message is the reason."""


def shown(value: object) -> str:
    """A value as messages show it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={shown(item)}" for key, item in value.items()) + "}"
    return str(value)


def expected(type_name: str, value: object, cause: object = None) -> BadValue:
    """What is raised when a value cannot be read as its type."""
    text = f"Expected `{type_name}` but received `{shown(value)}`"
    if cause is not None:
        text += f" with errors:\n```\n{cause}\n```"
    return BadValue(text)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How the bounds of a type are called, read and shown."""

    low: str
    high: str
    more: str
    less: str
    read: Callable[[object], Any]
    say: Callable[[object], str] = shown

    def hold(self, value: Any, options: Mapping[str, object]) -> None:
        """Refuse a value beyond its bounds, which belong to what is allowed."""
        low, high = options.get(self.low), options.get(self.high)
        if low is not None and value < self.read(low):
            raise BadValue(f"{self.more} `{self.say(low)}`")
        if high is not None and value > self.read(high):
            raise BadValue(f"{self.less} `{self.say(high)}`")
