"""Filters of lists and maps; all give new values and leave their input alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock_runner.expressions import limits
from penstock_runner.expressions.access import attribute
from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.equality import Members, equals
from penstock_runner.expressions.errors import ExpressionFailed, UndefinedVariable
from penstock_runner.expressions.filters.arguments import text_argument, whole_argument
from penstock_runner.expressions.kinds import type_name
from penstock_runner.expressions.numbers import is_number
from penstock_runner.expressions.operators import joined, truth
from penstock_runner.expressions.tests_table import TESTS, empty
from penstock_runner.expressions.text import plain

COLLECTIONS: Table = {}


def _list(value: object, name: str) -> list[Any]:
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    raise ExpressionFailed(
        f"'{name}' filter can only be applied to List. Actual type was: {type_name(value)}"
    )


@offer(COLLECTIONS, "default", "default", required=1, takes_null=True)
def default(value: object, other: object) -> object:
    """Another value where the first is undefined or empty."""
    return other if empty(value) else value


@offer(COLLECTIONS, "length", takes_null=True)
def length(value: object) -> int:
    """The size of a list, map or text; of anything else 0."""
    return len(value) if isinstance(value, (str, Mapping, list, tuple, set, frozenset)) else 0


@offer(COLLECTIONS, "first")
def first(value: object) -> object:
    """The first item of a list, or character of a text."""
    return _end(value, "first", 0)


@offer(COLLECTIONS, "last")
def last(value: object) -> object:
    """The last item of a list, or character of a text."""
    return _end(value, "last", -1)


def _end(value: object, name: str, index: int) -> object:
    if isinstance(value, str):
        if not value:
            raise ExpressionFailed(f"The '{name}' filter has no character to take: text is empty")
        return value[index]
    items = _list(value, name)
    return items[index] if items else None


@offer(COLLECTIONS, "join", "separator")
def join(value: object, separator: object) -> str:
    """The items' texts, joined."""
    items = [plain(item) for item in _list(value, "join")]
    sign = "" if separator is None else plain(separator)
    limits.check_text(len(sign) * len(items))
    return joined([sign.join(items)]) if sum(map(len, items)) <= limits.TEXT else joined(items)


@offer(COLLECTIONS, "keys")
def keys(value: object) -> list[object]:
    """The keys of a map, the indexes of a list."""
    if isinstance(value, Mapping):
        return list(value)
    return list(range(len(_list(value, "keys"))))


@offer(COLLECTIONS, "values")
def values(value: object) -> list[object]:
    """The values of a map."""
    if not isinstance(value, Mapping):
        raise ExpressionFailed(
            f"'values' filter can only be applied to Map. Actual type was: {type_name(value)}"
        )
    return list(value.values())


@offer(COLLECTIONS, "entries")
def entries(value: object) -> list[object]:
    """The entries of a map, each with `key` and `value`."""
    if not isinstance(value, Mapping):
        raise ExpressionFailed(
            f"'entries' filter can only be applied to Map. Actual type was: {type_name(value)}"
        )
    return [{"key": key, "value": item} for key, item in value.items()]


@offer(COLLECTIONS, "chunk", "size", required=1)
def chunk(value: object, size: object) -> list[object]:
    """Lists of at most that many items."""
    if not isinstance(value, (list, tuple)):
        raise ExpressionFailed(
            f"'chunk' filter can only be applied to List. Actual type was: {type_name(value)}"
        )
    count = whole_argument(size, "chunk", "size")
    if count < 1:
        raise ExpressionFailed("The size of 'chunk' must be 1 or more")
    return [list(value[start : start + count]) for start in range(0, len(value), count)]


@offer(COLLECTIONS, "flatten")
def flatten(value: object) -> list[object]:
    """One level of nested lists opened."""
    if not isinstance(value, (list, tuple)):
        raise ExpressionFailed("The 'flatten' filter can only be applied to lists.")
    limits.check_items(sum(len(v) if isinstance(v, (list, tuple)) else 1 for v in value))
    flat: list[object] = []
    for item in value:
        flat.extend(item if isinstance(item, (list, tuple)) else [item])
    return flat


@offer(COLLECTIONS, "reverse")
def reverse(value: object) -> list[object]:
    """The items from the last to the first."""
    return _list(value, "reverse")[::-1]


@offer(COLLECTIONS, "sort")
def sort(value: object) -> list[object]:
    """The items in order."""
    return _sorted(value, "sort")


@offer(COLLECTIONS, "rsort")
def rsort(value: object) -> list[object]:
    """The items in reverse order."""
    return _sorted(value, "rsort")[::-1]


def _sorted(value: object, name: str) -> list[object]:
    items = _list(value, name)
    if not (all(map(is_number, items)) or len({type(item) for item in items}) <= 1):
        raise ExpressionFailed(f"'{name}' needs items of one type")
    try:
        return sorted(items)
    except TypeError:
        raise ExpressionFailed(f"'{name}' cannot order these items") from None


@offer(COLLECTIONS, "distinct", aliases=("uniq", "unique"))
def distinct(value: object) -> list[object]:
    """Each item once, where it comes first."""
    seen = Members()
    kept: list[object] = []
    for item in _list(value, "distinct"):
        if item not in seen:
            seen.add(item)
            kept.append(item)
    return kept


@offer(COLLECTIONS, "list")
def as_list(value: object) -> list[object]:
    """A list as it is, the keys of a map, the characters of a text."""
    if isinstance(value, str):
        limits.check_items(len(value))
        return list(value)
    return list(value) if isinstance(value, Mapping) else _list(value, "list")


@offer(COLLECTIONS, "slice", "fromIndex", "toIndex")
def take_slice(value: object, start: object, stop: object) -> object:
    """A part of a list or text."""
    whole: Sequence[object] = value if isinstance(value, str) else _list(value, "slice")
    begin = 0 if start is None else whole_argument(start, "slice", "fromIndex")
    end = len(whole) if stop is None else whole_argument(stop, "slice", "toIndex")
    if not 0 <= begin < end <= len(whole):
        raise ExpressionFailed(
            f"slice({begin}, {end}) is outside of the {len(whole)} items, or empty"
        )
    return whole[begin:end]


@offer(COLLECTIONS, "merge", "items", required=1, takes_null=True)
def merge(value: object, items: object) -> object:
    """Two lists, two maps (the second wins), or one into the other."""
    if value is None or items is None:
        if value is None and items is None:
            raise ExpressionFailed("The two arguments to be merged are null")
        return items if value is None else value
    if isinstance(value, Mapping):
        if isinstance(items, Mapping):
            limits.check_items(len(value) + len(items))
            return {**value, **items}
        return {**value, **{_key(item): item for item in _list(items, "merge")}}
    more: list[object] = (
        [{"key": key, "value": item} for key, item in items.items()]
        if isinstance(items, Mapping)
        else _list(items, "merge")
    )
    whole = _list(value, "merge")
    limits.check_items(len(whole) + len(more))
    return [*whole, *more]


def _key(item: object) -> object:
    return plain(item) if isinstance(item, (dict, list)) else item


@offer(COLLECTIONS, "selectattr", "attribute", "test", "value", required=1)
def select(value: object, name: object, test: object, wanted: object) -> list[object]:
    """The items whose attribute is true, or passes a test (`equalTo`, `defined`, ...)."""
    return [item for item in _list(value, "selectattr") if _selected(item, name, test, wanted)]


@offer(COLLECTIONS, "rejectattr", "attribute", "test", "value", required=1)
def reject(value: object, name: object, test: object, wanted: object) -> list[object]:
    """The items that `selectattr` leaves out."""
    return [item for item in _list(value, "rejectattr") if not _selected(item, name, test, wanted)]


def _selected(item: object, name: object, test: object, wanted: object) -> bool:
    found: object = item
    try:
        for key in text_argument(name, "selectattr", "attribute").split("."):
            found = attribute(found, key)
    except UndefinedVariable:
        return False
    if test is None:
        return found is not None and (not isinstance(found, (dict, list)) and truth(found))
    if test == "defined":
        return found is not None
    if test in {"equalTo", "equalto", "eq", "==", "equals"}:
        return equals(found, wanted)
    if test in {"ne", "!="}:
        return not equals(found, wanted)
    callee = TESTS.get(test) if isinstance(test, str) else None
    if callee is None:
        raise ExpressionFailed(f"Test [{plain(test)}] does not exist.")
    return bool(callee.call(found))
