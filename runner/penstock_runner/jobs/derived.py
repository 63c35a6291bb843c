"""What filters and functions make of a secret is a secret, too.

Values are told apart by what is in them, not by where they came from: a text that holds a known
secret, in any of its forms, is one, whatever variable or template has brought it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

DEEPEST = 6
MOST = 2000
LONGEST = 16 * 1024
SHORTEST = 4


def derived(given: Sequence[object], result: object, hides: Callable[[str], bool]) -> Iterator[str]:
    """The texts in `result` that are to be hidden, since one in `given` is."""
    asked = (text for value in given for text in texts(value))
    if any(hides(text) for text in islice(asked, MOST)):
        for text in islice(texts(result), MOST):
            if SHORTEST <= len(text) <= LONGEST and not hides(text):
                yield text


def texts(value: object, depth: int = 0) -> Iterator[str]:
    """Every text in a value of maps and lists."""
    if isinstance(value, str):
        yield value
    elif depth < DEEPEST:
        if isinstance(value, Mapping):
            for item in value.values():
                yield from texts(item, depth + 1)
        elif isinstance(value, list | tuple):
            for item in value:
                yield from texts(item, depth + 1)
