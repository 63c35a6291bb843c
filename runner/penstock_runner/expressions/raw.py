"""`{% raw %}` blocks: taken out of a source before it is parsed, put back into what it rendered.

Marks of one private character stand for the blocks meanwhile. The tags are found in one pass, so
that a source full of openings costs no more than any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock_runner.expressions.errors import ExpressionSyntax

_TAG = re.compile(r"\{%-?\s*(end)?(raw|verbatim)\s*-?%\}")
_MARKS = [chr(code) for code in range(0xE0F0, 0xE120)]
"""Private characters, of which a source takes one that is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBlocks:
    """A source without its raw blocks, and what is needed to put them back."""

    text: str
    mark: str = ""
    blocks: tuple[str, ...] = ()
    cuts: tuple[tuple[int, int], ...] = ()
    """For each block where its mark ends in `text`, and how far the source is ahead from there."""

    def original(self, offset: int) -> int:
        """Where in the source an offset of `text` was."""
        ahead = 0
        for end, more in self.cuts:
            if end > offset:
                break
            ahead = more
        return offset + ahead

    def back(self, rendered: str) -> str:
        """A rendered text with the blocks put back."""
        for index, block in enumerate(self.blocks):
            rendered = rendered.replace(f"{self.mark}{index}{self.mark}", block)
        return rendered


def take_raw(source: str) -> RawBlocks:
    """The source with marks for its raw blocks; a block that is not closed stays."""
    if "raw" not in source and "verbatim" not in source:
        return RawBlocks(text=source)
    mark = next((mark for mark in _MARKS if mark not in source), None)
    if mark is None:
        raise ExpressionSyntax("Too many private characters beside raw", 1, 1, source)
    parts: list[str] = []
    blocks: list[str] = []
    cuts: list[tuple[int, int]] = []
    done = length = 0
    for opening, closing in _pairs(source):
        parts += (source[done : opening.start()], f"{mark}{len(blocks)}{mark}")
        length += len(parts[-2]) + len(parts[-1])
        done = closing.end()
        blocks.append(source[opening.end() : closing.start()])
        cuts.append((length, done - length))
    parts.append(source[done:])
    return RawBlocks(text="".join(parts), mark=mark, blocks=tuple(blocks), cuts=tuple(cuts))


def _pairs(source: str) -> list[tuple[re.Match[str], re.Match[str]]]:
    """Each opening tag with the first closing tag of its name after it."""
    found: list[tuple[re.Match[str], re.Match[str]]] = []
    tags = list(_TAG.finditer(source))
    last = {tag[2]: index for index, tag in enumerate(tags) if tag[1]}
    opening: re.Match[str] | None = None
    for index, tag in enumerate(tags):
        if opening is None:
            if not tag[1] and index < last.get(tag[2], -1):
                opening = tag
        elif tag[1] and tag[2] == opening[2]:
            found.append((opening, tag))
            opening = None
    return found
