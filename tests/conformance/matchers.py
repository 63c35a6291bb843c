"""Expected values of cases: plain values, `$` matchers and typed values.

`Matcher(now=...).mismatch(expected, actual)` says why a value is not what a case
asks for, or None.  `typed` turns the typed values of contexts into Python's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import isodate

ABSENT = object()
"""Given as the actual value for a key that is not there."""

_TYPED = frozenset(
    "$float32 $long $zoned $instant $local $duration $uri $array $set".split()  # noqa: SIM905
)


def typed(value: Any, float32: Callable[[float], float] = float) -> Any:
    """The value with its typed parts (`{$zoned: ...}`) as Python values, deeply."""
    if isinstance(value, list):
        return [typed(item, float32) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (kind, inner), *_ = value.items()
        if kind in _TYPED:
            return _typed(kind, inner, float32)
    return {key: typed(item, float32) for key, item in value.items()}


def _typed(kind: str, inner: Any, float32: Callable[[float], float]) -> Any:
    match kind:
        case "$float32":
            return float32(float(inner))
        case "$zoned":
            return _zoned(inner)
        case "$instant":
            return datetime.fromisoformat(inner).astimezone(UTC)
        case "$local":
            return datetime.fromisoformat(inner)
        case "$duration":
            return isodate.parse_duration(inner)
        case "$array" | "$set":
            return [typed(item, float32) for item in inner]
        case _:
            return inner


def _zoned(text: str) -> datetime:
    found = re.fullmatch(r"([^\[]+)(?:\[(.+)\])?", text)
    assert found, text
    moment = datetime.fromisoformat(found[1])
    return moment.astimezone(ZoneInfo(found[2])) if found[2] else moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """Compares what a case expects with what there is.

    `read` gives the content of a storage URI, `fill` replaces placeholders in
    expected texts; both are needed only by the cases that use them.
    """

    now: datetime
    read: Callable[[str], bytes] | None = None
    fill: Callable[[Any], Any] | None = None

    def mismatch(
        self, expected: Any, actual: Any, path: str = "", *, exact: bool = False
    ) -> str | None:
        """Why `actual` is not what is expected, or None when it is."""
        if self.fill is not None and isinstance(expected, str):
            expected = self.fill(expected)
        if isinstance(expected, dict):
            if expected and all(isinstance(k, str) and k.startswith("$") for k in expected):
                return self._special(expected, actual, path)
            return self._mapping(expected, actual, path, exact)
        if actual is ABSENT:
            return _said(path, f"is absent, expected {expected!r}")
        if isinstance(expected, list):
            return self._list(expected, actual, path, exact)
        if same(expected, actual):
            return None
        return _said(path, f"is {_short(actual)}, expected {_short(expected)}")

    def _mapping(self, expected: Any, actual: Any, path: str, exact: bool) -> str | None:
        if not isinstance(actual, Mapping):
            return _said(path, f"is {_short(actual)}, expected a map {_short(expected)}")
        if (not expected and actual) or (exact and set(expected) != set(actual)):
            return _said(path, f"has keys {sorted(map(str, actual))}, expected {sorted(expected)}")
        for key, wanted in expected.items():
            strict = exact or (isinstance(key, str) and (key.endswith("_exact") or key == "equals"))
            where = f"{path}.{key}" if path else str(key)
            got = actual.get(key, ABSENT)
            reason = self.mismatch(wanted, got, where, exact=strict)
            if reason is not None:
                return reason
        return None

    def _list(self, expected: list[Any], actual: Any, path: str, exact: bool) -> str | None:
        if not isinstance(actual, (list, tuple)):
            return _said(path, f"is {_short(actual)}, expected a list {_short(expected)}")
        if len(actual) != len(expected):
            return _said(
                path, f"has {len(actual)} items {_short(actual)}, expected {len(expected)}"
            )
        for index, (wanted, got) in enumerate(zip(expected, actual, strict=True)):
            reason = self.mismatch(wanted, got, f"{path}[{index}]", exact=exact)
            if reason is not None:
                return reason
        return None

    def _special(self, matcher: dict[str, Any], actual: Any, path: str) -> str | None:
        for key, argument in matcher.items():
            if self.fill is not None and isinstance(argument, str):
                argument = self.fill(argument)  # noqa: PLW2901
            if key in _TYPED:
                holds = same(typed({key: argument}), actual)
            else:
                check = getattr(self, f"_{key[1:]}", None)
                if check is None:
                    raise ValueError(f"unknown matcher {key}")
                holds = check(argument, actual)
            if not holds:
                return _said(path, f"is {_short(actual)}, expected {key}: {_short(argument)}")
        return None

    def _present(self, wanted: bool, actual: Any) -> bool:
        return (actual is not ABSENT) == wanted

    def _absent(self, wanted: bool, actual: Any) -> bool:
        return (actual is ABSENT) == wanted

    def _absent_or_null(self, wanted: bool, actual: Any) -> bool:
        return (actual is ABSENT or actual is None) == wanted

    def _contains(self, wanted: Any, actual: Any) -> bool:
        parts = wanted if isinstance(wanted, list) else [wanted]
        filled = [self.fill(part) if self.fill else part for part in parts]
        if isinstance(actual, (list, tuple)):
            return all(any(same(part, item) for item in actual) for part in filled)
        return _is_text(actual) and all(str(part) in str(actual) for part in filled)

    def _starts(self, wanted: str, actual: Any) -> bool:
        return _is_text(actual) and str(actual).startswith(wanted)

    def _ends(self, wanted: str, actual: Any) -> bool:
        return _is_text(actual) and str(actual).endswith(wanted)

    def _regex(self, wanted: str, actual: Any) -> bool:
        return _is_text(actual) and re.fullmatch(wanted, str(actual), re.DOTALL) is not None

    def _not(self, wanted: Any, actual: Any) -> bool:
        return self.mismatch(wanted, actual) is not None

    def _in(self, wanted: list[Any], actual: Any) -> bool:
        return any(self.mismatch(item, actual) is None for item in wanted)

    def _gt(self, wanted: Any, actual: Any) -> bool:
        return actual is not ABSENT and actual is not None and actual > wanted

    def _gte(self, wanted: Any, actual: Any) -> bool:
        return actual is not ABSENT and actual is not None and actual >= wanted

    def _size(self, wanted: int, actual: Any) -> bool:
        return _length(actual) == wanted

    def _min_size(self, wanted: int, actual: Any) -> bool:
        return _length(actual) >= wanted

    def _unordered(self, wanted: list[Any], actual: Any) -> bool:
        return (
            isinstance(actual, (list, tuple))
            and len(actual) == len(wanted)
            and (self._has(wanted, actual))
        )

    def _has(self, wanted: Any, actual: Any) -> bool:
        if not isinstance(actual, (list, tuple)):
            return False
        left = list(actual)
        for item in wanted if isinstance(wanted, list) else [wanted]:
            found = next((i for i, a in enumerate(left) if self.mismatch(item, a) is None), None)
            if found is None:
                return False
            del left[found]
        return True

    def _all(self, wanted: Any, actual: Any) -> bool:
        return isinstance(actual, (list, tuple)) and all(
            self.mismatch(wanted, item) is None for item in actual
        )

    def _datetime_within(self, wanted: str, actual: Any) -> bool:
        if not _is_text(actual) and not isinstance(actual, datetime):
            return False
        moment = actual if isinstance(actual, datetime) else datetime.fromisoformat(str(actual))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        limit: timedelta = isodate.parse_duration(wanted)
        return abs(datetime.now(UTC) - moment) <= limit

    def _seconds(self, wanted: float, actual: Any) -> bool:
        if isinstance(actual, str):
            actual = isodate.parse_duration(actual) if actual.startswith("P") else float(actual)
        seconds = actual.total_seconds() if isinstance(actual, timedelta) else actual
        return same(float(wanted), seconds)

    def _file(self, wanted: dict[str, Any], actual: Any) -> bool:
        if self.read is None:
            raise ValueError("this matcher reads no files")
        return _is_text(actual) and self._file_holds(wanted, self.read(str(actual)).decode())

    def _first_file(self, wanted: dict[str, Any], actual: Any) -> bool:
        if not isinstance(actual, Mapping) or not actual:
            return False
        return self._file(wanted, next(iter(actual.values())))

    def _file_holds(self, wanted: dict[str, Any], text: str) -> bool:
        lines = text.splitlines()
        for key, value in wanted.items():
            match key:
                case "text":
                    holds = self.mismatch(value, text) is None
                case "lines":
                    holds = self.mismatch(value, len(lines)) is None
                case "line0_contains":
                    holds = bool(lines) and str(value) in lines[0]
                case "ion_lines":
                    items = [json.loads(line) for line in lines]
                    holds = self.mismatch(value, items) is None
                case _:
                    raise ValueError(f"unknown file matcher {key}")
            if not holds:
                return False
        return True


def same(expected: Any, actual: Any) -> bool:
    """Equality of scalars: numbers as numbers, dates and durations as instants and lengths."""
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, (int, float)) and isinstance(actual, (int, float)):
        # single precision values of cases reach us as doubles
        return bool(expected == actual) or abs(expected - actual) <= 1e-6 * abs(expected)
    if isinstance(expected, (datetime, date, time, timedelta)) and isinstance(actual, str):
        return _same_temporal(expected, actual)
    return bool(expected == actual)


def _same_temporal(expected: datetime | date | time | timedelta, actual: str) -> bool:
    try:
        if isinstance(expected, timedelta):
            return bool(isodate.parse_duration(actual) == expected)
        return type(expected).fromisoformat(actual) == expected
    except (ValueError, TypeError):
        return False


def _is_text(value: Any) -> bool:
    return value is not ABSENT and value is not None and not isinstance(value, (dict, list))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, tuple, Mapping)) else -1


def _short(value: Any) -> str:
    text = "absent" if value is ABSENT else repr(value)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"


def _said(path: str, reason: str) -> str:
    return f"{path or 'the value'} {reason}"
