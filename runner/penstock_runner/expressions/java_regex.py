"""Regular expressions that authors write, with a time limit; patterns without signs need none."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from penstock_runner.expressions import limits
from penstock_runner.expressions.errors import ExpressionFailed

SECONDS = 1.0
_SIGNS = frozenset(".^$*+?{}[]()|\\")
_POSIX = {
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Upper": "A-Z",
    "Lower": "a-z",
    "Punct": r"!-/:-@\[-`{-~",
    "Space": r"\s",
    "Blank": r" \t",
    "XDigit": "0-9a-fA-F",
}


def literal(pattern: str) -> str | None:
    """The text that a pattern stands for when it has no signs but escaped ones, else None."""
    plain = re.sub(r"\\([^\w\s])", "", pattern)
    if any(sign in _SIGNS for sign in plain):
        return None
    return re.sub(r"\\([^\w\s])", r"\1", pattern)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import regex

    python = re.sub(r"\(\?<(?![=!])", "(?P<", pattern)
    python = re.sub(r"\[\\p\{(\w+)\}\]|\\p\{(\w+)\}", _posix, python)
    try:
        return regex.compile(python, regex.VERSION0)
    except (regex.error, RecursionError) as error:
        raise ExpressionFailed(
            f"The regular expression {pattern!r} is not valid: {error}"
        ) from None


def _posix(match: re.Match[str]) -> str:
    name = match[1] or match[2]
    return f"[{_POSIX[name]}]" if name in _POSIX else match[0]


def substitute(pattern: str, replacement: str, text: str) -> str:
    """Each match replaced; `$1` and `${name}` in the replacement are groups."""
    expression = _compiled(pattern)
    pieces: list[str] = []
    end = size = 0
    parts = _template(replacement)
    for match in _matches(expression, text):
        pieces.append(text[end : match.start()])
        for part in parts:
            pieces.append(part if isinstance(part, str) else _group(match, part[0]))
            size += len(pieces[-1])
        end = match.end()
        limits.check_text(size)
    pieces.append(text[end:])
    return "".join(pieces)


def _matches(expression: Any, text: str) -> Any:
    try:
        yield from expression.finditer(text, timeout=SECONDS)
    except TimeoutError:
        raise ExpressionFailed(
            f"The regular expression took longer than {SECONDS:g} s: make it simpler"
        ) from None


def _template(replacement: str) -> list[str | tuple[str]]:
    parts: list[str | tuple[str]] = []
    for literal_text, escaped, number, name in re.findall(
        r"([^\\$]+)|\\(.)|\$(\d)|\$\{(\w+)\}", replacement, re.DOTALL
    ):
        parts.append(literal_text or escaped or (number or name,))
    return parts


def _group(match: Any, name: str) -> str:
    try:
        return match[int(name) if name.isdigit() else name] or ""
    except IndexError:
        raise ExpressionFailed(f"The regular expression has no group {name}") from None


def split(pattern: str, text: str, limit: int | None) -> list[str]:
    """The parts between matches; without a limit trailing empty parts are dropped."""
    fixed = literal(pattern)
    if fixed:
        parts = text.split(fixed, limit - 1 if limit and limit > 0 else -1)
    else:
        parts = _split(_compiled(pattern), text, limit or 0)
    if not limit and len(parts) > 1:
        while parts and not parts[-1]:
            parts.pop()
    return parts


def _split(expression: Any, text: str, limit: int) -> list[str]:
    parts: list[str] = []
    start = 0
    for match in _matches(expression, text):
        if match.end() == 0 or (match.start() == match.end() == len(text)):
            continue
        if limit > 0 and len(parts) == limit - 1:
            break
        parts.append(text[start : match.start()])
        start = match.end()
    parts.append(text[start:])
    return parts


def found(pattern: str, text: str) -> bool:
    """Whether the pattern matches somewhere."""
    return next(_matches(_compiled(pattern), text), None) is not None


def extract(pattern: str, text: str, group: int) -> str | None:
    """A group of the first match, or null."""
    match = next(_matches(_compiled(pattern), text), None)
    return None if match is None else _group(match, str(group))
