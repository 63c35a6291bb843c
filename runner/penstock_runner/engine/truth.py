"""What counts as true, and which values need no rendering to be known."""

from __future__ import annotations

from collections.abc import Mapping

FALSE_TEXTS = frozenset({"", "false", "0", "-0"})


def truthy(value: object) -> bool:
    """The truth rule of the language: null, ``, `false`, `0` and `-0` are false, untrimmed."""
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    return str(value) not in FALSE_TEXTS


def constant(value: object) -> bool:
    """Whether the value holds no expression, so that it is its own rendering."""
    if isinstance(value, str):
        return "{" not in value
    if isinstance(value, Mapping):
        return all(constant(key) and constant(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(constant(item) for item in value)
    return True
