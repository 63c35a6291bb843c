"""Dag: each child once all it depends on have ended."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_runner.engine.flowables.api import Flowable
from penstock_runner.engine.flowables.parallel import at_once, limit
from penstock_runner.engine.orders import ByDependencies, Order
from penstock_runner.flow.model import Task


def _by_dependencies(task: Task, ids: Sequence[str], _values: int | None) -> Order:
    place = {task_id: slot for slot, task_id in enumerate(ids)}
    # A disabled child is no child: what depends on it waits for the others only.
    needs = [
        [place[other] for other in task.depends_on.get(task_id, ()) if other in place]
        for task_id in ids
    ]
    return ByDependencies(needs, limit(task))


DAG = Flowable(order=_by_dependencies, errors_order=at_once)
