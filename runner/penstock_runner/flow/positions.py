"""Where in a file a place inside a scalar is.

A template fault is known as a line and a column of the scalar's value; the file has quotes,
escapes, indentation and folded lines around it. `locate` finds the character of the file that a
character of the value came from.
"""

from __future__ import annotations

from dataclasses import dataclass

_BLANK = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a file: lines and columns start at 1 and count code points."""

    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1


def offset_of(text: str, line: int, column: int) -> int:
    """The index of a line and column (from 1) in a text; the end of the text when it is beyond."""
    index = 0
    for _ in range(line - 1):
        found = text.find("\n", index)
        if found < 0:
            return len(text)
        index = found + 1
    return min(index + column - 1, len(text))


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """The line and column (from 1) of an index in a text."""
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def locate(raw: str, style: str, value: str, offset: int) -> int:
    """The index in the raw text of a scalar of the character at `offset` of its value."""
    if style in ("|", ">"):
        header = raw.find("\n") + 1
        return header + _along(raw[header:], value, offset, style)
    opening = 1 if style in ('"', "'") else 0
    return opening + _along(raw[opening:], value, offset, style)


def _along(raw: str, value: str, offset: int, style: str) -> int:
    """Walk the raw text and the value together; runs of blanks count as equal however long."""
    at = _blanks(raw, 0) if style in ("|", ">") and value[:1] not in _BLANK else 0
    done = 0
    while done < offset and at < len(raw):
        if value[done] in _BLANK and raw[at] in _BLANK:
            ahead = _blanks(value, done)
            if offset < ahead and "\n" not in value[done:ahead]:
                return at + offset - done
            at, done = _blanks(raw, at), ahead
        elif raw[at] == value[done] and not (style == '"' and raw[at] == "\\"):
            at += 2 if style == "'" and raw[at] == "'" else 1
            done += 1
        else:
            at, done = _escape(raw, at, value, done)
    return min(at, len(raw))


def _blanks(text: str, index: int) -> int:
    while index < len(text) and text[index] in _BLANK:
        index += 1
    return index


def _escape(raw: str, at: int, value: str, done: int) -> tuple[int, int]:
    """One escape of a double-quoted scalar, or a line break that the file folds away."""
    if raw[at] != "\\":
        return at + 1, done if raw[at] in _BLANK else done + 1
    following = raw[at + 1 : at + 2]
    if following in ("\n", "\r"):
        return _blanks(raw, at + 1), done
    width = {"x": 4, "u": 6, "U": 10}.get(following, 2)
    return at + width, done + 1 if done < len(value) else done
