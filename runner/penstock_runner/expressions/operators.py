"""What the operators do with two values: arithmetic, comparison, `contains`, `..`, truth."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from penstock_runner.expressions import limits
from penstock_runner.expressions.equality import Members, equals
from penstock_runner.expressions.errors import ExpressionFailed, RenderLimit
from penstock_runner.expressions.kinds import kind, type_name
from penstock_runner.expressions.numbers import (
    Float32,
    Number,
    is_number,
    is_whole,
    within_long,
)
from penstock_runner.expressions.text import plain

Binary = Callable[[object, object], object]


def _invalid(name: str) -> ExpressionFailed:
    return ExpressionFailed(f"invalid operands for mathematical operation [{name}]")


def add(left: object, right: object) -> object:
    """A sum; with a text on either side the two texts joined; a list with an item or a list."""
    if is_number(left) and is_number(right):
        return _arithmetic(left, right, operator.add, "addition")
    if isinstance(left, str) or isinstance(right, str):
        return joined([plain(left), plain(right)])
    if isinstance(left, (list, tuple)):
        more = list(right) if isinstance(right, (list, tuple)) else [right]
        limits.check_items(len(left) + len(more))
        return [*left, *more]
    raise _invalid("ADD")


def subtract(left: object, right: object) -> object:
    """A difference; or a list without the items of another, or without the first such item."""
    if is_number(left) and is_number(right):
        return _arithmetic(left, right, operator.sub, "subtraction")
    if isinstance(left, (list, tuple)):
        if isinstance(right, (list, tuple)):
            unwanted = Members(right)
            return [item for item in left if item not in unwanted]
        kept = list(left)
        index = next((i for i, item in enumerate(kept) if equals(item, right)), None)
        if index is not None:
            del kept[index]
        return kept
    raise _invalid("SUBTRACT")


def multiply(left: object, right: object) -> object:
    """A product."""
    if is_number(left) and is_number(right):
        return _arithmetic(left, right, operator.mul, "multiplication")
    raise _invalid("MULTIPLY")


def divide(left: object, right: object) -> object:
    """A quotient; of whole numbers the whole part, towards zero."""
    if not (is_number(left) and is_number(right)):
        raise _invalid("DIVIDE")
    if is_whole(left) and is_whole(right):
        if right == 0:
            raise ExpressionFailed("division by zero")
        quotient = abs(left) // abs(right)
        return within_long(quotient if (left < 0) == (right < 0) else -quotient, "division")
    return _arithmetic(left, right, _float_divide, "division")


def modulus(left: object, right: object) -> object:
    """The remainder, with the sign of the left side."""
    if not (is_number(left) and is_number(right)):
        raise _invalid("MODULUS")
    if is_whole(left) and is_whole(right):
        if right == 0:
            raise ExpressionFailed("division by zero")
        remainder = abs(left) % abs(right)
        return -remainder if left < 0 else remainder
    return _arithmetic(left, right, _float_modulus, "modulus")


def _float_divide(left: float, right: float) -> float:
    if right:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _float_modulus(left: float, right: float) -> float:
    if right == 0 or math.isinf(left):
        return math.nan
    return math.fmod(left, right)


def _arithmetic(
    left: Number, right: Number, compute: Callable[..., float], doing: str
) -> int | float:
    if isinstance(left, int) and isinstance(right, int):
        return within_long(int(compute(left, right)), doing)
    try:
        result = compute(float(left), float(right))
    except OverflowError:
        raise ExpressionFailed(f"Could not perform {doing}: a number is too large") from None
    single = all(isinstance(n, (Float32, int)) for n in (left, right))
    return Float32(result) if single else float(result)


def negative(value: object) -> object:
    """`-x`."""
    if not is_number(value):
        raise ExpressionFailed("Only numbers can have a minus sign")
    return within_long(-value, "subtraction") if isinstance(value, int) else type(value)(-value)


def positive(value: object) -> object:
    """`+x`."""
    if not is_number(value):
        raise ExpressionFailed("Only numbers can have a plus sign")
    return value


def joined(parts: list[str]) -> str:
    """Texts one after the other, within the limit."""
    limits.check_text(sum(map(len, parts)))
    return "".join(parts)


def not_equals(left: object, right: object) -> bool:
    """`!=`."""
    return not equals(left, right)


def compare(test: Callable[[Any, Any], Any]) -> Callable[[object, object], bool]:
    """`>`, `<`, `>=` or `<=`: numbers, texts and dates; false when a side is null."""

    def holds(left: object, right: object) -> bool:
        if is_number(left) and is_number(right):
            return bool(test(left, right))
        if left is None or right is None:
            return False
        if isinstance(left, str) and isinstance(right, str):
            return bool(test(left, right))
        if isinstance(left, timedelta) and isinstance(right, timedelta):
            return bool(test(left, right))
        if isinstance(left, date) or isinstance(right, date):
            return bool(test(_moment(left), _moment(right)))
        raise ExpressionFailed("invalid operands for mathematical comparison")

    return holds


def _moment(value: object) -> datetime:
    if isinstance(value, (str, date)):
        from penstock_runner.expressions.dates.moments import to_moment

        return to_moment(value, UTC)
    raise ExpressionFailed("invalid operands for mathematical comparison")


def contains(left: object, right: object) -> bool:
    """A list has an item or all items of a list, a map a key, a text the right side's text."""
    if left is None:
        return False
    if isinstance(left, str):
        return plain(right) in left
    if isinstance(left, Mapping):
        return isinstance(right, (str, int, float, bool)) and right in left
    if isinstance(left, (list, tuple, set, frozenset)):
        if not isinstance(right, (list, tuple)):
            return any(equals(item, right) for item in left)
        members = Members(left)
        return all(item in members for item in right)
    raise ExpressionFailed(
        "Contains operator can only be used on Collections, Maps and arrays. "
        f"Actual type was: {type_name(left)}"
    )


def inside(left: object, right: object) -> bool:
    """`left in right`."""
    return contains(right, left)


def span(left: object, right: object, step: object = 1) -> list[object]:
    """`a..b`, both included: whole numbers or single characters."""
    if not is_whole(step) or step == 0:
        raise ExpressionFailed("The increment of a range must be a whole number, not 0")
    if is_whole(left) and is_whole(right):
        numbers = range(left, right + (1 if step > 0 else -1), step)
        if len(numbers) > limits.RANGE:
            raise RenderLimit(f"The range has more than {limits.RANGE:,} items")
        return list(numbers)
    if isinstance(left, str) and isinstance(right, str) and len(left) == len(right) == 1:
        codes = span(ord(left), ord(right), step)
        return [chr(code) for code in codes if isinstance(code, int)]
    raise ExpressionFailed(
        f"A range needs whole numbers or single characters, not a {kind(left)} and a {kind(right)}"
    )


def truth(value: object) -> bool:
    """Booleans, numbers (0 is false) and texts (empty is false) as conditions; not null."""
    if isinstance(value, bool):
        return value
    if is_number(value):
        return value != 0
    if isinstance(value, str):
        return bool(value)
    raise ExpressionFailed(
        f"A condition must be a boolean, a number or a text, not a {kind(value)}"
    )


def sum_of_prints(left: object, right: object) -> object:
    """Two numbers printed one after the other in typed rendering."""
    if is_number(left) and is_number(right):
        return add(left, right)
    raise ExpressionFailed(
        f"Tried to add {type_name(right)} to {type_name(left)}: join values with `~` to get a text"
    )
