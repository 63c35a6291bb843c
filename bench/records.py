"""What one measurement came to: its spread, its aim, and what the same machine does without us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """The limit of this machine, measured in the same run: the same work with nothing of ours."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One figure. `aim` is a floor for rates and a ceiling for times and sizes."""

    name: str
    unit: str
    repetitions: int
    median: float
    minimum: float
    maximum: float
    aim: float | None = None
    raw: Raw | None = None
    notes: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the aim; None without one."""
        if self.aim is None:
            return None
        return self.median >= self.aim if is_rate(self.unit) else self.median <= self.aim

    def to_json(self) -> dict[str, Any]:
        """The record as JSON has it."""
        return asdict(self)


def record(
    name: str,
    unit: str,
    values: Sequence[float],
    *,
    aim: float | None = None,
    raw: Raw | None = None,
    notes: str = "",
) -> Record:
    """The record of the values of some repetitions."""
    if not values:
        raise ValueError(f"{name}: nothing was measured")
    return Record(
        name=name,
        unit=unit,
        repetitions=len(values),
        median=median(values),
        minimum=min(values),
        maximum=max(values),
        aim=aim,
        raw=raw,
        notes=notes,
    )


def is_rate(unit: str) -> bool:
    """Whether more is better."""
    return unit.endswith("/s")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of all lies: the nearest one that was measured."""
    if not values:
        raise ValueError("no percentile of nothing")
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
