"""Ion text, as far as expressions use it: write any value, read the first one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.limits import Budget
from penstock_runner.expressions.numbers import Float32, number_text
from penstock_runner.expressions.text import offset_text, plain, scalar_text

_PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_KEYWORDS = frozenset({"null", "true", "false", "nan"})


def write(value: object) -> str:
    """The value as Ion text."""
    parts: list[str] = []
    _write(value, parts, Budget())
    return "".join(parts)


def _write(value: object, parts: list[str], budget: Budget) -> None:
    if isinstance(value, Mapping):
        _group("{}", [(f"{_name(key)}:", item) for key, item in value.items()], parts, budget)
    elif isinstance(value, (list, tuple, set, frozenset)):
        _group("[]", [("", item) for item in value], parts, budget)
    else:
        text = _scalar(value)
        budget.spend(len(text))
        parts.append(text)


def _group(ends: str, items: list[tuple[str, object]], parts: list[str], budget: Budget) -> None:
    parts.append(ends[0])
    for index, (label, item) in enumerate(items):
        parts.append(f",{label}" if index else label)
        budget.spend(len(label) + 1)
        _write(item, parts, budget)
    parts.append(ends[1])


def _name(key: object) -> str:
    text = key if isinstance(key, str) else plain(key)
    if _PLAIN_NAME.fullmatch(text) and text not in _KEYWORDS:
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Float32):
        return _float(float(value))
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Decimal):
        text = number_text(value)
        return text if "." in text else f"{text}."
    if isinstance(value, datetime):
        return _timestamp(value)
    if isinstance(value, timedelta):
        return f"{value / timedelta(seconds=1):.9f}"
    return scalar_text(value)


def _timestamp(value: datetime) -> str:
    """Milliseconds at least, as other writers of these files have them."""
    precision = "microseconds" if value.microsecond % 1000 else "milliseconds"
    text = value.replace(tzinfo=None).isoformat(timespec=precision)
    offset = value.utcoffset()
    return text + ("-00:00" if offset is None else offset_text(offset))


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "+inf" if value > 0 else "-inf"
    text = repr(value)
    return text.replace("e+", "e") if "e" in text else f"{text}e0"


_TOKENS = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<long>'''.*?(?<!\\)''')
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<quoted>'(?:[^'\\]|\\.)*')
    |(?P<mark>::|[{}\[\](),:])
    |(?P<time>\d{4}-\d\d-\d\d(?:T[0-9:.]*(?:Z|[+-]\d\d:\d\d)?)?(?![\w.])|\d{4}(?:-\d\d)?T)
    |(?P<number>-?(?:0x[0-9a-fA-F_]+|0b[01_]+|\d[\d_]*(?:\.[\d_]*)?(?:[eEdD][+-]?\d{1,4})?)(?![\w.]))
    |(?P<name>\+inf|-inf|[A-Za-z_$][A-Za-z0-9_$.]*)""",
    re.VERBOSE | re.DOTALL,
)


def read(text: str) -> object:
    """The first value of an Ion text."""
    try:
        return _Reader(text).value()
    except (ValueError, ArithmeticError, InvalidOperation, RecursionError) as error:
        raise ExpressionFailed(f"Invalid ion: {error}") from None


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._kind = self._mark = ""
        self._advance()

    def _advance(self) -> None:
        while self._at < len(self._text):
            found = _TOKENS.match(self._text, self._at)
            if found is None:
                raise ValueError(f"unexpected {self._text[self._at]!r} at {self._at}")
            self._at = found.end()
            if found.lastgroup != "space":
                self._kind, self._mark = found.lastgroup or "", found[0]
                return
        self._kind = self._mark = ""

    def _take(self) -> tuple[str, str]:
        taken = self._kind, self._mark
        self._advance()
        return taken

    def value(self) -> object:
        kind, piece = self._take()
        if kind in {"name", "quoted"} and self._mark == "::":
            self._advance()
            return self.value()
        match kind, piece:
            case "mark", "{":
                return self._struct()
            case "mark", "[":
                return self._list("]")
            case "mark", "(":
                return self._list(")")
            case "text", _:
                return _unquoted(piece)
            case "long", _:
                joined = piece[3:-3]
                while self._kind == "long":
                    joined += self._take()[1][3:-3]
                return joined
            case "quoted", _:
                return _unquoted(piece)
            case "number", _:
                return _number(piece)
            case "time", _:
                return _time(piece)
            case "name", _:
                return _named(piece)
            case _:
                raise ValueError(f"unexpected {piece!r}" if kind else "a value is missing")

    def _struct(self) -> dict[str, object]:
        fields: dict[str, object] = {}
        while self._mark != "}" or self._kind != "mark":
            kind, piece = self._take()
            if kind not in {"name", "quoted", "text"}:
                raise ValueError(f"expected a field name, not {piece!r}")
            if self._take()[1] != ":":
                raise ValueError(f"expected a colon after {piece!r}")
            fields[piece if kind == "name" else _unquoted(piece)] = self.value()
            self._separator("}")
        self._advance()
        return fields

    def _list(self, end: str) -> list[object]:
        items: list[object] = []
        while self._mark != end or self._kind != "mark":
            items.append(self.value())
            if end == "]":
                self._separator(end)
        self._advance()
        return items

    def _separator(self, end: str) -> None:
        if self._kind == "mark" and self._mark == ",":
            self._advance()
        elif self._mark != end:
            raise ValueError(f"expected a comma, not {self._mark!r}")


def _unquoted(piece: str) -> str:
    inner = piece[1:-1].replace("\\'", "'")
    if piece[0] == "'":
        inner = inner.replace('"', '\\"')
    return str(json.loads(f'"{inner}"', strict=False))


def _number(piece: str) -> object:
    digits = piece.replace("_", "")
    if len(digits) > 1000:
        raise ValueError("a number is too long")
    if digits.lower().lstrip("-").startswith(("0x", "0b")):
        return int(digits, 0)
    if "e" in digits.lower():
        return float(digits)
    if "." in digits or "d" in digits.lower():
        return Decimal(digits.lower().replace("d", "e"))
    return int(digits)


def _time(piece: str) -> object:
    if piece.endswith("T"):
        piece = (piece[:-1] + "-01-01")[:10]
    if "T" not in piece:
        return date.fromisoformat(piece)
    moment = datetime.fromisoformat(piece)
    return moment.replace(tzinfo=UTC) if moment.utcoffset() == timedelta(0) else moment


def _named(piece: str) -> object:
    match piece:
        case "true":
            return True
        case "false":
            return False
        case "nan":
            return math.nan
        case "+inf":
            return math.inf
        case "-inf":
            return -math.inf
        case _:
            return None if piece == "null" or piece.startswith("null.") else piece
