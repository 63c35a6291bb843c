"""One value of one input or output type: from what was given to what the flow sees, or why not.

Values that have no JSON form keep their text: dates, times, instants and durations are checked and
normalised, but stay ISO text, so that stored inputs read the same everywhere.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from penstock_runner.flow import durations
from penstock_runner.flow.literals import pattern_reason
from penstock_runner.flow.types import INPUT_OPTIONS
from penstock_runner.flow.yaml import load_documents

_INT = re.compile(r"[-+]?\d+")
_FLOAT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fFdD]?|[-+]?(?:NaN|Infinity)")
_URI = re.compile(r"[a-z]+://(?:www\.)?[-a-zA-Z0-9@:%._+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b\S*")
_STORED = re.compile(r"(?:kestra|nsfile|file):///\S*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_INSTANT = re.compile(
    r"(?P<day>[+-]?\d{4,9}-\d{2}-\d{2})[Tt](?P<clock>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)"
    r"(?P<zone>Z|z|[+-]\d{2}(?::?\d{2})?)"
)
_LOCAL_TIME = re.compile(r"\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?")
INT_RANGE = (-(2**31), 2**31 - 1)


class BadValue(ValueError):
    """The value is not what its type asks for; the message is the reason."""


def coerce(type_name: str, value: object, options: Mapping[str, object]) -> object:
    """The value of a type, checked against its options; None stays None."""
    if value is None:
        return None
    read = _READERS.get(type_name)
    if read is None:
        raise BadValue(f"Invalid type: {type_name}; known are {', '.join(INPUT_OPTIONS)}")
    return read(value, options)


def shown(value: object) -> str:
    """A value as messages show it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={shown(item)}" for key, item in value.items()) + "}"
    return str(value)


def _expected(type_name: str, value: object, cause: object = None) -> BadValue:
    text = f"Expected `{type_name}` but received `{shown(value)}`"
    if cause is not None:
        text += f" with errors:\n```\n{cause}\n```"
    return BadValue(text)


# -- text --------------------------------------------------------------------------------------


def _string(value: object, options: Mapping[str, object]) -> object:
    if not isinstance(value, str):
        raise _expected("STRING", value, "the value must be text")
    must_match(value, options)
    return value


def must_match(value: str, options: Mapping[str, object]) -> None:
    """Refuse text that the validator does not match as a whole."""
    pattern = options.get("validator")
    if isinstance(pattern, str) and not _matches(pattern, value):
        raise BadValue(f"it must match the pattern `{pattern}`")


def _matches(pattern: str, value: str) -> bool:
    if reason := pattern_reason(pattern):
        raise BadValue(reason)
    # A pattern comes from a flow file: `regex` can be stopped, `re` cannot.
    import regex

    try:
        return regex.fullmatch(pattern, value, timeout=1) is not None
    except TimeoutError:
        raise BadValue(f"the pattern `{pattern}` takes too long: make it simpler") from None
    except regex.error:
        return re.fullmatch(pattern, value) is not None


def _secret(value: object, options: Mapping[str, object]) -> object:
    if not isinstance(value, str):
        raise _expected("SECRET", value, "the value must be text")
    must_match(value, options)
    return value


def _choice(value: object, _options: Mapping[str, object]) -> object:
    if isinstance(value, Mapping | list):
        raise _expected("SELECT", value, "the value must be text")
    return value if isinstance(value, str) else shown(value)


def _email(value: object, _options: Mapping[str, object]) -> object:
    if not isinstance(value, str) or (value and not _EMAIL.fullmatch(value)):
        raise BadValue("The input must be a valid email")
    return value


def _uri(value: object, _options: Mapping[str, object]) -> object:
    if not isinstance(value, str) or not (_URI.fullmatch(value) or _STORED.fullmatch(value)):
        raise _expected("URI", value)
    return value


def _file(value: object, _options: Mapping[str, object]) -> object:
    if not isinstance(value, str) or not _STORED.fullmatch(value):
        cause = "a file is given as an upload, or as a kestra:/// or nsfile:/// URI"
        raise _expected("FILE", value, cause)
    return value


# -- numbers -----------------------------------------------------------------------------------


def _bool(value: object, _options: Mapping[str, object]) -> object:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _int(value: object, options: Mapping[str, object]) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _expected("INT", value, "the value must be a whole number")
    text = str(value)
    if not _INT.fullmatch(text) or len(text) > 11:
        raise BadValue(f'For input string: "{text}"')
    number = int(text)
    if not INT_RANGE[0] <= number <= INT_RANGE[1]:
        raise BadValue(f'For input string: "{text}"')
    _INT_BOUNDS.hold(number, options)
    return number


def _float(value: object, options: Mapping[str, object]) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _expected("FLOAT", value, "the value must be a number")
    text = str(value).strip()
    if not _FLOAT.fullmatch(text):
        raise BadValue(f'For input string: "{value}"')
    number = single(float(text.rstrip("fFdD") if text[-1] in "fFdD" else text))
    _FLOAT_BOUNDS.hold(number, options)
    return number


def single(number: float) -> float:
    """The shortest decimal that is the same number in single precision."""
    try:
        packed = struct.pack("f", number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    near: float = struct.unpack("f", packed)[0]
    if near != near or near in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN is not itself
        return near
    for digits in range(1, 10):
        shorter = float(f"{near:.{digits}g}")
        if struct.pack("f", shorter) == packed:
            return shorter
    return near


def _limit_number(limit: object) -> object:
    return Decimal(str(limit))


def _limit_float(limit: object) -> object:
    return single(float(str(limit)))


@dataclass(frozen=True, slots=True)
class _Bounds:
    """How the bounds of a type are called, read and shown."""

    low: str
    high: str
    more: str
    less: str
    read: Callable[[object], Any]
    say: Callable[[object], str] = shown

    def hold(self, value: Any, options: Mapping[str, object]) -> None:
        """Refuse a value beyond its bounds, which belong to what is allowed."""
        low, high = options.get(self.low), options.get(self.high)
        if low is not None and value < self.read(low):
            raise BadValue(f"{self.more} `{self.say(low)}`")
        if high is not None and value > self.read(high):
            raise BadValue(f"{self.less} `{self.say(high)}`")


_MORE, _LESS = "it must be more than", "it must be less than"
_AFTER, _BEFORE = "it must be after", "it must be before"


def _single_limit(limit: object) -> float:
    return single(float(str(limit)))


_INT_BOUNDS = _Bounds("min", "max", _MORE, _LESS, lambda limit: Decimal(str(limit)))
_FLOAT_BOUNDS = _Bounds("min", "max", _MORE, _LESS, _single_limit)


# -- time --------------------------------------------------------------------------------------


def _instant(value: object, options: Mapping[str, object]) -> object:
    moment = _moment(value)
    _INSTANT_BOUNDS.hold(moment, options)
    return _instant_text(moment)


def _moment(value: object) -> datetime:
    found = _INSTANT.fullmatch(str(value).strip())
    if found is None:
        cause = "write an instant such as 2024-01-31T08:00:00Z"
        raise _expected("DATETIME", value, cause)
    clock = found["clock"]
    if "." in clock:
        clock = clock[:15].ljust(15, "0")
    zone = "+00:00" if found["zone"] in "Zz" else found["zone"]
    try:
        return datetime.fromisoformat(f"{found['day']}T{clock}{zone}")
    except ValueError as error:
        raise _expected("DATETIME", value, error) from None


def _instant_text(moment: datetime) -> str:
    try:
        text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    except OverflowError:
        text = moment.replace(tzinfo=None).isoformat()
    return _trim(text) + "Z"


def _trim(text: str) -> str:
    """Without the zeros at the end of a fraction of seconds."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date(value: object, options: Mapping[str, object]) -> object:
    day = _day(value)
    _DATE_BOUNDS.hold(day, options)
    return day.isoformat()


def _day(value: object) -> date:
    try:
        text = str(value).strip()
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError("write a date such as 2024-01-31")
        return date.fromisoformat(text)
    except ValueError as error:
        raise _expected("DATE", value, error) from None


def _time(value: object, options: Mapping[str, object]) -> object:
    clock = _clock(value)
    _TIME_BOUNDS.hold(clock, options)
    return _trim(clock.isoformat())


def _clock(value: object) -> time:
    text = str(value).strip()
    try:
        if not _LOCAL_TIME.fullmatch(text):
            raise ValueError("write a time such as 08:30:00")
        return time.fromisoformat(text[:15])
    except ValueError as error:
        raise _expected("TIME", value, error) from None


def clock_text(clock: time) -> str:
    """A time as messages show it: without seconds when there are none."""
    return _trim(clock.isoformat()) if clock.second or clock.microsecond else clock.isoformat()[:5]


_INSTANT_BOUNDS = _Bounds(
    "after", "before", _AFTER, _BEFORE, _moment, lambda limit: _instant_text(_moment(limit))
)
_DATE_BOUNDS = _Bounds("after", "before", _AFTER, _BEFORE, _day, lambda limit: str(_day(limit)))
_TIME_BOUNDS = _Bounds(
    "after", "before", _AFTER, _BEFORE, _clock, lambda limit: clock_text(_clock(limit))
)
_DURATION_BOUNDS = _Bounds(
    "min",
    "max",
    "It must be more than",
    "It must be less than",
    durations.parse,
    lambda limit: durations.to_iso(durations.parse(limit)),
)


def _duration(value: object, options: Mapping[str, object]) -> object:
    length = _length(value)
    _DURATION_BOUNDS.hold(length, options)
    return durations.to_iso(length)


def _length(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return durations.parse_iso(str(value).strip())
    except durations.BadDuration as error:
        raise _expected("DURATION", value, error) from None


# -- structures --------------------------------------------------------------------------------


def _json(value: object, _options: Mapping[str, object]) -> object:
    return _parsed_json("JSON", value) if isinstance(value, str) else value


def _parsed_json(type_name: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _expected(type_name, text, error) from None


def _yaml(value: object, _options: Mapping[str, object]) -> object:
    if not isinstance(value, str):
        return value
    documents = load_documents(value)
    if not documents:
        return None
    if documents[0].faults:
        raise _expected("YAML", value, documents[0].faults[0].message)
    return documents[0].data


def _map(value: object, _options: Mapping[str, object]) -> object:
    found = _parsed_json("OBJECT", value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise _expected("OBJECT", value, "the value must be a map")
    return found


def _rows(value: object, _options: Mapping[str, object]) -> object:
    found = _parsed_json("TABLE", value) if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise _expected("TABLE", value, "the value must be a list of maps")
    return found


def _array(value: object, options: Mapping[str, object]) -> object:
    return _list_of("ARRAY", value, str(options.get("itemType", "STRING")))


def _multiselect(value: object, options: Mapping[str, object]) -> object:
    return _list_of("MULTISELECT", value, str(options.get("itemType", "STRING")))


def _list_of(type_name: str, value: object, item_type: str) -> list[object]:
    found = _parsed_json(type_name, value) if isinstance(value, str) else value
    if not isinstance(found, list | tuple):
        raise _expected(type_name, value, "the value must be a list")
    return [_item(item_type, item) for item in found]


def _item(item_type: str, item: object) -> object:
    if item_type == "STRING" and isinstance(item, bool | int | float):
        return shown(item)
    try:
        return coerce(item_type, item, {})
    except BadValue:
        message = f"Unable to parse array element as `{item_type}` on `{shown(item)}`"
        raise BadValue(message) from None


_READERS: Mapping[str, Callable[[object, Mapping[str, object]], object]] = {
    "STRING": _string,
    "ENUM": _choice,
    "SELECT": _choice,
    "MULTISELECT": _multiselect,
    "INT": _int,
    "FLOAT": _float,
    "BOOLEAN": _bool,
    "BOOL": _bool,
    "DATETIME": _instant,
    "DATE": _date,
    "TIME": _time,
    "DURATION": _duration,
    "FILE": _file,
    "JSON": _json,
    "YAML": _yaml,
    "ION": _json,
    "OBJECT": _map,
    "TABLE": _rows,
    "FORM": _map,
    "URI": _uri,
    "SECRET": _secret,
    "ARRAY": _array,
    "EMAIL": _email,
}
