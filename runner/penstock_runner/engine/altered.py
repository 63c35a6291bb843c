"""A task run with some fields changed: what `dataclasses.replace` does, in a third of its time.

Most of the engine's work is making one value out of another, several times for each task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter

from penstock_runner.engine.state import TaskRun

_NAMES = tuple(field.name for field in fields(TaskRun))
_values = attrgetter(*_NAMES)
_SETTERS: Mapping[str, Callable[[TaskRun, object], None]] = {
    name: TaskRun.__dict__[name].__set__ for name in _NAMES
}
_IN_ORDER = tuple(_SETTERS.values())


def altered(run: TaskRun, changes: Mapping[str, object]) -> TaskRun:
    """The task run with these fields instead of its own."""
    made = object.__new__(TaskRun)
    for setter, value in zip(_IN_ORDER, _values(run), strict=True):
        setter(made, value)
    for name, value in changes.items():
        _SETTERS[name](made, value)
    return made
