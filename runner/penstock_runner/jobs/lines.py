"""Cuts the bytes of a stream into lines of text fit for a log.

Invalid UTF-8 becomes U+FFFD, a progress line that overwrote itself is shown in its last state,
colours stay and other terminal sequences go. A line that does not end is shown in parts, but never
in the middle of what may be a secret or a protocol line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

CONTINUED = " [continued on the next line]"
LONGEST_PROTOCOL_LINE = 2 * 1024 * 1024
_SECTION = re.compile(r"^section_(?:start|end):\d+:[^\r\n]*\r")
_SEQUENCE = re.compile(
    r"\x1b(?:\[(?![0-9;:]*m)[0-?]*[ -/]*[@-~]"
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>78cDEHMNOZ])"
)


class LineCutter:
    """The lines of one stream. `held` says how much of a text's end must wait for what follows."""

    def __init__(self, *, longest: int, held: Callable[[str], int]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._longest = longest
        self._held = held
        self._rest = ""
        self._parts: list[str] = []
        self._waiting = 0

    def feed(self, chunk: bytes, *, final: bool = False) -> list[str]:
        """The lines that are complete with this chunk."""
        text = self._decoder.decode(chunk, final)
        if "\n" not in text:
            self._parts.append(text)
            self._waiting += len(text)
            return [] if self._waiting <= self._longest else self._cut(self._take())
        *lines, rest = (self._take() + text).split("\n")
        self._keep(rest)
        if any(len(line) > self._longest for line in lines):
            return [part for line in lines for part in self._split(line)]
        return lines

    def quiet(self) -> list[str]:
        """What may be shown of a line that has not ended for a while."""
        text = self._take()
        if text.startswith("::") or "::".startswith(text):
            self._keep(text)
            return []
        keep = self._held(text)
        self._keep(text[len(text) - keep :])
        shown = text[: len(text) - keep]
        return [shown] if shown else []

    def close(self) -> list[str]:
        """The last line, when it had no end."""
        lines = self.feed(b"", final=True)
        rest = self._take()
        return [*lines, *self._split(rest)] if rest else lines

    def _cut(self, text: str) -> list[str]:
        if text.startswith("::{") and len(text) <= LONGEST_PROTOCOL_LINE:
            self._keep(text)
            return []
        *parts, rest = self._split(text)
        self._keep(rest.removesuffix(CONTINUED))
        return parts

    def _split(self, text: str) -> list[str]:
        if text.startswith("::{") and len(text) <= LONGEST_PROTOCOL_LINE:
            return [text]
        parts: list[str] = []
        while len(text) > self._longest:
            cut = self._longest
            cut -= min(self._held(text[:cut]), cut - 1)
            parts.append(text[:cut] + CONTINUED)
            text = text[cut:]
        return [*parts, text]

    def _take(self) -> str:
        text = "".join(self._parts)
        self._parts.clear()
        self._waiting = 0
        return text

    def _keep(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._waiting = len(text)


def tidy(line: str) -> str:
    """A line as the log keeps it."""
    if "\r" in line and not _SECTION.match(line):
        line = line.rstrip("\r")
        line = line[line.rfind("\r") + 1 :]
    if "\x1b" in line:
        line = _SEQUENCE.sub("", line)
    return line.replace("\0", "\ufffd") if "\0" in line else line
