"""Checks of what filters and functions are given."""

from __future__ import annotations

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.kinds import kind, type_name
from penstock_runner.expressions.numbers import is_whole


def text(value: object, name: str) -> str:
    """The value, which must be a text."""
    if not isinstance(value, str):
        raise ExpressionFailed(
            f"'{name}' filter can only be applied to String. Actual type was: {type_name(value)}"
        )
    return value


def text_argument(value: object, name: str, argument: str) -> str:
    """The argument, which must be a text."""
    if not isinstance(value, str):
        raise ExpressionFailed(
            f"The argument '{argument}' of '{name}' must be a text, not a {kind(value)}"
        )
    return value


def whole_argument(value: object, name: str, argument: str) -> int:
    """The argument, which must be a whole number."""
    if not is_whole(value):
        raise ExpressionFailed(
            f"The argument '{argument}' of '{name}' must be a whole number, not a {kind(value)}"
        )
    return value
