"""Ids that clients see: 22 characters of base 62, ordered by time where they are drawn.

An execution's id is a UUIDv7 written in base 62, so sorting by id is sorting by creation. A task
run's id is derived from its execution and its key, so doing a thing twice never names it twice.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from threading import Lock

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 22
HALF = 62**11
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def base62(number: int) -> str:
    """A number below 2**128 as 22 characters that sort as the numbers do."""
    high, low = divmod(number, HALF)
    return _eleven(high) + _eleven(low)


def _eleven(number: int) -> str:
    """Eleven digits, two at a time: numbers of one machine word divide fast."""
    number, last = divmod(number, 62)
    pairs = []
    for _ in range(5):
        number, pair = divmod(number, 3844)
        pairs.append(PAIRS[pair])
    pairs.reverse()
    return "".join(pairs) + ALPHABET[last]


def first_id(at: datetime) -> str:
    """The smallest id that an execution of this moment could have."""
    return base62(((at - EPOCH) // MILLISECOND) << 80)


def derived_id(*parts: object) -> str:
    """The id of something that has its place for a name."""
    digest = blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest()
    return base62(int.from_bytes(digest))


class ExecutionIds:
    """Draws execution ids; two of the same millisecond keep their order."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = Lock()

    def new(self, at: datetime) -> str:
        """A fresh id for something that begins at `at`."""
        millis = (at - EPOCH) // MILLISECOND
        random = int.from_bytes(os.urandom(10))
        number = (millis << 80) | (7 << 76) | (random & ((1 << 76) - 1))
        with self._lock:
            number = max(number, self._last + 1 + (random & 0xFFFFFFFF))
            self._last = number
        return base62(number)
