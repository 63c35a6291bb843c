"""Numbers as the language prints and computes them (whole numbers are 64-bit)."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import TypeGuard

from penstock_runner.expressions.errors import ExpressionFailed

Number = int | float | Decimal
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1


class Float32(float):
    """A single-precision number: kept widened, printed with the fewest digits that name it."""

    __slots__ = ()

    def __new__(cls, value: float | Decimal | str) -> Float32:
        wide = float(value)
        try:
            narrow: float = struct.unpack("<f", struct.pack("<f", wide))[0]
        except OverflowError:
            narrow = math.copysign(math.inf, wide)
        return super().__new__(cls, narrow)


def is_number(value: object) -> TypeGuard[Number]:
    """Numbers, but not booleans."""
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Whole numbers, but not booleans."""
    return isinstance(value, int) and not isinstance(value, bool)


def number_text(value: Number) -> str:
    """A number as text: `1`, `1.0`, `1.0E10`; decimals plain."""
    if isinstance(value, int):
        try:
            return str(value)
        except ValueError:
            raise ExpressionFailed("The number has too many digits to be printed") from None
    if isinstance(value, Decimal):
        return f"{value:f}"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return _float_text(value)


def _float_text(value: float) -> str:
    digits, exponent = _shortest(value)
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value == 0:
        return f"{sign}0.0"
    if -3 <= exponent < 7:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
        whole = digits[: exponent + 1].ljust(exponent + 1, "0")
        return f"{sign}{whole}.{digits[exponent + 1 :] or '0'}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def _shortest(value: float) -> tuple[str, int]:
    """Significant digits and decimal exponent of the shortest text that reads back the same."""
    if isinstance(value, Float32):
        text = next(
            text for p in range(9) if Float32(text := f"{float(value):.{p}e}") == value or p == 8
        )
    else:
        _, plain, power = Decimal(repr(float(value))).as_tuple()
        text_digits = "".join(map(str, plain))
        exponent = len(text_digits) - 1 + int(power)
        return text_digits.rstrip("0") or "0", exponent
    mantissa, _, exponent_text = text.partition("e")
    digits = mantissa.lstrip("-").replace(".", "").rstrip("0") or "0"
    return digits, int(exponent_text)


def within_long(value: int, doing: str) -> int:
    """The value, if it is a 64-bit one."""
    if LONG_MIN <= value <= LONG_MAX:
        return value
    raise ExpressionFailed(f"Could not perform {doing}: the result does not fit 64 bits")
