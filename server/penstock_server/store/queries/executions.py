"""Executions: one, a page, counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    and_,
    exists,
    func,
    or_,
    select,
    tuple_,
    type_coerce,
)

from penstock_runner.engine.state import TERMINAL, Execution, RunKey, TaskRun
from penstock_server.store import bodies
from penstock_server.store.queries.conditions import (
    Condition,
    Paging,
    between,
    contains,
    equal,
    in_namespace,
    in_scope,
    like,
    sorted_page,
)
from penstock_server.store.schema import (
    execution_labels,
    executions,
    task_runs,
)

DAY = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """Which executions; a namespace takes those below it too. `child` is CHILD or MAIN."""

    text: str | None = None
    scopes: Collection[str] = ()
    namespace: str | None = None
    flow_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    states: Collection[str] = ()
    labels: Sequence[tuple[str, str]] = ()
    trigger_execution_id: str | None = None
    child: str | None = None
    exact_namespace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCount:
    """Executions of one day in one state; durations in seconds."""

    day: int
    state: str
    count: int
    shortest: float = 0
    longest: float = 0
    total: float = 0
    group: tuple[str, ...] = ()


_EXECUTION_SORTS: Mapping[str, ColumnElement[Any]] = {
    "id": executions.c.id,
    "namespace": executions.c.namespace,
    "flowId": executions.c.flow_id,
    "flowRevision": executions.c.flow_revision,
    "state": executions.c.state,
    "state.current": executions.c.state,
    "state.startDate": executions.c.created_at,
    "state.endDate": executions.c.ended_at,
    "state.duration": type_coerce(executions.c.ended_at, BigInteger)
    - type_coerce(executions.c.created_at, BigInteger),
    "trigger.id": executions.c.trigger_id,
}


def execution(connection: Connection, execution_id: str) -> Execution | None:
    """One execution with its task runs."""
    return load_executions(connection, [execution_id]).get(execution_id)


def load_executions(connection: Connection, ids: Sequence[str]) -> dict[str, Execution]:
    """Executions with their task runs, in the order of `ids`; unknown ones are left out."""
    if not ids:
        return {}
    runs: dict[str, dict[RunKey, TaskRun]] = {}
    wanted = (
        select(task_runs)
        .where(task_runs.c.execution_id.in_(ids))
        .order_by(task_runs.c.execution_id, task_runs.c.place)
    )
    for row in connection.execute(wanted):
        run = bodies.run_from_json(row.body, key=row.key, task_id=row.task_id, order=row.place)
        runs.setdefault(row.execution_id, {})[run.key] = run
    rows = connection.execute(select(executions).where(executions.c.id.in_(ids)))
    found = {row.id: _execution(row, runs.get(row.id, {})) for row in rows}
    return {name: found[name] for name in ids if name in found}


def executions_page(
    connection: Connection, wanted: ExecutionFilter, paging: Paging
) -> tuple[list[Execution], int]:
    """One page of executions, the newest first unless sorted, and how many there are."""
    where = execution_where(wanted)
    ids = select(executions.c.id).where(where)
    ids = sorted_page(ids, paging, _EXECUTION_SORTS, executions.c.id.desc())
    page = list(connection.scalars(ids))
    total = connection.scalar(select(func.count()).select_from(executions).where(where)) or 0
    return list(load_executions(connection, page).values()), total


def execution_states(
    connection: Connection, wanted: ExecutionFilter, limit: int
) -> list[tuple[str, str]]:
    """Id and state of all executions of a filter, oldest first."""
    query = (
        select(executions.c.id, executions.c.state)
        .where(execution_where(wanted))
        .order_by(executions.c.id)
        .limit(limit)
    )
    return [(row.id, row.state) for row in connection.execute(query)]


def states_of(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """The state of each of these executions; unknown ones are left out."""
    query = select(executions.c.id, executions.c.state).where(executions.c.id.in_(ids))
    return {row.id: row.state for row in connection.execute(query)}


def execution_version(connection: Connection, execution_id: str) -> int | None:
    """How often an execution was written; None when there is no such execution."""
    return connection.scalar(select(executions.c.version).where(executions.c.id == execution_id))


def latest_executions(
    connection: Connection, names: Collection[tuple[str, str]]
) -> list[Execution]:
    """The latest execution of each of these flows."""
    ids = []
    for namespace, flow_id in names:
        query = select(func.max(executions.c.id)).where(
            executions.c.namespace == namespace, executions.c.flow_id == flow_id
        )
        if (newest := connection.scalar(query)) is not None:
            ids.append(newest)
    return list(load_executions(connection, ids).values())


def counted(
    connection: Connection,
    *,
    flows: Collection[tuple[str, str]],
    namespaces: Collection[str],
    states: Collection[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[tuple[str, str, int]]:
    """Executions of each named flow (0 when it had none), and of each flow of the namespaces."""
    number = func.count()
    chosen = select(executions.c.namespace, executions.c.flow_id, number).group_by(
        executions.c.namespace, executions.c.flow_id
    )
    named = tuple_(executions.c.namespace, executions.c.flow_id).in_(list(flows))
    chosen = chosen.where(or_(named, executions.c.namespace.in_(list(namespaces))))
    if states:
        chosen = chosen.where(executions.c.state.in_(states))
    if start is not None:
        chosen = chosen.where(executions.c.created_at >= start)
    if end is not None:
        chosen = chosen.where(executions.c.created_at <= end)
    found = {(row[0], row[1]): int(row[2]) for row in connection.execute(chosen)}
    found = {**dict.fromkeys(flows, 0), **found}
    return [(namespace, flow_id, total) for (namespace, flow_id), total in found.items()]


def unended_children(connection: Connection, ids: Collection[str]) -> list[str]:
    """Executions that these started and that have not ended."""
    chosen = select(executions.c.id).where(
        executions.c.trigger_execution_id.in_(ids),
        executions.c.state.not_in([state.value for state in TERMINAL]),
    )
    return list(connection.scalars(chosen))


def state_counts(connection: Connection, wanted: ExecutionFilter) -> dict[str, int]:
    """How many executions are in each state."""
    query = (
        select(executions.c.state, func.count().label("n"))
        .where(execution_where(wanted))
        .group_by(executions.c.state)
    )
    return {row.state: row.n for row in connection.execute(query)}


def daily_counts(
    connection: Connection, wanted: ExecutionFilter, group: Collection[str] = ()
) -> list[DayCount]:
    """Executions by day (days since 1970, UTC) and state, in groups by `namespace`, `flow_id`."""
    began = type_coerce(executions.c.created_at, BigInteger)
    ended = type_coerce(func.coalesce(executions.c.ended_at, executions.c.updated_at), BigInteger)
    day = (began // DAY).label("day")
    columns = [executions.c[name] for name in group]
    query = (
        select(
            day,
            executions.c.state,
            func.count().label("n"),
            func.min(ended - began).label("low"),
            func.max(ended - began).label("high"),
            func.sum(ended - began).label("total"),
            *columns,
        )
        .where(execution_where(wanted))
        .group_by(day, executions.c.state, *columns)
        .order_by(day)
    )
    return [
        DayCount(
            day=int(row.day),
            state=row.state,
            count=row.n,
            shortest=int(row.low or 0) / 1e6,
            longest=int(row.high or 0) / 1e6,
            total=int(row.total or 0) / 1e6,
            group=tuple(getattr(row, name) for name in group),
        )
        for row in connection.execute(query)
    ]


def _execution(row: Row[Any], runs: Mapping[RunKey, TaskRun]) -> Execution:
    return bodies.execution_from_json(
        row.body,
        id=row.id,
        namespace=row.namespace,
        flow_id=row.flow_id,
        flow_revision=row.flow_revision,
        version=row.version,
        runs=runs,
    )


def execution_where(wanted: ExecutionFilter) -> Condition:
    """The condition of a filter."""
    table = executions.c
    conditions: list[Condition] = [
        *in_namespace(table.namespace, wanted.namespace, exact=wanted.exact_namespace),
        *in_scope(table.namespace, wanted.scopes),
        *equal({table.flow_id: wanted.flow_id}),
        *equal({table.trigger_execution_id: wanted.trigger_execution_id}),
        *between(table.created_at, wanted.start, wanted.end),
    ]
    if wanted.states:
        conditions.append(table.state.in_(list(wanted.states)))
    if wanted.child == "CHILD":
        conditions.append(table.trigger_execution_id.is_not(None))
    elif wanted.child == "MAIN":
        conditions.append(table.trigger_execution_id.is_(None))
    for key, value in wanted.labels:
        label = execution_labels.c
        conditions.append(
            exists().where(
                label.execution_id == table.id, label.key == key, *like(label.value, value)
            )
        )
    if wanted.text:
        conditions.append(contains(wanted.text, table.id, table.namespace, table.flow_id))
    return and_(True, *conditions)  # noqa: FBT003 - SQL's own word
