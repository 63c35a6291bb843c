"""Reads values of text Ion, the notation of item files that other tools have written.

Structs, lists, texts, numbers, booleans, nulls, timestamps and symbols are understood; annotations
are passed over. Timestamps become aware datetimes, or dates when they hold no time.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<long>(?:'''(?:[^\\]|\\.)*?'''\s*)+)
    | (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<quoted>'(?:[^'\\]|\\.)*')
    | (?P<stamp>\d{4}-\d{2}-\d{2}(?:T(?:\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[-+]\d{2}:\d{2}))?)?
         |\d{4}(?:-\d{2})?T)
    | (?P<special>[-+]inf\b|nan\b)
    | (?P<base>-?0[xXbB][0-9a-fA-F_]+)
    | (?P<number>-?\d[\d_]*(?:\.[\d_]*)?(?:[dDeE][-+]?\d+)?)
    | (?P<word>[A-Za-z_$][\w$]*(?:\.[a-z]+)?)
    | (?P<mark>::|[{}\[\]():,])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r?\n|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CLOSING = {"[": "]", "(": ")"}
_DEEPEST = 200


class BadItem(ValueError):
    """A line of an item file that is neither JSON nor text Ion."""


def read_value(text: str, number: int = 1) -> object:
    """The one value of a text; `number` is its line, for the message."""
    reader = _Reader(text, number)
    value = reader.value(0)
    if not reader.at_end():
        raise reader.fault("there is more after the value")
    return value


class _Reader:
    """Goes through the pieces of one line."""

    def __init__(self, text: str, number: int) -> None:
        self._text = text.rstrip()
        self._at = 0
        self._number = number

    def at_end(self) -> bool:
        """Whether everything was read."""
        return self._at >= len(self._text)

    def fault(self, what: str) -> BadItem:
        """The error to raise at this place."""
        return BadItem(f"line {self._number}, column {self._at + 1}: {what}")

    def value(self, depth: int) -> object:
        """The next value, with all it holds."""
        if depth > _DEEPEST:
            raise self.fault("values are nested too deeply")
        kind, piece = self._next()
        if kind in {"word", "quoted"} and self._take("::"):
            return self.value(depth)
        match kind:
            case "mark" if piece == "{":
                return self._struct(depth)
            case "mark" if piece in _CLOSING:
                return self._list(_CLOSING[piece], depth)
            case "mark":
                raise self.fault(f"a value was expected, not {piece!r}")
            case _:
                return self._scalar(kind, piece)

    def _scalar(self, kind: str, piece: str) -> object:
        try:
            return _scalar(kind, piece)
        except (ValueError, OverflowError):
            # A number with thousands of digits, a date or a code point that does not exist.
            raise self.fault(f"{piece[:40]!r} is no value") from None

    def _struct(self, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while not self._take("}"):
            kind, piece = self._next()
            if kind not in {"word", "quoted", "text", "long"}:
                raise self.fault(f"a field name was expected, not {piece!r}")
            if not self._take(":"):
                raise self.fault("a colon was expected")
            name = piece if kind == "word" else str(self._scalar(kind, piece))
            found[name] = self.value(depth + 1)
            if not self._take(",") and not self._sees("}"):
                raise self.fault("a comma or } was expected")
        return found

    def _list(self, closing: str, depth: int) -> list[object]:
        found: list[object] = []
        while not self._take(closing):
            found.append(self.value(depth + 1))
            if not self._take(",") and closing == "]" and not self._sees("]"):
                raise self.fault("a comma or ] was expected")
        return found

    def _next(self) -> tuple[str, str]:
        match = _TOKEN.match(self._text, self._at)
        if match is None or match.lastgroup is None:
            raise self.fault("this is neither JSON nor text Ion")
        self._at = match.end()
        return match.lastgroup, match[match.lastgroup]

    def _take(self, mark: str) -> bool:
        if not self._sees(mark):
            return False
        self._next()
        return True

    def _sees(self, mark: str) -> bool:
        match = _TOKEN.match(self._text, self._at)
        return match is not None and match["mark"] == mark


def _scalar(kind: str, piece: str) -> object:
    match kind:
        case "text" | "quoted" | "long":
            return _unquoted(kind, piece)
        case "stamp":
            return _moment(piece)
        case "special":
            return float(piece)
        case "base":
            return int(piece.replace("_", ""), 0)
        case "number":
            digits = piece.replace("_", "")
            if re.fullmatch(r"-?\d+", digits):
                return int(digits)
            return float(re.sub(r"[dD]", "e", digits))
        case _:
            return _word(piece)


def _word(piece: str) -> object:
    words: dict[str, object] = {"true": True, "false": False, "null": None}
    return words.get("null" if piece.startswith("null.") else piece, piece)


def _unquoted(kind: str, piece: str) -> str:
    if kind == "long":
        parts = re.findall(r"'''((?:[^\\]|\\.)*?)'''", piece, re.DOTALL)
        return _unescaped("".join(parts))
    return _unescaped(piece[1:-1])


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    # A character outside of the basic plane may be written as a pair of surrogates.
    whole = _ESCAPE.sub(_character, text)
    return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    return "" if code.endswith("\n") else _ESCAPES.get(code, code)


def _moment(piece: str) -> datetime | date:
    text = piece.removesuffix("T")
    if len(text) == 10:
        return date.fromisoformat(text)
    if len(text) < 10:
        return date.fromisoformat(f"{text}-01-01"[:10])
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
