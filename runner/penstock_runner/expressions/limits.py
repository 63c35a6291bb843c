"""How large a rendering may grow before it is stopped."""

from __future__ import annotations

from penstock_runner.expressions.errors import RenderLimit

TEXT = 16 * 1024 * 1024
"""Characters of one rendered text, and of any text made on the way."""
ITEMS = 500_000
"""Items of one list, and steps of all loops of one rendering."""
RANGE = 100_000
"""Items of one range."""
ROUNDS = 100
"""How often a text is rendered again before it is given up."""
NESTING = 12
"""How deep `render` may call `render`."""
RERENDERED = 20_000
"""Prints and tags of all texts that one rendering renders again."""
INTERPOLATIONS = 1_000
"""Parts of one text with `#{`."""
DEPTH = 200
"""How deep brackets and tags may be nested in a source."""


class Budget:
    """How much one value may give when it is written: the same list may be in it many times."""

    __slots__ = ("_items", "_length")

    def __init__(self) -> None:
        self._length = self._items = 0

    def spend(self, length: int) -> None:
        """Count one item of a text, with its length."""
        self._length += length
        self._items += 1
        if self._items > ITEMS:
            check_items(self._items)
        if self._length > TEXT:
            check_text(self._length)


def check_text(length: int) -> None:
    """Refuse a text of that length if it is too long."""
    if length > TEXT:
        raise RenderLimit(f"The rendered text is longer than {TEXT // (1024 * 1024)} MiB")


def check_items(count: int) -> None:
    """Refuse a list of that many items if they are too many."""
    if count > ITEMS:
        raise RenderLimit(f"The list has more than {ITEMS:,} items")
