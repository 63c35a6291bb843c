"""JSON as the language writes and reads it.

Null map values are left out, nulls in lists stay; dates are ISO texts, durations seconds
with nine decimals.  Writing is bounded: a small value can hold the same list many times.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from json.encoder import encode_basestring as quoted

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.limits import Budget
from penstock_runner.expressions.numbers import number_text
from penstock_runner.expressions.text import json_datetime, scalar_text


def write(value: object, *, nulls: bool = False) -> str:
    """The value as compact JSON; `nulls` keeps map values that are null."""
    parts: list[str] = []
    _Writer(parts.append, nulls=nulls).write(value)
    return "".join(parts)


class _Writer:
    def __init__(self, put: Callable[[str], None], *, nulls: bool) -> None:
        self._put = put
        self._nulls = nulls
        self._budget = Budget()

    def _out(self, text: str) -> None:
        self._budget.spend(len(text))
        self._put(text)

    def write(self, value: object) -> None:
        if isinstance(value, str):
            self._out(quoted(value))
        elif isinstance(value, Mapping):
            self._map(value)
        elif isinstance(value, (list, tuple, set, frozenset)):
            self._out("[")
            for index, item in enumerate(value):
                if index:
                    self._out(",")
                self.write(item)
            self._out("]")
        else:
            self._out(_scalar(value))

    def _map(self, value: Mapping[object, object]) -> None:
        self._out("{")
        first = True
        for key, item in value.items():
            if item is None and not self._nulls:
                continue
            name = key if isinstance(key, str) else "null" if key is None else scalar_text(key)
            self._out(f"{quoted(name)}:" if first else f",{quoted(name)}:")
            self.write(item)
            first = False
        self._out("}")


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value - value != 0:
        return f'"{number_text(value)}"'
    if isinstance(value, (int, float, Decimal)):
        return number_text(value)
    if isinstance(value, datetime):
        return quoted(json_datetime(value))
    if isinstance(value, (date, time)):
        return quoted(value.isoformat())
    if isinstance(value, timedelta):
        return f"{Decimal(round(value / timedelta(microseconds=1))) / 1_000_000:.9f}"
    return quoted(scalar_text(value))


def read(text: str) -> object:
    """The value of a JSON text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ExpressionFailed(f"Invalid json: {error}") from error
