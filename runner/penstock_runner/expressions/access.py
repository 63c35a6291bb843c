"""What `a.b`, `a['b']` and `a.b()` reach: keys of maps, items of lists, a few named members.

Nothing else: no attribute of a Python object is ever read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from penstock_runner.expressions.dates import names
from penstock_runner.expressions.equality import equals
from penstock_runner.expressions.errors import ExpressionFailed, UndefinedVariable
from penstock_runner.expressions.kinds import kind
from penstock_runner.expressions.numbers import is_whole
from penstock_runner.expressions.operators import contains
from penstock_runner.expressions.text import plain, printed

Member = Callable[..., object]


def attribute(target: object, key: str) -> object:
    """`target.key`."""
    if isinstance(target, Mapping):
        try:
            return target[key]
        except KeyError:
            raise UndefinedVariable(key, lambda: _key_hint(target, key)) from None
    return _other(target, key)


def item(target: object, key: object) -> object:
    """`target[key]`."""
    if isinstance(target, Mapping):
        return _map_item(target, key)
    if isinstance(target, (list, tuple)) and is_whole(key):
        if 0 <= key < len(target):
            return target[key]
        raise UndefinedVariable(str(key), f"The list has {len(target)} items, counted from 0.")
    if key is None:
        raise UndefinedVariable("null", "The key is null.")
    return _other(target, printed(key))


def _map_item(target: Mapping[object, object], key: object) -> object:
    if isinstance(key, (str, int, float, bool)) or key is None:
        try:
            return target[key]
        except KeyError:
            pass
    text = printed(key)
    if isinstance(key, str):
        raise UndefinedVariable(key, lambda: _key_hint(target, key))
    if key is None:
        raise UndefinedVariable("null", "The key is null.")
    if any(isinstance(known, str) for known in target):
        raise ExpressionFailed(
            f"The key {text} is a {kind(key)}, but the keys of this map are texts: write ['{text}']"
        )
    raise UndefinedVariable(text)


def _other(target: object, key: str) -> object:
    if isinstance(target, (list, tuple)) and key.isascii() and key.isdigit():
        return item(target, int(key[:20]))
    if target is not None and not isinstance(target, Mapping):
        getter = _GETTERS.get(type(target).__name__, {}).get(key)
        if getter is not None:
            return getter(target)
    json = isinstance(target, str) and target.lstrip().startswith(("{", "["))
    hint = "It is read from a text: fromJson() makes a map or list of JSON." if json else ""
    raise UndefinedVariable(key, hint)


def call(target: object, name: str, arguments: list[object]) -> object:
    """`target.name(arguments)`, for the few methods that there are."""
    kinds = _METHODS["map"] if isinstance(target, Mapping) else _METHODS.get(kind(target), {})
    method = kinds.get(name)
    if method is None:
        raise UndefinedVariable(name, f"A {kind(target)} has no method `{name}()`.")
    try:
        return method(target, *arguments)
    except TypeError:
        raise ExpressionFailed(f"The method `{name}()` does not take these arguments") from None


def _key_hint(target: Mapping[object, object], key: str) -> str:
    """The key with a hyphen that reads as a subtraction, or one in another case."""
    for known in target:
        if isinstance(known, str):
            if known.startswith(f"{key}-"):
                return f"A key with a hyphen needs brackets: ['{known}']."
            if known != key and known.lower() == key.lower():
                return f"Did you mean `{known}`?"
    return ""


_DATE_GETTERS: dict[str, Member] = {
    "year": lambda d: d.year,
    "monthValue": lambda d: d.month,
    "dayOfMonth": lambda d: d.day,
    "dayOfYear": lambda d: d.timetuple().tm_yday,
    "dayOfWeek": lambda d: names.DAYS[d.weekday()].upper(),
    "month": lambda d: names.MONTHS[d.month - 1].upper(),
}
_GETTERS: dict[str, dict[str, Member]] = {
    "list": {"size": len, "empty": lambda v: not v},
    "tuple": {"size": len, "empty": lambda v: not v},
    "str": {"empty": lambda v: not v},
    "timedelta": {
        "seconds": lambda d: int(d / timedelta(seconds=1)),
        "nano": lambda d: d.microseconds * 1000,
        "zero": lambda d: not d,
        "negative": lambda d: d < timedelta(0),
    },
    "date": _DATE_GETTERS,
    "datetime": {
        **_DATE_GETTERS,
        "hour": lambda d: d.hour,
        "minute": lambda d: d.minute,
        "second": lambda d: d.second,
        "nano": lambda d: d.microsecond * 1000,
        "epochSecond": lambda d: int(d.timestamp()),
    },
}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ExpressionFailed(f"The method takes a text, not a {kind(value)}")
    return value


def _split(value: str, separator: object) -> list[str]:
    parts = value.split(_text(separator)) if separator else list(value)
    while parts and not parts[-1]:
        parts.pop()
    return parts


def _substring(value: str, start: int, end: int | None = None) -> str:
    stop = len(value) if end is None else end
    if not 0 <= start <= stop <= len(value):
        raise ExpressionFailed(f"substring({start}, {stop}) is outside a text of {len(value)}")
    return value[start:stop]


def _index(value: list[object], wanted: object) -> int:
    return next((i for i, known in enumerate(value) if equals(known, wanted)), -1)


_METHODS: dict[str, dict[str, Member]] = {
    "map": {
        "size": len,
        "isEmpty": lambda m: not m,
        "get": lambda m, key: m.get(key),
        "getOrDefault": lambda m, key, other: m.get(key, other),
        "containsKey": lambda m, key: key in m,
        "containsValue": lambda m, value: contains(list(m.values()), value),
        "keySet": list,
        "values": lambda m: list(m.values()),
        "entrySet": lambda m: [{"key": key, "value": value} for key, value in m.items()],
        "toString": plain,
    },
    "list": {
        "size": len,
        "isEmpty": lambda v: not v,
        "get": item,
        "contains": contains,
        "indexOf": _index,
        "toString": plain,
    },
    "text": {
        "length": len,
        "isEmpty": lambda v: not v,
        "isBlank": lambda v: not v.strip(),
        "toUpperCase": lambda v: v.upper(),
        "toLowerCase": lambda v: v.lower(),
        "trim": lambda v: v.strip(),
        "strip": lambda v: v.strip(),
        "contains": lambda v, part: _text(part) in v,
        "startsWith": lambda v, part: v.startswith(_text(part)),
        "endsWith": lambda v, part: v.endswith(_text(part)),
        "indexOf": lambda v, part: v.find(_text(part)),
        "equals": equals,
        "substring": _substring,
        "split": _split,
        "toString": plain,
    },
    "date": {
        f"get{name[0].upper()}{name[1:]}": getter for name, getter in _GETTERS["datetime"].items()
    },
    "duration": {
        "toSeconds": lambda d: int(d / timedelta(seconds=1)),
        "getSeconds": lambda d: int(d / timedelta(seconds=1)),
        "toMillis": lambda d: int(d / timedelta(milliseconds=1)),
        "toMinutes": lambda d: int(d / timedelta(minutes=1)),
        "toHours": lambda d: int(d / timedelta(hours=1)),
        "toDays": lambda d: d.days,
        "toString": printed,
    },
    "number": {"toString": printed},
    "boolean": {"toString": printed},
}
