"""What a plain YAML scalar means in a flow file.

The rules are those of the flow language, not of a YAML version: `yes`, `no`, `on` and `off` are
booleans, `0b`, `0x`, a leading `0` (octal) and `_` are understood in numbers, while dates, times
and `1:30` stay text, because inputs and properties read them themselves.
"""

from __future__ import annotations

import re

_WORDS: dict[str, bool | None] = {"~": None, "": None}
for _word, _value in (("true", True), ("yes", True), ("on", True)):
    _WORDS |= {_word: _value, _word.title(): _value, _word.upper(): _value}
for _word in ("false", "no", "off"):
    _WORDS |= {_word: False, _word.title(): False, _word.upper(): False}
_WORDS |= {"null": None, "Null": None, "NULL": None}

_MAY_BE_NUMBER = frozenset("+-.0123456789")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_]+")
_BINARY = re.compile(r"[-+]?0b[01_]+")
# Without a dot there is no float: an unquoted commit id such as 123e4567 must stay text.
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NOT_A_NUMBER = re.compile(r"\.(?:nan|NaN|NAN)")
# Longer digit strings are identifiers, not numbers, and turning them into integers is quadratic.
_LONGEST_NUMBER = 400


def plain(text: str) -> object:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER or len(text) > _LONGEST_NUMBER:
        return text
    return _number(text)


def _number(text: str) -> object:
    if _DECIMAL.fullmatch(text):
        return int(text.replace("_", ""))
    for pattern, base in ((_OCTAL, 8), (_HEX, 16), (_BINARY, 2)):
        if pattern.fullmatch(text):
            digits = text.replace("_", "")
            return int(digits, base) if digits[-1] not in "xb+-" else text
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if infinite := _INFINITE.fullmatch(text):
        return float(f"{infinite[1]}inf")
    return float("nan") if _NOT_A_NUMBER.fullmatch(text) else text


def tagged(tag: str, text: str) -> object:
    """The value of a scalar with an explicit tag; raises ValueError when it cannot have one."""
    match tag.removeprefix("tag:yaml.org,2002:"):
        case "str" | "timestamp":
            return text
        case "null":
            return None
        case "bool" if isinstance(_WORDS.get(text), bool):
            return _WORDS[text]
        case "int" if type(plain(text)) is int:
            return plain(text)
        case "float" if type(number := plain(text)) in (int, float):
            return float(str(number))
    raise ValueError(f"the tag {tag} is not allowed on {text[:40]!r}: leave the tag out")
