"""What the first page asks: what fails, what is late, what runs, how the last days went."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    String,
    Text,
    and_,
    func,
    select,
    text,
    tuple_,
    type_coerce,
)

from penstock_runner.executor.ids import base62
from penstock_runner.flow.model import Level
from penstock_server.store.queries.briefs import CommitBrief, Name
from penstock_server.store.queries.states import TriggerRecord, trigger_record
from penstock_server.store.schema import (
    EPOCH,
    executions,
    flow_revisions,
    flows,
    git_commits,
    git_sources,
    task_runs,
    to_micros,
    triggers,
)

ERROR = tuple(Level).index(Level.ERROR)
MARGIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """How many executions of one state began in one stretch of time, counted from `since`."""

    place: int
    state: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBrief:
    """A Git source in a few words."""

    id: str
    ref: str
    status: str
    applied: str | None
    applied_at: datetime | None
    subject: str | None
    observed: str | None
    failed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLine:
    """One error line of a log."""

    n: int
    message: str
    task_id: str | None
    attempt: int


def first_id(moment: datetime) -> str:
    """The id below every execution that is created from `moment` on: ids begin with the time."""
    millis = max((moment - MARGIN - EPOCH) // timedelta(milliseconds=1), 0)
    return base62(millis << 80)


def buckets(connection: Connection, since: datetime, width: timedelta) -> list[Bucket]:
    """Executions since a moment by stretch of time and state."""
    micros = width // timedelta(microseconds=1)
    began = type_coerce(executions.c.created_at, BigInteger) - to_micros(since)
    place = (began // micros).label("place")
    query = (
        select(place, executions.c.state, func.count().label("n"))
        .where(executions.c.id >= first_id(since), executions.c.created_at >= since)
        .group_by(place, executions.c.state)
    )
    return [
        Bucket(place=int(row.place), state=row.state, count=row.n)
        for row in connection.execute(query)
    ]


def flows_that_failed(connection: Connection, since: datetime, limit: int) -> list[Name]:
    """Flows, not deleted, of which an execution failed since a moment."""
    query = (
        select(executions.c.namespace, executions.c.flow_id, func.max(executions.c.id).label("m"))
        .join(
            flows,
            and_(flows.c.namespace == executions.c.namespace, flows.c.id == executions.c.flow_id),
        )
        .where(executions.c.state == "FAILED", executions.c.id >= first_id(since))
        .where(flows.c.deleted.is_(False))
        .group_by(executions.c.namespace, executions.c.flow_id)
        .order_by(func.max(executions.c.id).desc())
        .limit(limit)
    )
    return [(row.namespace, row.flow_id) for row in connection.execute(query)]


_OF_FAILED = (
    " AND task_id IN (SELECT task_id FROM task_runs"
    " WHERE execution_id = :e{0} AND state = 'FAILED')"
)
_ERRORS = (
    "SELECT * FROM (SELECT execution_id, n, message, task_id, attempt FROM logs"
    " WHERE execution_id = :e{0} AND level = :level<more> ORDER BY n DESC LIMIT :size) AS r{0}"
)


def last_errors(
    connection: Connection, ids: Collection[str], size: int = 5
) -> dict[str, list[ErrorLine]]:
    """The last error lines of each of these executions, in their order.

    What failed tasks said comes before all else: an `errors` branch writes lines of this level
    too, later than the cause, and only an execution without such lines is told by others.
    """
    found = _error_lines(connection, ids, size, of=_OF_FAILED)
    rest = [one for one in ids if one not in found]
    return {**found, **_error_lines(connection, rest, size)}


def _error_lines(
    connection: Connection, ids: Collection[str], size: int, *, of: str = ""
) -> dict[str, list[ErrorLine]]:
    if not ids:
        return {}
    every = list(ids)
    one = _ERRORS.replace("<more>", of)
    sql = " UNION ALL ".join(one.format(n) for n in range(len(every)))
    query = text(sql).columns(
        execution_id=String, n=Integer, message=Text, task_id=String, attempt=Integer
    )
    values: dict[str, object] = {f"e{n}": name for n, name in enumerate(every)}
    found: dict[str, list[ErrorLine]] = {}
    for row in connection.execute(query, {**values, "level": ERROR, "size": size}):
        line = ErrorLine(
            n=row.n, message=row.message, task_id=row.task_id, attempt=row.attempt or 1
        )
        found.setdefault(row.execution_id, []).append(line)
    return {name: sorted(lines, key=lambda line: line.n) for name, lines in found.items()}


def revisions_named(
    connection: Connection, names: Collection[tuple[str, str, int]]
) -> dict[tuple[str, str, int], CommitBrief]:
    """The commits of these revisions: namespace, flow, revision."""
    table = flow_revisions.c
    query = select(flow_revisions).where(
        tuple_(table.namespace, table.id, table.revision).in_(list(names)),
        table.commit_sha.is_not(None),
    )
    return {
        (row.namespace, row.id, row.revision): CommitBrief(
            sha=row.commit_sha,
            subject=row.commit_subject,
            author=row.commit_author,
            source=row.source_id,
        )
        for row in connection.execute(query)
    }


def late_triggers(connection: Connection, before: datetime, limit: int) -> list[TriggerRecord]:
    """Triggers that should have fired before a moment and have not, the longest due first."""
    query = (
        select(triggers)
        .where(triggers.c.next_date < before, ~triggers.c.disabled)
        .order_by(triggers.c.next_date)
        .limit(limit)
    )
    return [trigger_record(row) for row in connection.execute(query)]


def next_triggers(connection: Connection, after: datetime, limit: int) -> list[TriggerRecord]:
    """Triggers in the order in which they fire next."""
    query = (
        select(triggers)
        .where(triggers.c.next_date >= after, ~triggers.c.disabled)
        .order_by(triggers.c.next_date)
        .limit(limit)
    )
    return [trigger_record(row) for row in connection.execute(query)]


def next_of_flows(connection: Connection, names: Collection[Name]) -> dict[Name, datetime]:
    """When each of these flows is started next by a trigger."""
    found: dict[Name, datetime] = {}
    query = (
        select(triggers.c.namespace, triggers.c.flow_id, func.min(triggers.c.next_date).label("at"))
        .where(triggers.c.next_date.is_not(None), ~triggers.c.disabled)
        .group_by(triggers.c.namespace, triggers.c.flow_id)
    )
    wanted = set(names)
    for row in connection.execute(query):
        if (row.namespace, row.flow_id) in wanted:
            found[row.namespace, row.flow_id] = row.at
    return found


def active_tasks(connection: Connection, ids: Collection[str]) -> dict[str, list[str]]:
    """The tasks at which each of these executions is, outermost first."""
    query = (
        select(task_runs.c.execution_id, task_runs.c.task_id)
        .where(
            task_runs.c.execution_id.in_(ids),
            task_runs.c.state.in_(("RUNNING", "RETRYING", "PAUSED", "KILLING")),
        )
        .order_by(task_runs.c.execution_id, task_runs.c.place)
        .limit(500)
    )
    found: dict[str, list[str]] = {}
    for row in connection.execute(query):
        names = found.setdefault(row.execution_id, [])
        if row.task_id not in names:
            names.append(row.task_id)
    return found


def source_briefs(connection: Connection) -> list[SourceBrief]:
    """All Git sources with the subject of the commit that runs."""
    table = git_sources.c
    query = (
        select(git_sources, git_commits.c.subject)
        .outerjoin(
            git_commits,
            and_(git_commits.c.source_id == table.id, git_commits.c.sha == table.applied_commit),
        )
        .order_by(table.id)
    )
    return [
        SourceBrief(
            id=row.id,
            ref=row.ref,
            status=row.status,
            applied=row.applied_commit,
            applied_at=row.applied_at,
            subject=row.subject,
            observed=row.observed_commit,
            failed=row.failed_commit,
        )
        for row in connection.execute(query)
    ]


def last_failure(connection: Connection) -> tuple[str, str, datetime] | None:
    """The latest execution that failed: namespace, flow, when."""
    query = (
        select(executions.c.namespace, executions.c.flow_id, executions.c.created_at)
        .where(executions.c.state == "FAILED")
        .order_by(executions.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.namespace, row.flow_id, row.created_at)
