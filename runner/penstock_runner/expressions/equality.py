"""When two values are equal, and which values a list holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta

from penstock_runner.expressions.errors import RenderLimit
from penstock_runner.expressions.limits import ITEMS
from penstock_runner.expressions.numbers import is_number


def equals(left: object, right: object) -> bool:
    """`==`: numbers by value, otherwise without conversion; deep for maps and lists."""
    if is_number(left) and is_number(right):
        return bool(left == right) or float(left) == float(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(equals, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equals(left[key], right[key]) for key in left)
    return bool(left == right)


class Members:
    """The items of a list by value: scalars are found by their hash, others one by one."""

    __slots__ = ("_compared", "_others", "_scalars")

    def __init__(self, items: Iterable[object] = ()) -> None:
        self._scalars: set[tuple[bool, object]] = set()
        self._others: list[object] = []
        self._compared = 0
        for item in items:
            self.add(item)

    def add(self, item: object) -> None:
        """Hold one more item."""
        if _is_scalar(item):
            self._scalars.add((isinstance(item, bool), item))
        else:
            self._others.append(item)

    def __contains__(self, wanted: object) -> bool:
        if _is_scalar(wanted):
            return (isinstance(wanted, bool), wanted) in self._scalars
        self._compared += len(self._others)
        if self._compared > ITEMS:
            raise RenderLimit(f"More than {ITEMS:,} maps and lists would have to be compared")
        return any(equals(item, wanted) for item in self._others)


def _is_scalar(value: object) -> bool:
    return (
        value is None
        or isinstance(value, str | date | time | timedelta)
        or (is_number(value) or isinstance(value, bool))
    )
