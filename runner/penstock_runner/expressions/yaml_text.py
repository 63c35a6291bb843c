"""YAML as the language writes and reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.json_text import write as write_json
from penstock_runner.expressions.limits import Budget, check_items
from penstock_runner.expressions.numbers import number_text
from penstock_runner.expressions.text import json_datetime, scalar_text

_SAFE = re.compile(r"[A-Za-z0-9_./(+$^<>=;~][^\n\t\r\x00-\x1f\x7f]*(?<![ :])")
_NOT_TEXT = re.compile(
    r"(?i)(null|~|true|false|yes|no|on|off|y|n|[-+]?(\.inf|\.nan)|[-+.\d][+.:_\dxobea-f]*|<<|=)"
)


def write(value: object) -> str:
    """The value as YAML text, ending in a new line; null is `null`."""
    if value is None:
        return "null"
    lines: list[str] = []
    _Writer(lines).block(value, 0, "")
    return "\n".join(lines) + "\n"


class _Writer:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._budget = Budget()

    def _line(self, text: str) -> None:
        self._budget.spend(len(text) + 1)
        self._lines.append(text)

    def block(self, value: object, indent: int, lead: str) -> None:
        """Write a value after `lead`, which stands at the start of its line."""
        if isinstance(value, Mapping) and value:
            self._map(value, indent, lead)
        elif isinstance(value, (list, tuple, set, frozenset)) and value:
            self._list(list(value), indent, lead)
        elif isinstance(value, str) and "\n" in value and value.strip():
            self._text(value, indent, lead)
        else:
            self._line(f"{lead}{_scalar(value)}")

    def _map(self, value: Mapping[object, object], indent: int, lead: str) -> None:
        for index, (key, item) in enumerate(value.items()):
            start = lead if index == 0 else " " * indent
            name = f"{start}{_scalar(key if key is not None else 'null')}:"
            if isinstance(item, Mapping) and item:
                self._line(name)
                self.block(item, indent + 2, " " * (indent + 2))
            elif isinstance(item, (list, tuple, set, frozenset)) and item:
                self._line(name)
                self.block(item, indent, " " * indent)
            else:
                self.block(item, indent, f"{name} ")

    def _list(self, items: list[object], indent: int, lead: str) -> None:
        for index, item in enumerate(items):
            start = lead if index == 0 else " " * indent
            self.block(item, indent + 3, f"{start} - ")

    def _text(self, value: str, indent: int, lead: str) -> None:
        if value.startswith((" ", "\n")) or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", value):
            self._line(f"{lead}{_quoted(value)}")
            return
        body = value.rstrip("\n")
        trailing = len(value) - len(body)
        self._line(f"{lead}|{'-' if trailing == 0 else '+' if trailing > 1 else ''}")
        for line in body.split("\n"):
            self._line(f"{' ' * (indent + 2)}{line}" if line else "")
        for _ in range(trailing - 1):
            self._line("")


def _scalar(value: object) -> str:
    if isinstance(value, str):
        plain = _SAFE.fullmatch(value) and not _NOT_TEXT.fullmatch(value)
        if plain and ": " not in value and " #" not in value:
            return value
        return _quoted(value)
    if value is None:
        return "null"
    if isinstance(value, float) and value - value != 0:
        return {"NaN": ".nan", "Infinity": ".inf"}.get(number_text(value), "-.inf")
    if isinstance(value, datetime):
        return json_datetime(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return write_json(value)
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "[]"
    return scalar_text(value)


def _quoted(value: str) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def read(text: str) -> object:
    """The value of a YAML text; dates stay texts."""
    import yaml

    loader = _loader()(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, frozenset())
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ExpressionFailed(f"Invalid yaml: {error}") from None
    finally:
        loader.dispose()


def _measure(node: Any, known: dict[int, int], around: frozenset[int]) -> int:
    """How many values a node stands for: aliases may make a short text explode, or never end."""
    if id(node) in around:
        raise ValueError("an alias stands inside of what it repeats")
    if id(node) not in known:
        children: list[Any] = []
        if isinstance(node.value, list):
            for child in node.value:
                children.extend(child if isinstance(child, tuple) else [child])
        inside = around | {id(node)} if children else around
        known[id(node)] = 1 + sum(_measure(child, known, inside) for child in children)
        check_items(known[id(node)])
    return known[id(node)]


@cache
def _loader() -> Any:
    """A safe loader of plain data, without dates and numbers to the base of sixty."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Reads plain data."""

    Loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in _RESOLVED:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)
    return Loader


_RESOLVED: list[tuple[str, str, list[str]]] = [
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^<<$", ["<"]),
    ("int", r"^(?:[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?[0-9]+[eE][-+]?[0-9]+$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$",
        list("-+0123456789."),
    ),
]
