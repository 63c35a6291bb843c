"""Log lines and measurements of executions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    select,
    type_coerce,
)

from penstock_runner.executor.store import LogRow, MetricRow
from penstock_runner.flow.model import Level
from penstock_server.store.queries.conditions import (
    Condition,
    Paging,
    between,
    contains,
    equal,
    in_namespace,
    sorted_page,
    values_of,
)
from penstock_server.store.rows import LOG_FIELDS, log_of
from penstock_server.store.schema import (
    logs,
    metrics,
)

LEVELS = tuple(Level)
DAY = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which log lines. `attempt` counts from 1 as in the store."""

    text: str | None = None
    namespace: str | None = None
    flow_id: str | None = None
    trigger_id: str | None = None
    execution_id: str | None = None
    task_id: str | None = None
    taskrun_id: str | None = None
    attempt: int | None = None
    min_level: Level | None = None
    start: datetime | None = None
    end: datetime | None = None


_LOG_SORTS: Mapping[str, ColumnElement[Any]] = {
    "timestamp": logs.c.at,
    "level": logs.c.level,
    "namespace": logs.c.namespace,
    "flowId": logs.c.flow_id,
    "executionId": logs.c.execution_id,
    "taskId": logs.c.task_id,
}


def logs_page(
    connection: Connection, wanted: LogFilter, paging: Paging
) -> tuple[list[LogRow], int]:
    """One page of log lines, oldest first unless sorted, and how many there are."""
    where = _log_where(wanted)
    found = select(*LOG_FIELDS).where(where)
    query = sorted_page(found, paging, _LOG_SORTS, logs.c.at, logs.c.execution_id, logs.c.n)
    total = connection.scalar(select(func.count()).select_from(logs).where(where)) or 0
    return [log_of(row) for row in connection.execute(query)], total


def logs_after(connection: Connection, wanted: LogFilter, after: int, limit: int) -> list[LogRow]:
    """Lines of one execution with a number over `after`, in their order."""
    query = (
        select(*LOG_FIELDS)
        .where(_log_where(wanted), logs.c.n > after)
        .order_by(logs.c.execution_id, logs.c.n)
        .limit(limit)
    )
    return [log_of(row) for row in connection.execute(query)]


def line_count(connection: Connection, execution_id: str) -> int:
    """How many lines an execution has; lines are numbered, so the last one tells."""
    query = select(func.max(logs.c.n)).where(logs.c.execution_id == execution_id)
    return connection.scalar(query) or 0


def last_lines(
    connection: Connection, wanted: LogFilter, limit: int, before: int | None = None
) -> list[LogRow]:
    """The last lines of one execution in their order, or the last ones before a number."""
    query = select(*LOG_FIELDS).where(_log_where(wanted)).order_by(logs.c.n.desc()).limit(limit)
    if before is not None:
        query = query.where(logs.c.n < before)
    return [log_of(row) for row in connection.execute(query)][::-1]


def metrics_page(
    connection: Connection,
    execution_id: str,
    paging: Paging,
    *,
    taskrun_id: str | None = None,
    task_id: str | None = None,
) -> tuple[list[MetricRow], int]:
    """Measurements of one execution."""
    table = metrics.c
    where = and_(
        table.execution_id == execution_id,
        *equal({table.taskrun_id: taskrun_id, table.task_id: task_id}),
    )
    sorts = {"name": table.name, "timestamp": table.at, "value": table.value}
    query = sorted_page(select(metrics).where(where), paging, sorts, table.id)
    total = connection.scalar(select(func.count()).select_from(metrics).where(where)) or 0
    return [_metric(row) for row in connection.execute(query)], total


def metric_names(
    connection: Connection, namespace: str, flow_id: str, task_id: str | None = None
) -> list[str]:
    """Names of the measurements of a flow, or of one of its tasks."""
    query = select(metrics.c.name).distinct().where(_metrics_of(namespace, flow_id, task_id))
    return list(connection.scalars(query.order_by(metrics.c.name)))


def metric_tasks(connection: Connection, namespace: str, flow_id: str) -> list[str]:
    """Tasks of a flow that measured something."""
    query = select(metrics.c.task_id).distinct().where(_metrics_of(namespace, flow_id, None))
    return list(connection.scalars(query.order_by(metrics.c.task_id)))


def metric_values(
    connection: Connection,
    namespace: str,
    flow_id: str,
    name: str,
    *,
    task_id: str | None,
    start: datetime,
    end: datetime,
) -> list[tuple[datetime, float]]:
    """What was measured in a time, oldest first."""
    query = (
        select(metrics.c.at, metrics.c.value)
        .where(_metrics_of(namespace, flow_id, task_id), metrics.c.name == name)
        .where(*between(metrics.c.at, start, end))
        .order_by(metrics.c.at)
    )
    return [(row.at, row.value) for row in connection.execute(query)]


def daily_log_counts(connection: Connection, wanted: LogFilter) -> list[tuple[int, str, int]]:
    """Log lines by day (days since 1970, UTC) and level."""
    day = (type_coerce(logs.c.at, BigInteger) // DAY).label("day")
    query = (
        select(day, logs.c.level, func.count().label("n"))
        .where(_log_where(wanted))
        .group_by(day, logs.c.level)
        .order_by(day)
    )
    return [(int(row.day), LEVELS[row.level].value, row.n) for row in connection.execute(query)]


def _metrics_of(namespace: str, flow_id: str, task_id: str | None) -> Condition:
    table = metrics.c
    return and_(
        table.namespace == namespace, table.flow_id == flow_id, *equal({table.task_id: task_id})
    )


def _log_where(wanted: LogFilter) -> Condition:
    table = logs.c
    conditions: list[Condition] = [
        *in_namespace(table.namespace, wanted.namespace, exact=False),
        *between(table.at, wanted.start, wanted.end),
        *equal(
            {
                table.flow_id: wanted.flow_id,
                table.trigger_id: wanted.trigger_id,
                table.execution_id: wanted.execution_id,
                table.task_id: wanted.task_id,
                table.taskrun_id: wanted.taskrun_id,
                table.attempt: wanted.attempt,
            }
        ),
    ]
    if wanted.min_level is not None:
        conditions.append(table.level >= LEVELS.index(wanted.min_level))
    if wanted.text:
        conditions.append(contains(wanted.text, table.message))
    return and_(True, *conditions)  # noqa: FBT003 - SQL's own word


def _metric(row: Row[Any]) -> MetricRow:
    values = values_of(row)
    values.pop("id")
    values["tags"] = values["tags"] or {}
    return MetricRow(**values)
