"""Filters of numbers."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation

from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.filters.arguments import text, text_argument, whole_argument
from penstock_runner.expressions.kinds import type_name
from penstock_runner.expressions.numbers import Float32, Number, is_number, number_text
from penstock_runner.expressions.operators import negative

NUMBERS: Table = {}
_DIGITS = 400
_INT = re.compile(r"([+-]?)(0[xX]|#|0(?=[0-7]))?([0-9a-fA-F]+)[lL]?")


def _number(value: object, name: str) -> Number:
    if not is_number(value):
        raise ExpressionFailed(
            f"'{name}' filter can only be applied to Number. Actual type was: {type_name(value)}"
        )
    return value


@offer(NUMBERS, "abs", takes_null=True)
def absolute(value: object) -> Number:
    """The number without its sign."""
    number = _number(value, "abs")
    if number >= 0:
        return number
    opposite = negative(number)
    return opposite if is_number(opposite) else number


@offer(NUMBERS, "round", "precision")
def rounded(value: object, precision: object) -> Number:
    """Rounded half up to a number of decimals; without one, to a whole number."""
    number = _number(value, "round")
    if isinstance(number, int):
        return number
    if isinstance(number, float) and not math.isfinite(number):
        return number
    places = 0 if precision is None else whole_argument(precision, "round", "precision")
    if not -30 <= places <= 30:
        raise ExpressionFailed("The precision of 'round' must be within 30 digits")
    exact = Decimal(number_text(number))
    if exact.adjusted() + places > 27:
        return number
    result = exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    if precision is None or places <= 0:
        return int(result)
    return result if isinstance(number, Decimal) else float(result)


@offer(NUMBERS, "int", aliases=("toInt",))
def whole(value: object) -> int:
    """The whole part of a number or of a text that holds one."""
    number = value if is_number(value) else parse_number(text(value, "int"), None)
    try:
        return int(number)
    except (ValueError, OverflowError):
        raise ExpressionFailed(f"{number_text(number)} has no whole part") from None


@offer(NUMBERS, "number", "type")
def number(value: object, kind: object) -> Number:
    """The number in a text, as the type asked for or the smallest that fits."""
    content = text(value, "number")
    name = None if kind is None else text_argument(kind, "number", "type")
    return parse_number(content, name)


def parse_number(content: str, kind: str | None) -> Number:
    """The number in a text."""
    stripped = content.strip()
    if not stripped or len(stripped) > _DIGITS:
        raise ExpressionFailed(f"{content[:50]!r} is not a number")
    try:
        match kind:
            case "INT" | "LONG" | "BIGINTEGER":
                return _bounded(_whole(stripped), kind, content)
            case "FLOAT":
                return Float32(_decimal(stripped))
            case "DOUBLE":
                return float(_decimal(stripped))
            case "BIGDECIMAL":
                return _decimal(stripped)
            case _:
                return _smallest(stripped)
    except (ValueError, InvalidOperation, OverflowError):
        raise ExpressionFailed(f"{content[:50]!r} is not a number") from None


def _whole(content: str) -> int:
    found = _INT.fullmatch(content)
    if found is None:
        raise ValueError(content)
    base = {"0x": 16, "0X": 16, "#": 16, "0": 8}.get(found[2] or "", 10)
    value = int(found[3], base)
    return -value if found[1] == "-" else value


def _bounded(value: int, kind: str, content: str) -> int:
    bits = {"INT": 31, "LONG": 63}.get(kind)
    if bits is not None and not -(2**bits) <= value < 2**bits:
        raise ExpressionFailed(f"{content[:50]!r} does not fit the type {kind}")
    return value


def _decimal(content: str) -> Decimal:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?[fFdD]?", content, re.ASCII):
        raise ValueError(content)
    return Decimal(content.rstrip("fFdD"))


def _smallest(content: str) -> Number:
    if _INT.fullmatch(content) and not re.search(r"[.eE]", content.lstrip("+-0xX#")):
        return _whole(content)
    if content.lower().lstrip("+-").startswith(("0x", "#")):
        return _whole(content)
    exact = _decimal(content)
    single = Float32(exact)
    if math.isfinite(single) and Decimal(number_text(single)) == exact:
        return single
    double = float(exact)
    return double if math.isfinite(double) and Decimal(repr(double)) == exact else exact


@offer(NUMBERS, "numberFormat", "format")
def number_format(value: object, pattern: object) -> str:
    """The number in a pattern such as `#,##0.00`, in English style."""
    from babel.numbers import parse_pattern

    exact = Decimal(number_text(_number(value, "numberFormat")))
    if exact.adjusted() > 60:
        raise ExpressionFailed("The number is too large for 'numberFormat'")
    template = "#,##0.###" if pattern is None else text_argument(pattern, "numberFormat", "format")
    if len(template) > 100:
        raise ExpressionFailed("The format of 'numberFormat' is too long")
    compiled = parse_pattern(template)
    decimals = compiled.frac_prec[1] + compiled.scale
    rounded_value = exact.quantize(Decimal(1).scaleb(-min(decimals, 30)), ROUND_HALF_EVEN)
    return str(compiled.apply(rounded_value, "en_US"))
