"""YAML as the language writes and reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.json_text import write as write_json
from penstock_runner.expressions.limits import Budget
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

    try:
        return yaml.load(text, _loader())  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ExpressionFailed(f"Invalid yaml: {error}") from None


def _loader() -> type:
    """A safe loader without dates, sexagesimals and aliases (which can make a text explode)."""
    global _LOADER  # noqa: PLW0603 - made once, when YAML is first read
    if _LOADER is None:
        import yaml

        class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
            """Reads plain data."""

            def compose_node(self, parent: object, index: object) -> object:
                if self.check_event(yaml.AliasEvent):
                    raise yaml.YAMLError("aliases are not allowed here")
                return super().compose_node(parent, index)

        Loader.yaml_implicit_resolvers = {}
        for tag, pattern, first in _RESOLVED:
            Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)
        _LOADER = Loader
    return _LOADER


_LOADER: type | None = None
_RESOLVED: list[tuple[str, str, list[str]]] = [
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^(?:[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?[0-9]+[eE][-+]?[0-9]+$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$",
        list("-+0123456789."),
    ),
]
