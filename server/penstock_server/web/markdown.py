"""Markdown that tasks write, as safe HTML: text in, elements of a short list out. Pure.

Headings, lists, tables, quotes, code, emphasis and links to web pages are shown. HTML is shown as
the text it is, and a picture by its name: a page of ours fetches nothing from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup, escape

from penstock_runner.jobs.masking import MASK

HEADINGS_FROM = 3
"""What is a heading of the first order there is one of this order in the page."""

_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(.*)")
_ITEM = re.compile(r"(\s*)([-*+]|\d{1,9}[.)])\s+(.*)")
_QUOTE = re.compile(r"\s*>")
_RULE = re.compile(r"\s{0,3}([-*_])(?:\s*\1){2,}\s*")
_COLUMN_MARK = re.compile(r":?-+:?")
_INLINE = re.compile(
    r"(?P<code>`+)(?P<text>.+?)(?P=code)"
    r"|!\[(?P<picture>[^\]\n]*)\]\([^)\n]*\)"
    r"|\[(?P<words>[^\]\n]+)\]\((?P<url>[^)\s]+)(?:\s+\"[^\"]*\")?\)"
    r"|(?P<bare>https?://[^\s<>\"'`)\]]+)"
    r"|\*\*(?P<bold>[^\s*](?:.*?\S)?)\*\*"
    r"|(?<![\w*])\*(?P<slanted>[^\s*](?:[^*]*?\S)?)\*(?![\w*])"
    r"|(?<!\w)_(?P<under>\S(?:[^_]*?\S)?)_(?!\w)"
    r"|~~(?P<gone>.+?)~~"
)
_WEB = re.compile(r"https?://", re.IGNORECASE)
_WRAPPED = (("bold", "strong"), ("slanted", "em"), ("under", "em"), ("gone", "s"))
DEEPEST = 4
LONGEST_LINE = 1000
"""A longer line is shown as it is: looking for what may be in it takes its square."""


def html(text: str) -> Markup:
    """The text as HTML."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Markup("\n").join(_blocks(lines))


def _blocks(lines: Sequence[str], depth: int = 0) -> Iterator[Markup]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif fence := _FENCE.match(line):
            end = _end_of_fence(lines, at + 1, fence[1])
            yield _tag("pre", Markup("<code>{}</code>").format("\n".join(lines[at + 1 : end])))
            at = end + 1
        elif heading := _HEADING.fullmatch(line):
            order = min(len(heading[1]) + HEADINGS_FROM - 1, 6)
            yield _tag(f"h{order}", inline(_unclosed(heading[2])))
            at += 1
        elif _RULE.fullmatch(line) and line.strip() != MASK:
            yield Markup("<hr>")
            at += 1
        else:
            end, block = _run(lines, at, depth)
            yield block
            at = end


def _run(lines: Sequence[str], at: int, depth: int) -> tuple[int, Markup]:
    """A block of several lines that belong together: where it ends, and what it is."""
    line = lines[at]
    if line.lstrip().startswith(">") and depth < DEEPEST:
        end = _while(lines, at, lambda one: one.lstrip().startswith(">"))
        inner = [re.sub(r"^\s*>\s?", "", one) for one in lines[at:end]]
        return end, _tag("blockquote", Markup("").join(_blocks(inner, depth + 1)))
    if "|" in line and at + 1 < len(lines) and _is_table_mark(lines[at + 1]):
        end = _while(lines, at + 2, lambda one: "|" in one)
        return end, _table([line, *lines[at + 2 : end]])
    if _ITEM.fullmatch(line):
        end = _while(lines, at, lambda one: bool(_ITEM.fullmatch(one) or one.startswith("  ")))
        return end, _list(lines[at:end])
    end = _while(lines, at + 1, lambda one: not _begins(one))
    return end, _tag("p", Markup("<br>").join(inline(one.strip()) for one in lines[at:end]))


def _list(lines: Sequence[str]) -> Markup:
    """The items of a list; those that are further in are parts of the one before."""
    first = _ITEM.fullmatch(lines[0])
    kind = "ol" if first and first[2][0].isdigit() else "ul"
    inset = len(first[1]) if first else 0
    items: list[Markup] = []
    at = 0
    while at < len(lines):
        found = _ITEM.fullmatch(lines[at])
        own = inline(found[3]) if found else inline(lines[at].strip())
        end = at + 1
        while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > inset + 1:
            end += 1
        below = lines[at + 1 : end]
        if below and _ITEM.fullmatch(below[0]) and inset < 2 * DEEPEST:
            own += _list(below)
        elif below:
            own += Markup(" ") + inline(" ".join(one.strip() for one in below))
        items.append(_tag("li", own))
        at = end
    return _tag(kind, Markup("").join(items))


def _table(lines: Sequence[str]) -> Markup:
    rows = [_cells(line) for line in lines]
    head = Markup("").join(_tag("th", inline(cell)) for cell in rows[0])
    body = Markup("").join(
        _tag("tr", Markup("").join(_tag("td", inline(cell)) for cell in row)) for row in rows[1:]
    )
    return _tag("table", _tag("thead", _tag("tr", head)) + _tag("tbody", body))


def inline(text: str) -> Markup:
    """A line with its emphasis, code and links."""
    if len(text) > LONGEST_LINE:
        return escape(text)
    parts: list[Markup] = []
    start = 0
    for found in _INLINE.finditer(text):
        parts.append(escape(text[start : found.start()]))
        parts.append(_inlined(found))
        start = found.end()
    return Markup("").join([*parts, escape(text[start:])])


def _inlined(found: re.Match[str]) -> Markup:
    if found["text"] is not None:
        return _tag("code", escape(found["text"].strip()))
    if found["picture"] is not None:
        return escape(found["picture"] or "picture")
    if found["words"] is not None:
        return _link(found["url"], inline(found["words"]))
    if found["bare"] is not None:
        return _link(found["bare"], escape(found["bare"]))
    name, element = next((n, e) for n, e in _WRAPPED if found[n] is not None)
    return _tag(element, inline(found[name]))


def _link(url: str, words: Markup) -> Markup:
    if not _WEB.match(url):
        return words
    return Markup('<a href="{}" rel="nofollow noopener noreferrer">{}</a>').format(url, words)


def _tag(name: str, content: Markup) -> Markup:
    return Markup(f"<{name}>{{}}</{name}>").format(content)  # noqa: S704 - names are ours


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _unclosed(heading: str) -> str:
    """The words of a heading without the marks that may close it."""
    words = heading.rstrip()
    bare = words.rstrip("#")
    return bare.rstrip() if not bare or bare[-1].isspace() else words


def _is_table_mark(line: str) -> bool:
    return "|" in line and all(_COLUMN_MARK.fullmatch(cell) for cell in _cells(line))


def _begins(line: str) -> bool:
    """Whether a line ends the paragraph before it."""
    return not line.strip() or any(p.match(line) for p in (_FENCE, _HEADING, _ITEM, _QUOTE))


def _end_of_fence(lines: Sequence[str], at: int, mark: str) -> int:
    return next((n for n in range(at, len(lines)) if lines[n].strip().startswith(mark)), len(lines))


def _while(lines: Sequence[str], at: int, fits: Callable[[str], bool]) -> int:
    end = at
    while end < len(lines) and fits(lines[end]):
        end += 1
    return end
