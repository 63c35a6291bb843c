"""One value of one input or output type: from what was given to what the flow sees, or why not.

Values that have no JSON form keep their text: dates, times, instants and durations are checked and
normalised, but stay ISO text, so that stored inputs read the same everywhere.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal

from penstock_runner.flow import moments
from penstock_runner.flow.literals import pattern_reason
from penstock_runner.flow.refusals import BadValue, Bounds, expected, shown
from penstock_runner.flow.types import INPUT_OPTIONS
from penstock_runner.flow.yaml import load_documents

_INT = re.compile(r"[-+]?\d+")
_FLOAT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fFdD]?|[-+]?(?:NaN|Infinity)")
_URI = re.compile(r"[a-z]+://(?:www\.)?[-a-zA-Z0-9@:%._+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b\S*")
_STORED = re.compile(r"(?:kestra|nsfile|file):///\S*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
__all__ = ["BadValue", "coerce", "shown"]

INT_RANGE = (-(2**31), 2**31 - 1)


def coerce(type_name: str, value: object, options: Mapping[str, object]) -> object:
    """The value of a type, checked against its options; None stays None."""
    if value is None:
        return None
    read = _READERS.get(type_name)
    if read is None:
        raise BadValue(f"Invalid type: {type_name}; known are {', '.join(INPUT_OPTIONS)}")
    return read(value, options)


# -- text --------------------------------------------------------------------------------------


def _string(value: object, options: Mapping[str, object]) -> object:
    if not isinstance(value, str):
        raise expected("STRING", value, "the value must be text")
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
        raise expected("SECRET", value, "the value must be text")
    must_match(value, options)
    return value


def _choice(value: object, _options: Mapping[str, object]) -> object:
    if isinstance(value, Mapping | list):
        raise expected("SELECT", value, "the value must be text")
    return value if isinstance(value, str) else shown(value)


def _email(value: object, _options: Mapping[str, object]) -> object:
    if not isinstance(value, str) or (value and not _EMAIL.fullmatch(value)):
        raise BadValue("The input must be a valid email")
    return value


def _uri(value: object, _options: Mapping[str, object]) -> object:
    if not isinstance(value, str) or not (_URI.fullmatch(value) or _STORED.fullmatch(value)):
        raise expected("URI", value)
    return value


def _file(value: object, _options: Mapping[str, object]) -> object:
    if not isinstance(value, str) or not _STORED.fullmatch(value):
        cause = "a file is given as an upload, or as a kestra:/// or nsfile:/// URI"
        raise expected("FILE", value, cause)
    return value


# -- numbers -----------------------------------------------------------------------------------


def _bool(value: object, _options: Mapping[str, object]) -> object:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _int(value: object, options: Mapping[str, object]) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise expected("INT", value, "the value must be a whole number")
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
        raise expected("FLOAT", value, "the value must be a number")
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


_MORE, _LESS = "it must be more than", "it must be less than"


def _single_limit(limit: object) -> float:
    return single(float(str(limit)))


_INT_BOUNDS = Bounds("min", "max", _MORE, _LESS, lambda limit: Decimal(str(limit)))
_FLOAT_BOUNDS = Bounds("min", "max", _MORE, _LESS, _single_limit)


# -- structures --------------------------------------------------------------------------------


def _json(value: object, _options: Mapping[str, object]) -> object:
    return _parsed_json("JSON", value) if isinstance(value, str) else value


def _parsed_json(type_name: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise expected(type_name, text, error) from None


def _yaml(value: object, _options: Mapping[str, object]) -> object:
    if not isinstance(value, str):
        return value
    documents = load_documents(value)
    if not documents:
        return None
    if documents[0].faults:
        raise expected("YAML", value, documents[0].faults[0].message)
    return documents[0].data


def _map(value: object, _options: Mapping[str, object]) -> object:
    found = _parsed_json("OBJECT", value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise expected("OBJECT", value, "the value must be a map")
    return found


def _rows(value: object, _options: Mapping[str, object]) -> object:
    found = _parsed_json("TABLE", value) if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise expected("TABLE", value, "the value must be a list of maps")
    return found


def _array(value: object, options: Mapping[str, object]) -> object:
    return _list_of("ARRAY", value, str(options.get("itemType", "STRING")))


def _multiselect(value: object, options: Mapping[str, object]) -> object:
    return _list_of("MULTISELECT", value, str(options.get("itemType", "STRING")))


def _list_of(type_name: str, value: object, item_type: str) -> list[object]:
    found = _parsed_json(type_name, value) if isinstance(value, str) else value
    if not isinstance(found, list | tuple):
        raise expected(type_name, value, "the value must be a list")
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
    "DATETIME": moments.read_instant,
    "DATE": moments.read_date,
    "TIME": moments.read_time,
    "DURATION": moments.read_duration,
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
