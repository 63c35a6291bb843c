"""Plugin defaults: values that tasks, triggers and what is nested in them start from.

Works on the plain data, because a default matches by the text of a type, wherever a map has one.
Own values win over defaults, forced defaults win over own values, the first listed wins among
equals, lists are joined. Nothing is changed in place; data that no default touches is returned as
it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from penstock_runner.flow.model import PluginDefault
from penstock_runner.flow.types import canonical

# A default as a value, as part of a flow, or as plain data of a configuration.
Given: TypeAlias = "Default | PluginDefault | Mapping[str, object]"

_SKIPPED = ("pluginDefaults", "taskDefaults")


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """Values for every object whose type starts with `type`."""

    type: str
    values: Mapping[str, object]
    forced: bool = False


def read_defaults(data: Mapping[str, object]) -> tuple[Default, ...]:
    """The well-formed defaults of a flow's data or of a configuration."""
    listed = [data.get(name) for name in _SKIPPED]
    items = [item for one in listed if isinstance(one, list) for item in one]
    return tuple(found for item in items if (found := _read(item)) is not None)


def _read(given: object) -> Default | None:
    """A default in any of its forms; None for what is malformed, which `check` tells."""
    if isinstance(given, Default):
        return given
    if isinstance(given, PluginDefault):
        return Default(type=given.type, values=given.values, forced=given.forced)
    if not isinstance(given, Mapping):
        return None
    type_, values = given.get("type"), given.get("values")
    if not isinstance(type_, str) or not type_ or not isinstance(values, Mapping):
        return None
    return Default(type=type_, values=values, forced=given.get("forced") is True)


def apply_defaults(
    data: Mapping[str, object],
    flow_defaults: Sequence[Given],
    global_defaults: Sequence[Given] = (),
) -> Mapping[str, object]:
    """The data with all defaults put in; the same object when there are none."""
    given = [*flow_defaults, *global_defaults]
    listed = [found for one in given if (found := _read(one)) is not None]
    if not listed:
        return data
    # An old name counts for the present one too, after everything that was written so.
    renamed = [
        Default(type=canonical(d.type), values=d.values, forced=d.forced)
        for d in listed
        if canonical(d.type) != d.type
    ]
    every = [*listed, *renamed]
    put = _Put([d for d in every if not d.forced], [d for d in every if d.forced])
    return {key: value if key in _SKIPPED else put.into(value) for key, value in data.items()}


class _Put:
    def __init__(self, plain: Sequence[Default], forced: Sequence[Default]) -> None:
        self._plain = plain
        self._forced = forced

    def into(self, value: object) -> object:
        """The value with defaults at every depth, children before their parent."""
        if isinstance(value, list):
            return [self.into(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        done: dict[str, object] = {key: self.into(item) for key, item in value.items()}
        type_ = value.get("type")
        if not isinstance(type_, str):
            return done
        names = {type_, canonical(type_)}
        for default in self._plain:
            if _matches(default, names):
                _fill(done, default.values)
        for default in reversed(self._forced):
            if _matches(default, names):
                done = _merged(done, default.values)
        return done


def _fill(own: dict[str, object], values: Mapping[str, object]) -> None:
    """Put in what the object does not say itself; maps and lists are joined with its own."""
    for key, value in values.items():
        known = own.get(key)
        if known is None:
            own[key] = value
        elif isinstance(known, Mapping) and isinstance(value, Mapping):
            own[key] = _merged(value, known)
        elif isinstance(known, list) and isinstance(value, list):
            own[key] = [*value, *known]


def _matches(default: Default, names: set[str]) -> bool:
    return any(name.startswith(default.type) for name in names)


def _merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Both maps as one; `over` wins, an explicit null of it does not hide, lists are joined."""
    result = dict(base)
    for key, value in over.items():
        known = result.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            result[key] = _merged(known, value)
        elif isinstance(value, list) and isinstance(known, list):
            result[key] = [*known, *value]
        elif value is not None or key not in result:
            result[key] = value
    return result
