"""Values of the executor as tuples for the hot statements, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, type_coerce

from penstock_runner.engine.state import GROUP, Execution, RunKey, TaskRun
from penstock_runner.executor.store import (
    ExecutionWrite,
    JobRow,
    KvWrite,
    LogRow,
    MailRow,
    MetricRow,
    TimerRow,
)
from penstock_runner.flow.labels import CORRELATION_ID
from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import KvEntry
from penstock_server.store import bodies
from penstock_server.store.schema import from_micros, logs, to_micros

LEVELS = tuple(Level)
LEVEL_NAMES = tuple(level.value for level in LEVELS)
_RANKS = {name: rank for rank, name in enumerate(LEVEL_NAMES)}

# Longer label values are cut in the index of labels (not in the execution): PostgreSQL refuses
# index entries over 2.7 kB.
LABEL_CUT = 400
COMMIT = "system.gitCommit"

Row = tuple[object, ...]


def execution_row(execution: Execution, version: int, updated: datetime) -> Row:
    """A row of `executions`."""
    history = execution.history
    trigger = execution.trigger
    return (
        execution.id,
        execution.namespace,
        execution.flow_id,
        execution.flow_revision,
        execution.state.value,
        0,
        version,
        to_micros(history[0][1]),
        to_micros(history[-1][1]) if execution.through else None,
        to_micros(updated),
        trigger.id if trigger is not None else None,
        _starting_execution(execution),
        execution.parent_id,
        execution.original_id,
        _micros(execution.schedule_date),
        execution.labels.get(COMMIT),
        None,
        bodies.execution_to_json(execution),
        _group(execution),
    )


def _group(execution: Execution) -> str | None:
    group = execution.facts.get(GROUP)
    return None if group is None else bodies.legible(str(group))


def execution_change(write: ExecutionWrite, version: int, updated: datetime) -> Row:
    """What changes of a row of `executions`, then its id and the version it was read in."""
    execution = write.execution
    return (
        execution.flow_revision,
        execution.state.value,
        version,
        to_micros(execution.history[-1][1]) if execution.through else None,
        to_micros(updated),
        bodies.execution_to_json(execution),
        execution.id,
        write.read_version,
    )


def updated(write: ExecutionWrite) -> datetime:
    """When the execution was last looked at."""
    return write.events[-1].at if write.events else write.execution.history[-1][1]


def label_rows(execution_id: str, labels: Mapping[str, str]) -> list[Row]:
    """Rows of `execution_labels`; the correlation id that is the execution's own needs none."""
    cut: dict[str, str] = {}
    for key, value in labels.items():
        if not (key == CORRELATION_ID and value == execution_id):
            cut[bodies.legible(key[:128])] = bodies.legible(value[:LABEL_CUT])
    return [(execution_id, key, value) for key, value in cut.items()]


def run_row(execution_id: str, run: TaskRun) -> Row:
    """A row of `task_runs`."""
    return (
        execution_id,
        run.key,
        run.task_id,
        run.order,
        run.state.value,
        bodies.run_to_json(run),
    )


def job_row(job: JobRow) -> Row:
    """A row of `jobs`."""
    required = bodies.dumps(job.required) if job.required else None
    created = to_micros(job.created)
    return (
        job.execution_id,
        job.key,
        job.attempt,
        job.task_id,
        job.purpose,
        required,
        job.runner,
        created,
        None,
        job.protected,
    )


JOB_COLUMNS = "execution_id, key, attempt, task_id, purpose, required, runner, created_at"


def job_of(row: Row) -> JobRow:
    """The job of a row of `JOB_COLUMNS`."""
    execution_id, key, attempt, task_id, purpose, required, runner, created = _any(row)
    return JobRow(
        execution_id=execution_id,
        key=RunKey(key),
        attempt=attempt,
        task_id=task_id,
        purpose=purpose,
        required=tuple(bodies.loads(required)) if required else (),
        runner=runner,
        created=from_micros(created),
    )


def timer_row(timer: TimerRow) -> Row:
    """A row of `timers`."""
    return (timer.execution_id, timer.key, timer.attempt, timer.purpose, to_micros(timer.at))


def mail_row(mail: MailRow) -> Row:
    """A row of `mailbox`; the database numbers it."""
    return (mail.execution_id, bodies.dumps(mail.body))


def log_row(line: LogRow) -> Row:
    """A row of `logs`."""
    execution_id, n, at, level, message, *origin, stream = line
    said = bodies.legible(message)
    return (execution_id, n, to_micros(at), _RANKS[level], said, *origin, stream or None)


LOG_COLUMNS = ", ".join(column.name for column in logs.columns)
# The same for statements of SQLAlchemy, with the instant as it is stored: `log_of` reads both.
LOG_FIELDS = tuple(
    type_coerce(column, BigInteger).label(column.name) if column is logs.c.at else column
    for column in logs.columns
)


def log_of(row: Any) -> LogRow:
    """The line of a row of `LOG_COLUMNS`."""
    execution_id, n, at, level, message, *origin, stream = row
    name = LEVEL_NAMES[level]
    return LogRow._make((execution_id, n, from_micros(at), name, message, *origin, stream or ""))


def metric_row(metric: MetricRow) -> Row:
    """A row of `metrics`; the database numbers it."""
    return (
        metric.execution_id,
        metric.taskrun_id,
        metric.task_id,
        metric.namespace,
        metric.flow_id,
        to_micros(metric.at),
        bodies.legible(metric.name[:200]),
        metric.kind,
        metric.value,
        bodies.dumps(metric.tags) if metric.tags else None,
    )


def kv_row(namespace: str, entry: KvEntry) -> Row:
    """A row of `kv`."""
    return (
        namespace,
        entry.key,
        entry.type,
        bodies.dumps(entry.value),
        to_micros(entry.created),
        to_micros(entry.updated),
        _micros(entry.expires),
    )


KV_COLUMNS = "key, type, value, created_at, updated_at, expires_at"


def kv_of(row: Row) -> KvEntry:
    """The entry of a row of `KV_COLUMNS`."""
    key, kind, value, created, changed, expires = _any(row)
    return KvEntry(
        key=key,
        type=kind,
        value=bodies.loads(value),
        created=from_micros(created),
        updated=from_micros(changed),
        expires=from_micros(expires) if expires is not None else None,
    )


def last_kv(writes: Iterable[KvWrite]) -> dict[tuple[str, str], KvEntry | None]:
    """What the writes leave, key by key: the last one wins."""
    return {(write.namespace, write.key): write.entry for write in writes}


def _starting_execution(execution: Execution) -> str | None:
    """The execution whose task or end started this one, as its trigger's variables say."""
    if execution.trigger is None:
        return None
    starting = execution.trigger.variables.get("executionId")
    return starting if isinstance(starting, str) and len(starting) <= 22 else None


def _micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def _any(row: Row) -> Any:
    return row
