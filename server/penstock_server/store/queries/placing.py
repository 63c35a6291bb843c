"""Read models of jobs: what waits for a runner, and what runners work on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from penstock_runner.engine.state import RunKey
from penstock_runner.flow.offers import Demand
from penstock_server.store.schema import executions, jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedJob:
    """A job with its flow; `runner` is None while it waits for one."""

    execution_id: str
    namespace: str
    flow_id: str
    key: RunKey
    task_id: str
    runner: str | None
    since: datetime
    demand: Demand


def waiting_jobs(
    connection: Connection, execution_id: str | None = None, limit: int = 1000
) -> list[PlacedJob]:
    """The jobs of task runs that no runner has, of an execution or of all; the oldest first."""
    where = [jobs.c.runner.is_(None), jobs.c.purpose == ""]
    if execution_id is not None:
        where.append(jobs.c.execution_id == execution_id)
    return _found(connection, where, limit)


def waiting_count(connection: Connection) -> int:
    """How many jobs no runner has."""
    query = select(func.count()).select_from(jobs).where(jobs.c.runner.is_(None))
    return connection.scalar(query) or 0


def waiting_by_labels(connection: Connection) -> dict[tuple[str, ...], int]:
    """How many jobs no runner has, by the labels that they ask for."""
    query = (
        select(jobs.c.required, func.count().label("n"))
        .where(jobs.c.runner.is_(None))
        .group_by(jobs.c.required)
    )
    found: dict[tuple[str, ...], int] = {}
    for row in connection.execute(query):
        labels = tuple(sorted(row.required or ()))
        found[labels] = found.get(labels, 0) + row.n
    return found


def jobs_of_runners(connection: Connection, limit: int = 1000) -> list[PlacedJob]:
    """The jobs that runners work on; the oldest first."""
    return _found(connection, [jobs.c.runner.is_not(None), jobs.c.purpose == ""], limit)


def _found(connection: Connection, where: list[ColumnElement[bool]], limit: int) -> list[PlacedJob]:
    query = (
        select(jobs, executions.c.namespace, executions.c.flow_id)
        .join(executions, executions.c.id == jobs.c.execution_id)
        .where(*where)
        .order_by(jobs.c.created_at, jobs.c.execution_id, jobs.c.key)
        .limit(limit)
    )
    return [
        PlacedJob(
            execution_id=row.execution_id,
            namespace=row.namespace,
            flow_id=row.flow_id,
            key=RunKey(row.key),
            task_id=row.task_id,
            runner=row.runner,
            since=row.created_at,
            demand=Demand(
                required=tuple(row.required or ()),
                namespace=row.namespace,
                protected=row.protected,
            ),
        )
        for row in connection.execute(query)
    ]
