"""What a value is: in the words of the language, and as the class names that Java flows expect."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

from penstock_runner.expressions.numbers import Float32


def kind(value: object) -> str:
    """What a value is, in the words of the language."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "map"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "list"
    if isinstance(value, timedelta):
        return "duration"
    if isinstance(value, date):
        return "date"
    return "number"


def type_name(value: object) -> str:
    """The class of a value, as flows written for Java expect its name."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "java.lang.Boolean"
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return "java.lang.Integer"
        return "java.lang.Long" if -(2**63) <= value < 2**63 else "java.math.BigInteger"
    names: list[tuple[type | tuple[type, ...], str]] = [
        (str, "java.lang.String"),
        (Float32, "java.lang.Float"),
        (float, "java.lang.Double"),
        (Decimal, "java.math.BigDecimal"),
        (Mapping, "java.util.LinkedHashMap"),
        ((list, tuple), "java.util.ArrayList"),
        ((set, frozenset), "java.util.LinkedHashSet"),
        (datetime, "java.time.ZonedDateTime"),
        (date, "java.time.LocalDate"),
        (timedelta, "java.time.Duration"),
    ]
    found = next((name for kind, name in names if isinstance(value, kind)), None)
    return found or type(value).__name__
