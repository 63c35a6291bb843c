"""Files of items: one value a line, written as JSON, read as JSON or as text Ion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import BinaryIO

import orjson

from penstock_runner.flow import durations
from penstock_runner.tasks.ion import read_value


def read_items(stream: BinaryIO) -> Iterator[object]:
    """The values of a file, one at a time; empty lines are passed over."""
    for number, line in enumerate(stream, 1):
        text = line.strip()
        if text:
            yield read_item(text, number)


def read_item(line: bytes, number: int = 1) -> object:
    """The value of one line."""
    try:
        value: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = read_value(line.decode("utf-8"), number)
    return value


def write_items(stream: BinaryIO, items: Iterable[object]) -> int:
    """Write values one a line; how many there were."""
    count = 0
    for item in items:
        stream.write(write_item(item))
        count += 1
    return count


def write_item(item: object) -> bytes:
    """The line of one value, with its end."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    try:
        return orjson.dumps(item, default=_plain, option=options)
    except orjson.JSONEncodeError:
        return orjson.dumps(_fitting(item), default=_plain, option=options)


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return plain_number(value)
        case timedelta():
            return durations.to_iso(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode("utf-8", "replace")
        case set() | frozenset():
            return list(value)
        case _:
            return str(value)


def plain_number(value: Decimal) -> int | float | str:
    """A decimal as a JSON number when that loses nothing, else as text."""
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value():
        whole = int(value) if value.adjusted() < 19 else None
        return str(value) if whole is None or abs(whole) >= 1 << 63 else whole
    return float(value) if len(value.as_tuple().digits) <= 15 else str(value)


def _fitting(value: object) -> object:
    """The value with integers that JSON libraries refuse turned into text."""
    if isinstance(value, dict):
        return {key: _fitting(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fitting(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return str(value)
    return value
