"""Takes SQL text apart without understanding it: statements, named parameters, question marks.

Quoted texts, quoted names, dollar quotes and comments (nested ones too) are passed over, so a
semicolon or a colon in them means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

_PIECE = re.compile(
    r"""
      (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<escaped>\b[eE]'(?:[^'\\]|\\.|'')*(?:'|$))
    | (?P<text>'(?:[^']|'')*(?:'|$))
    | (?P<name>"(?:[^"]|"")*(?:"|$))
    | (?P<dollar>(?<![\w$])\$(?P<tag>[A-Za-z_]\w*)?\$)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_NAMED = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")


def pieces(sql: str) -> Iterator[tuple[str, str]]:
    """The text in order, as (kind, text): `code`, `quoted` or `comment`."""
    at = 0
    while at < len(sql):
        found = _PIECE.search(sql, at)
        if found is None:
            yield "code", sql[at:]
            return
        if found.start() > at:
            yield "code", sql[at : found.start()]
        at = _end(sql, found)
        kind = "comment" if found.lastgroup in {"line", "block"} else "quoted"
        yield kind, sql[found.start() : at]


def statements(sql: str) -> list[str]:
    """The statements of a text, without their semicolons; empty ones are left out."""
    found: list[str] = []
    current: list[str] = []
    holds_code = False
    for kind, text in pieces(sql):
        if kind != "code":
            current.append(text)
            holds_code = holds_code or kind == "quoted"
            continue
        *ended, rest = text.split(";")
        for part in ended:
            current.append(part)
            if holds_code or part.strip():
                found.append("".join(current).strip())
            current, holds_code = [], False
        current.append(rest)
        holds_code = holds_code or bool(rest.strip())
    if holds_code:
        found.append("".join(current).strip())
    return found


def with_named(sql: str, names: Collection[str]) -> str:
    """The text with `:name` turned into `%(name)s`, for the names that have a value."""

    def named(match: re.Match[str]) -> str:
        return f"%({match[1]})s" if match[1] in names else match[0]

    return _marked(sql, lambda code: _NAMED.sub(named, code))


def with_positions(sql: str) -> str:
    """The text with `?` turned into `%s`."""
    return _marked(sql, lambda code: code.replace("?", "%s"))


def code_of(sql: str) -> str:
    """The text without quoted parts and comments, in lower case."""
    return "".join(text if kind == "code" else " " for kind, text in pieces(sql)).lower()


def gives_rows(sql: str) -> bool:
    """Whether a statement surely answers with rows and changes nothing, so that it can stream."""
    words = re.findall(r"[a-z_]+", code_of(sql))
    if not words or words[0] not in {"select", "with", "values", "table"}:
        return False
    return not {"into", "insert", "update", "delete", "merge"} & set(words)


def _marked(sql: str, mark: Callable[[str], str]) -> str:
    escaped = ((kind, text.replace("%", "%%")) for kind, text in pieces(sql))
    return "".join(mark(text) if kind == "code" else text for kind, text in escaped)


def _end(sql: str, found: re.Match[str]) -> int:
    match found.lastgroup:
        case "block":
            return _end_of_block(sql, found.end())
        case "dollar" | "tag":
            closing = sql.find(found["dollar"], found.end())
            return len(sql) if closing < 0 else closing + len(found["dollar"])
        case _:
            return found.end()


def _end_of_block(sql: str, at: int) -> int:
    depth = 1
    while depth:
        edge = _BLOCK_EDGE.search(sql, at)
        if edge is None:
            return len(sql)
        depth += 1 if edge[0] == "/*" else -1
        at = edge.end()
    return at
