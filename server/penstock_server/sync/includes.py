"""`[[> file]]` in a flow file: the text of another file of the source, put in its place.

A file of one line stands where it is named; the lines of a longer one each get what stands before
it (its indentation). A backslash before it makes it plain text. What is read is a file of the same
source, never another one, and every line remembers where it came from, so that faults point there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from penstock_runner.flow.faults import Fault

MARK = "[[>"
DEEPEST = 10
LONGEST = 1024 * 1024
_INCLUDE = re.compile(r"(\\?)\[\[>[ \t]*([^\]\n]*?)[ \t]*\]\]")

Read = Callable[[str], str | Fault | None]
"""The text of a file of the source by its path; None when there is no such file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a line was written; `shift` is how far to the right it has moved."""

    path: str
    line: int
    shift: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A text without includes, the origin of each of its lines, and the files it was made of."""

    text: str
    origins: tuple[Origin, ...] = ()
    included: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    def at_origin(self, fault: Fault, shown: Callable[[str], str]) -> Fault:
        """The fault at the line where it was written; `shown` is how a path is said."""
        if not 0 < fault.line <= len(self.origins):
            return fault
        origin = self.origins[fault.line - 1]
        length = None if fault.end_line is None else fault.end_line - fault.line
        return replace(
            fault,
            path=shown(origin.path),
            line=origin.line,
            column=max(1, fault.column - origin.shift),
            end_line=None if length is None else origin.line + length,
        )


def expand(text: str, path: str, read: Read) -> Expanded:
    """The text with all its includes; without any it is given back as it is."""
    if MARK not in text:
        return Expanded(text=text)
    expansion = _Expansion(read)
    lines = expansion.lines(text, path, (path,))
    if expansion.faults:
        return Expanded(text=text, faults=tuple(expansion.faults))
    return Expanded(
        text="\n".join(line for line, _ in lines),
        origins=tuple(origin for _, origin in lines),
        included=tuple(sorted(expansion.included)),
    )


Line = tuple[str, Origin]


class _Expansion:
    """One file with everything below it."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._length = 0
        self.included: set[str] = set()
        self.faults: list[Fault] = []

    def lines(self, text: str, path: str, stack: tuple[str, ...]) -> list[Line]:
        found: list[Line] = []
        for number, line in enumerate(text.split("\n"), 1):
            if self.faults:
                break
            origin = Origin(path=path, line=number)
            found += self._line(line, origin, stack) if MARK in line else [(line, origin)]
        return found

    def _line(self, line: str, origin: Origin, stack: tuple[str, ...]) -> list[Line]:
        before, at = "", 0
        for match in _INCLUDE.finditer(line):
            before += line[at : match.start()]
            at = match.end()
            if match[1]:
                before += match[0][1:]
                continue
            below = self._file(match[2], origin, stack)
            if self.faults:
                return []
            if len(below) > 1:
                return self._indented(before, below, line[at:])
            before += below[0][0] if below else ""
        return [(before + line[at:], origin)]

    def _indented(self, before: str, below: list[Line], after: str) -> list[Line]:
        moved = [
            (before + line, replace(origin, shift=origin.shift + len(before)))
            for line, origin in below
        ]
        last, origin = moved[-1]
        return [*moved[:-1], (last + after, origin)]

    def _file(self, name: str, at: Origin, stack: tuple[str, ...]) -> list[Line]:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(at.path), name))
        if not name or name.startswith("/") or path.startswith(".."):
            return self._fault(
                "INCLUDE_OUTSIDE", f"{name!r} is outside the folder of the source", at
            )
        if path in stack:
            chain = " -> ".join((*stack, path))
            return self._fault("INCLUDE_CYCLE", f"the files include each other: {chain}", at)
        if len(stack) > DEEPEST:
            return self._fault("INCLUDE_TOO_DEEP", f"includes go deeper than {DEEPEST} files", at)
        text = self._read(path)
        if text is None:
            message = f"there is no file {path!r}; paths are relative to the file that includes"
            return self._fault("INCLUDE_NOT_FOUND", message, at)
        if isinstance(text, Fault):
            self.faults.append(text)
            return []
        self.included.add(path)
        self._length += len(text)
        if self._length > LONGEST:
            return self._fault("FILE_TOO_BIG", f"its includes have more than {LONGEST} bytes", at)
        whole = text.removesuffix("\n").removesuffix("\r")
        return self.lines(whole, path, (*stack, path))

    def _fault(self, code: str, message: str, at: Origin) -> list[Line]:
        fault = Fault(code=code, message=message, path=at.path, line=at.line)
        self.faults.append(fault)
        return []
