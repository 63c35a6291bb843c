"""What core counts of itself since its start: looks, applies, reports, kills by force.

Nothing is stored: whoever collects numbers knows that counters begin anew with the process.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

# Upper bounds in seconds; what takes longer falls into the last one, which has none.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Spread:
    """How long something took: how often at most so long, and in all."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """It took so long once more."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


@dataclass(slots=True)
class Measures:
    """Counters and spreads by name; a counter has the values of its labels, too."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    spreads: dict[str, Spread] = field(default_factory=dict)

    def count(self, name: str, *labels: str) -> None:
        """It happened once more."""
        self.counts[(name, *labels)] += 1

    def took(self, name: str, seconds: float) -> None:
        """It took so long once more."""
        self.spreads.setdefault(name, Spread()).add(max(seconds, 0.0))

    def told(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "counts": [[*labels, number] for labels, number in sorted(self.counts.items())],
            "spreads": {
                name: {"buckets": list(one.buckets), "total": one.total}
                for name, one in sorted(self.spreads.items())
            },
        }
