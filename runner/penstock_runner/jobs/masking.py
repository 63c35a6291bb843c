"""Hides secrets in all that leaves a job: `******` for the value and its usual disguises.

Best effort by nature: a job that wants to show a secret can. Values under three characters are not
masked, since that would garble every line; `add` says so by its answer.

Nearly all text holds no secret, so what matters is how soon that is known. Searching a chunk for
one form after the other skips ahead by the length of the form, and for as many forms as a job knows
is several times as fast as an alternation of them all or an automaton in Python.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "******"
SHORTEST = 3
SHORTEST_LINE = 6
SHORTEST_DISGUISE = 6
KEY = 4
"""So many characters are looked for first where the beginning of a secret may be."""


class Masker:
    """The secrets that one job has seen, and the text without them; `learnt` are those it added."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self._longest = 0
        self.learnt: list[str] = []
        for value in values:
            self.add(value)
        self.learnt.clear()

    def add(self, value: str) -> bool:
        """Hide this value from now on; False when it is too short to be hidden."""
        if len(value.strip()) < SHORTEST:
            return False
        known = set(self._forms)
        fresh = tuple(form for form in forms(value) if form not in known)
        if fresh:
            self._longest = max(self._longest, *map(len, fresh))
            self._forms += fresh  # in one go: another thread may be masking
            self.learnt.append(value)
        return True

    def mask(self, text: str) -> str:
        """The text with every known secret hidden."""
        found = self._found(text)
        return _without(text, found) if found else text

    def mask_lines(self, lines: Sequence[str]) -> Sequence[str]:
        """Many lines at once: the same sequence when there is nothing to hide in them."""
        found = self._found("\n".join(lines)) if self._forms else ()
        return [_without(line, found) for line in lines] if found else lines

    @property
    def empty(self) -> bool:
        """Whether nothing is hidden."""
        return not self._forms

    def hides(self, text: str) -> bool:
        """Whether there is something in the text that is hidden."""
        return any(form in text for form in self._forms)

    def deep(self, value: object) -> object:
        """Texts inside maps and lists too."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return {self.deep(key): self.deep(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.deep(item) for item in value]
        return value

    def held(self, text: str) -> int:
        """How many characters at the end may be the beginning of a secret.

        A whole secret whose own end may begin another one is held with it, not cut in two.
        """
        end = text[-self._longest :] if self._longest else ""
        held = max((_begun(form, end) for form in self._forms), default=0)
        while held:
            wider = max(_cut_through(form, text, len(text) - held) for form in self._forms)
            if wider <= held:
                break
            held = wider
        return held

    def _found(self, text: str) -> list[str]:
        return [form for form in self._forms if form in text]


def _without(text: str, found: Iterable[str]) -> str:
    """The text with one mask wherever forms are, also where one begins inside of another."""
    spans = sorted(span for form in found for span in _spans(text, form))
    parts: list[str] = []
    shown = covered = 0
    for start, end in spans:
        if start >= covered:
            parts += [text[shown:start], MASK]
        shown = covered = max(covered, end)
    return "".join([*parts, text[shown:]])


def _spans(text: str, form: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


def _begun(form: str, text: str) -> int:
    """The length of the longest end of a text that a form goes on from."""
    start = max(0, len(text) - len(form) + 1)
    key = form[:KEY]
    while (start := text.find(key, start)) >= 0:
        if form.startswith(text[start:]):
            return len(text) - start
        start += 1
    return next((n for n in range(min(KEY, len(form)) - 1, 0, -1) if text.endswith(form[:n])), 0)


def _cut_through(form: str, text: str, cut: int) -> int:
    """How long the text is from where a form begins that goes over this place, else 0."""
    start = text.find(form, max(0, cut - len(form) + 1), cut + len(form) - 1)
    return 0 if start < 0 else len(text) - start


@lru_cache(maxsize=1024)
def forms(value: str) -> tuple[str, ...]:
    """The value and its disguises, each once."""
    return tuple(dict.fromkeys(_forms(value)))


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
