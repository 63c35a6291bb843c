"""Executions without their task runs: the rows of lists, and what flows did last.

A list shows many executions and few facts of each, so task runs stay where they are. What each of
many flows did last is one statement however many flows there are, and costs the same however many
executions are stored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Row, String, and_, func, select, text

from penstock_runner.engine.state import Execution
from penstock_server.store import bodies
from penstock_server.store.queries.executions import ExecutionFilter, execution_where
from penstock_server.store.schema import Instant, executions, flow_revisions, task_runs

COUNTED = 10_000
FLOWS_AT_ONCE = 80
MOST_RUNS = 1000

Name = tuple[str, str]
EVERYTHING = ExecutionFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitBrief:
    """The commit that a revision came with."""

    sha: str
    subject: str | None = None
    author: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """One execution of a list; `execution` has no task runs."""

    execution: Execution
    ended_at: datetime | None
    commit: CommitBrief | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """One of the last executions of a flow."""

    id: str
    namespace: str
    flow_id: str
    state: str
    created_at: datetime
    ended_at: datetime | None
    revision: int


def briefs(
    connection: Connection, wanted: ExecutionFilter, size: int, before: str | None = None
) -> list[Brief]:
    """The newest executions of a filter; `before` is the id after which the page begins."""
    conditions = [execution_where(wanted)]
    if before is not None:
        conditions.append(executions.c.id < before)
    query = (
        select(
            executions,
            flow_revisions.c.commit_sha.label("sha"),
            flow_revisions.c.commit_subject.label("subject"),
            flow_revisions.c.commit_author.label("author"),
            flow_revisions.c.source_id.label("source"),
        )
        .outerjoin(
            flow_revisions,
            and_(
                flow_revisions.c.namespace == executions.c.namespace,
                flow_revisions.c.id == executions.c.flow_id,
                flow_revisions.c.revision == executions.c.flow_revision,
            ),
        )
        .where(*conditions)
        .order_by(executions.c.id.desc())
        .limit(size)
    )
    return [_brief(row) for row in connection.execute(query)]


def counted(connection: Connection, wanted: ExecutionFilter) -> int:
    """How many executions a filter finds; one more than `COUNTED` stands for all above."""
    some = select(executions.c.id).where(execution_where(wanted)).limit(COUNTED + 1).subquery()
    return connection.scalar(select(func.count()).select_from(some)) or 0


def place_of(connection: Connection, execution_id: str) -> Name | None:
    """Namespace and flow of an execution; None when there is no such execution."""
    query = select(executions.c.namespace, executions.c.flow_id)
    row = connection.execute(query.where(executions.c.id == execution_id)).one_or_none()
    return None if row is None else (row.namespace, row.flow_id)


_RECENT = (
    "SELECT * FROM (SELECT id, namespace, flow_id, state, created_at, ended_at, flow_revision"
    " FROM executions WHERE namespace = :n{0} AND flow_id = :f{0}"
    " ORDER BY id DESC LIMIT :size) AS r{0}"
)


def recents(connection: Connection, names: Collection[Name], size: int) -> dict[Name, list[Recent]]:
    """The last executions of each of these flows, the newest first."""
    found: dict[Name, list[Recent]] = {name: [] for name in names}
    every = list(found)
    for start in range(0, len(every), FLOWS_AT_ONCE):
        for one in _recents(connection, every[start : start + FLOWS_AT_ONCE], size):
            found[one.namespace, one.flow_id].append(one)
    for ones in found.values():
        ones.sort(key=lambda one: one.id, reverse=True)
    return found


def _recents(connection: Connection, names: Sequence[Name], size: int) -> list[Recent]:
    sql = " UNION ALL ".join(_RECENT.format(n) for n in range(len(names)))
    query = text(sql).columns(
        id=String,
        namespace=String,
        flow_id=String,
        state=String,
        created_at=Instant,
        ended_at=Instant,
        flow_revision=Integer,
    )
    values: dict[str, object] = {"size": size}
    for n, (namespace, flow_id) in enumerate(names):
        values[f"n{n}"], values[f"f{n}"] = namespace, flow_id
    return [
        Recent(
            id=row.id,
            namespace=row.namespace,
            flow_id=row.flow_id,
            state=row.state,
            created_at=row.created_at,
            ended_at=row.ended_at,
            revision=row.flow_revision,
        )
        for row in connection.execute(query, values)
    ]


def _brief(row: Row[Any]) -> Brief:
    execution = bodies.execution_from_json(
        row.body,
        id=row.id,
        namespace=row.namespace,
        flow_id=row.flow_id,
        flow_revision=row.flow_revision,
        version=row.version,
        runs={},
    )
    # Outputs may be large, and no list shows them.
    execution = replace(execution, outputs=None)
    sha = getattr(row, "sha", None)
    commit = None
    if sha is not None:
        commit = CommitBrief(sha=sha, subject=row.subject, author=row.author, source=row.source)
    return Brief(execution=execution, ended_at=row.ended_at, commit=commit)


def task_durations(connection: Connection, execution_id: str) -> dict[str, float]:
    """Seconds that each task of an execution took, the longest of its runs."""
    query = (
        select(task_runs.c.task_id, task_runs.c.body)
        .where(task_runs.c.execution_id == execution_id)
        .limit(MOST_RUNS)
    )
    found: dict[str, float] = {}
    for row in connection.execute(query):
        run = bodies.run_from_json(row.body, key="", task_id=row.task_id, order=0)
        seconds = (run.history[-1][1] - run.history[0][1]).total_seconds()
        found[row.task_id] = max(seconds, found.get(row.task_id, 0.0))
    return found
