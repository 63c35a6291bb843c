"""Outputs as plain JSON data, whatever a task gave back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum

from penstock_runner.flow import durations

WIDEST = 1 << 63


def plain(value: object) -> object:
    """The value in texts, numbers, booleans, lists and maps with text keys."""
    match value:
        case Enum():
            return plain(value.value)
        case None | bool() | str():
            return value
        case int():
            return value if -WIDEST <= value < 2 * WIDEST else str(value)
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return _scalar(value)


def _scalar(value: object) -> object:
    match value:
        case datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case timedelta():
            return durations.to_iso(value)
        case Decimal():
            whole = value == value.to_integral_value()
            return plain(int(value)) if value.is_finite() and whole else plain(float(value))
        case bytes():
            return value.decode("utf-8", "replace")
        case _:
            return str(value)
