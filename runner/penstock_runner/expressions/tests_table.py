"""The tests after `is`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.equality import equals
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.numbers import is_whole

TESTS: Table = {}


@offer(TESTS, "null", aliases=("none",), takes_null=True)
def null(value: object) -> bool:
    """Null, but not undefined."""
    return value is None


@offer(TESTS, "empty", takes_null=True)
def empty(value: object) -> bool:
    """Null, blank text, an empty list or map."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return not value
    return value is None


@offer(TESTS, "even", takes_null=True)
def even(value: object) -> bool:
    """A whole number without remainder by two."""
    return _whole(value, "even") % 2 == 0


@offer(TESTS, "odd", takes_null=True)
def odd(value: object) -> bool:
    """A whole number that is not even."""
    return _whole(value, "odd") % 2 == 1


@offer(TESTS, "iterable", takes_null=True)
def iterable(value: object) -> bool:
    """Lists, not maps."""
    return isinstance(value, (list, tuple, set, frozenset))


@offer(TESTS, "map", takes_null=True)
def is_map(value: object) -> bool:
    """Maps."""
    return isinstance(value, Mapping)


@offer(TESTS, "string", takes_null=True)
def string(value: object) -> bool:
    """Texts."""
    return isinstance(value, str)


@offer(TESTS, "json", takes_null=True)
def is_json(value: object) -> bool:
    """A text that is JSON."""
    if not isinstance(value, str):
        return False
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


@offer(TESTS, "equalTo", "value", takes_null=True, required=1)
def equal_to(value: object, other: object) -> bool:
    """As `==`."""
    return equals(value, other)


def _whole(value: object, test: str) -> int:
    if value is None or not is_whole(value):
        raise ExpressionFailed(f"The test '{test}' takes a whole number")
    return value
