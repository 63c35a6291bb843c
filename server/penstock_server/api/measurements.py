"""What tasks measured: lists, names, aggregates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from flask import Blueprint, Response, request

from penstock_server.api import parameters, routing
from penstock_server.api.answers import json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.problems import illegal_argument
from penstock_server.api.routing import get
from penstock_server.core.shapes import Json, iso
from penstock_server.store import queries

DEFAULT_RANGE = timedelta(days=30)
AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "avg": lambda values: sum(values) / len(values),
    "min": min,
    "max": max,
}


class MeasurementRoutes:
    """The routes below `/metrics`."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/<execution_id>")
    def of_execution(self, execution_id: str) -> Response:
        """Measurements of one execution, one page."""
        paging = parameters.paging(request.args)
        with self._context.database.read() as connection:
            rows, total = queries.metrics_page(
                connection,
                execution_id,
                paging,
                taskrun_id=request.args.get("taskRunId") or None,
                task_id=request.args.get("taskId") or None,
            )
        results = [
            {
                "name": row.name,
                "type": row.kind,
                "value": row.value,
                "tags": dict(row.tags),
                "taskId": row.task_id,
                "taskRunId": row.taskrun_id,
                "executionId": row.execution_id,
                "namespace": row.namespace,
                "flowId": row.flow_id,
                "timestamp": iso(row.at),
            }
            for row in rows
        ]
        return paged(results, total)

    @get("/names/<namespace>/<flow_id>")
    @get("/names/<namespace>/<flow_id>/<task_id>")
    def names(self, namespace: str, flow_id: str, task_id: str | None = None) -> Response:
        """Names of what a flow, or one of its tasks, measured."""
        with self._context.database.read() as connection:
            return json_answer(queries.metric_names(connection, namespace, flow_id, task_id))

    @get("/tasks/<namespace>/<flow_id>")
    def tasks(self, namespace: str, flow_id: str) -> Response:
        """Tasks of a flow that measured something."""
        with self._context.database.read() as connection:
            return json_answer(queries.metric_tasks(connection, namespace, flow_id))

    @get("/aggregates/<namespace>/<flow_id>/<metric>")
    @get("/aggregates/<namespace>/<flow_id>/<task_id>/<metric>")
    def aggregates(
        self, namespace: str, flow_id: str, metric: str, task_id: str | None = None
    ) -> Response:
        """One measurement over time."""
        end = parameters.instant(request.args, "endDate") or self._context.clock.now()
        start = parameters.instant(request.args, "startDate") or end - DEFAULT_RANGE
        if start > end:
            raise illegal_argument("Start date must be before End Date")
        name = request.args.get("aggregation", "sum").lower()
        if name not in AGGREGATES:
            raise illegal_argument(f"aggregation is one of {', '.join(AGGREGATES)}")
        with self._context.database.read() as connection:
            values = queries.metric_values(
                connection, namespace, flow_id, metric, task_id=task_id, start=start, end=end
            )
        return json_answer(aggregated(values, name, metric, end - start))


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/metrics`."""
    return routing.blueprint("measurements", "/metrics", MeasurementRoutes(context))


def aggregated(
    values: Sequence[tuple[datetime, float]], name: str, metric: str, length: timedelta
) -> Json:
    """Values put together by hour, day, week or month, as the length of time asks."""
    unit = unit_for(length)
    groups: dict[datetime, list[float]] = defaultdict(list)
    for at, value in values:
        groups[begin_of(unit, at)].append(value)
    return {
        "groupBy": unit,
        "aggregations": [
            {"date": iso(at), "name": metric, "value": AGGREGATES[name](found)}
            for at, found in sorted(groups.items())
        ],
    }


def unit_for(length: timedelta) -> str:
    """The unit in which a length of time is shown."""
    if length > timedelta(days=365):
        return "month"
    if length > timedelta(days=180):
        return "week"
    return "day" if length > timedelta(days=1) else "hour"


def begin_of(unit: str, at: datetime) -> datetime:
    """The beginning of the hour, day, week or month of an instant."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    if unit == "hour":
        return hour
    day = hour.replace(hour=0)
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day
