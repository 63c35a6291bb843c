"""Colours of terminals as classes of the page: text in, safe HTML out. Pure.

Of what terminals can do only the eight colours of letters, grey and bold are kept; all else is
dropped, and so is every other control character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

SEQUENCE = re.compile(r"\x1b\[([0-9;:]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]?")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
COLOURS = frozenset({"31", "32", "33", "34", "35", "36"})
GREY = frozenset({"90", "37", "2"})


def html(text: str, wanted: str = "") -> Markup:
    """A log message with its colours, and with what is searched for marked."""
    if not wanted and "\x1b" not in text:
        return escape(text if text.isprintable() else CONTROL.sub("", text))
    return Markup("").join(_piece(part, style, wanted) for part, style in pieces(text))


def pieces(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The text in pieces, each with the classes it has."""
    colour, bold, start = "", False, 0
    for found in SEQUENCE.finditer(text):
        if found.start() > start:
            yield text[start : found.start()], _classes(colour, bold=bold)
        start = found.end()
        if found[2] == "m":
            colour, bold = _turned(found[1], colour, bold=bold)
    if start < len(text):
        yield text[start:], _classes(colour, bold=bold)


def plain(text: str) -> str:
    """The text alone."""
    return CONTROL.sub("", SEQUENCE.sub("", text))


def _turned(codes: str, colour: str, *, bold: bool) -> tuple[str, bool]:
    numbers = iter((codes or "0").replace(":", ";").split(";"))
    for number in numbers:
        code = number.lstrip("0") or "0"
        if code == "0":
            colour, bold = "", False
        elif code == "1":
            bold = True
        elif code == "22":
            bold = False
        elif code in GREY:
            colour = "a90"
        elif code in COLOURS:
            colour = f"a{code}"
        elif code.startswith("9") and f"3{code[1:]}" in COLOURS:
            colour = f"a3{code[1:]}"
        elif code == "39":
            colour = ""
        elif code in {"38", "48"}:
            # A colour out of a palette: the numbers that name it are no codes of their own.
            for _ in range({"5": 1, "2": 3}.get(next(numbers, ""), 0)):
                next(numbers, None)
    return colour, bold


def _classes(colour: str, *, bold: bool) -> tuple[str, ...]:
    return tuple(name for name in (colour, "a1" if bold else "") if name)


def _piece(text: str, style: tuple[str, ...], wanted: str) -> Markup:
    shown = _marked(CONTROL.sub("", text), wanted)
    if not style:
        return shown
    return Markup('<span class="{}">{}</span>').format(" ".join(style), shown)


def _marked(text: str, wanted: str) -> Markup:
    if not wanted:
        return escape(text)
    parts = re.split(f"({re.escape(wanted)})", text, flags=re.IGNORECASE)
    return Markup("").join(
        Markup("<mark>{}</mark>").format(part) if n % 2 else escape(part)
        for n, part in enumerate(parts)
    )
