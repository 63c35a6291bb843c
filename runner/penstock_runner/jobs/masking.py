"""Hides secrets in all that leaves a job: `******` for the value and its usual disguises.

Best effort by nature: a job that wants to show a secret can. Values under three characters are not
masked, since that would garble every line; `add` says so by its answer.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "******"
SHORTEST = 3
SHORTEST_LINE = 6
SHORTEST_DISGUISE = 6


class Masker:
    """The secrets that one job has seen, and the text without them."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._longest = 0
        for value in values:
            self.add(value)

    def add(self, value: str) -> bool:
        """Hide this value from now on; False when it is too short to be hidden."""
        if len(value.strip()) < SHORTEST:
            return False
        fresh = set(_forms(value)) - self._forms
        if fresh:
            self._forms |= fresh
            self._longest = max(map(len, self._forms))
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return True

    def mask(self, text: str) -> str:
        """The text with every known secret hidden."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    @property
    def empty(self) -> bool:
        """Whether nothing is hidden."""
        return self._pattern is None

    def hides(self, text: str) -> bool:
        """Whether there is something in the text that is hidden."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def deep(self, value: object) -> object:
        """Texts inside maps and lists too."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return {self.deep(key): self.deep(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.deep(item) for item in value]
        return value

    def held(self, text: str) -> int:
        """How many characters at the end may be the beginning of a secret."""
        for length in range(min(len(text), self._longest - 1), 0, -1):
            tail = text[-length:]
            if any(len(form) > length and form.startswith(tail) for form in self._forms):
                return length
        return 0


def _forms(value: str) -> Iterator[str]:
    stripped = value.strip()
    yield value
    yield stripped
    for line in stripped.splitlines():
        if len(line.strip()) >= SHORTEST_LINE:
            yield line.strip()
    for plain in {value, stripped}:
        for form in _disguises(plain):
            if len(form) >= SHORTEST_DISGUISE or len(form) > len(plain):
                yield form


def _disguises(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "surrogatepass")
    yield raw.hex()
    yield raw.hex().upper()
    yield quote(value, safe="", errors="replace")
    yield quote_plus(value, errors="replace")
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    quoted = shlex.quote(value)
    yield quoted[1:-1] if quoted.startswith("'") else quoted
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset, cut in ((0, 0), (1, 2), (2, 3)):
            text = encode(bytes(offset) + raw).decode().rstrip("=")
            sure = text[cut:-1] if (offset + len(raw)) % 3 else text[cut:]
            if len(sure) >= SHORTEST_DISGUISE:
                yield sure
