"""Flow files as numbered, coloured lines, and what changed between two of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from markupsafe import Markup, escape

AROUND = 3
TOKENS = re.compile(
    r"(?P<c>(?:^|(?<=\s))#.*$)"
    r"|(?P<e>\{\{.*?\}\}|\{%.*?%\})"
    r"|(?P<k>(?:(?<=^)|(?<=[\s{,-]))[\w.$-]+:(?=\s|$))"
    r"|(?P<s>\"[^\"{}]*\"|(?<!\w)'[^'{}]*'(?!\w))"
)
# A word with a colon in the middle of a line is a script's, not a key.
_KEY_FOLLOWS = re.compile(r"(?:^[\s-]*|[{,]\s*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """One line of a difference; `kind` is add, del, hunk or nothing."""

    old: int | None
    new: int | None
    sign: str
    kind: str
    html: Markup


def lines(source: str) -> list[Markup]:
    """A file line by line with its colours."""
    return [coloured(line) for line in source.rstrip("\n").split("\n")]


def coloured(line: str) -> Markup:
    """One line: keys, texts, expressions and comments have classes."""
    parts: list[Markup] = []
    start = 0
    for found in TOKENS.finditer(line):
        if found.lastgroup == "k" and not _KEY_FOLLOWS.search(line, 0, found.start()):
            continue
        parts.append(escape(line[start : found.start()]))
        parts.append(Markup('<span class="{}">{}</span>').format(found.lastgroup, found[0]))
        start = found.end()
    parts.append(escape(line[start:]))
    return Markup("").join(parts)


def difference(old: str, new: str) -> tuple[list[DiffLine], int, int]:
    """What changed, with some lines around it, and how many lines came and went."""
    before, after = old.rstrip("\n").split("\n"), new.rstrip("\n").split("\n")
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    shown: list[DiffLine] = []
    added = removed = 0
    for group in matcher.get_grouped_opcodes(AROUND):
        shown.append(
            DiffLine(
                old=None,
                new=None,
                sign="",
                kind="hunk",
                html=escape(f"from line {group[0][3] + 1}"),
            )
        )
        for tag, a, b, c, d in group:
            if tag == "equal":
                shown += _same(before, a, b, c)
                continue
            removed += b - a
            added += d - c
            shown += _changed(before[a:b], a, "del", "-")
            shown += _changed(after[c:d], c, "add", "+")
    return shown, added, removed


def _same(before: Sequence[str], a: int, b: int, c: int) -> Iterator[DiffLine]:
    for n in range(a, b):
        yield DiffLine(old=n + 1, new=c + n - a + 1, sign=" ", kind="", html=coloured(before[n]))


def _changed(found: Sequence[str], first: int, kind: str, sign: str) -> Iterator[DiffLine]:
    for n, line in enumerate(found, first + 1):
        old, new = (n, None) if kind == "del" else (None, n)
        yield DiffLine(old=old, new=new, sign=sign, kind=kind, html=coloured(line))
