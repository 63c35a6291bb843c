"""Parallel: all children at once, at most `concurrent` of them at a time."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_runner.engine.flowables.api import Flowable
from penstock_runner.engine.orders import AtOnce, Order
from penstock_runner.flow.model import Task


def limit(task: Task, name: str = "concurrent", default: int = 0) -> int:
    """How many may run at once, as the task says; 0 is no limit."""
    value = task.properties.get(name)
    return default if value is None else int(str(value))


def at_once(task: Task, ids: Sequence[str], values: int | None) -> Order:
    """All children of all values together, under `concurrent`."""
    return AtOnce(len(ids) * (1 if values is None else values), limit(task))


PARALLEL = Flowable(order=at_once, errors_order=at_once)
