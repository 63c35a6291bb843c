"""Which known word a misspelt one was meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def distance(one: str, other: str, limit: int) -> int:
    """The edits (a swap of neighbours is one) between two words; more than `limit` is limit + 1."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to this one, when it is near enough to be meant."""
    limit = max(1, min(3, len(word) // 3))
    best: tuple[int, str] | None = None
    for candidate in known:
        away = distance(word.lower(), candidate.lower(), limit)
        if away <= limit and (best is None or (away, candidate) < best):
            best = (away, candidate)
    return best[1] if best else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The hint of a fault about a word that is not known."""
    found = nearest(word, known)
    return f"did you mean '{found}'?" if found else None
