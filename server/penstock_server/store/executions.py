"""The executor's store over SQL: whole batches in, whole executions out.

One thread uses it, and it is the only writer. An execution is stored with version
`read_version + 1` (1 when the batch makes it), whatever its own `version` says; `load` gives it
back with that number. In a batch, what has ended is deleted before what is new is added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from penstock_runner.engine.state import Execution, RunKey, State, TaskRun
from penstock_runner.executor.store import (
    Batch,
    ExecutionWrite,
    JobRow,
    LogRow,
    MailRow,
    Pool,
    StoredFlow,
    TimerRow,
    holds_slot,
)
from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import KvEntry
from penstock_server.store import bodies, flows, rows
from penstock_server.store.engine import Database, Tx
from penstock_server.store.hot import Hot, writing
from penstock_server.store.schema import from_micros, to_micros

# Tables with rows of one execution, by its id.
OF_EXECUTION = (
    "execution_labels",
    "task_runs",
    "execution_events",
    "jobs",
    "timers",
    "mailbox",
    "logs",
    "metrics",
    "idempotency",
)
_REMEMBERED = 20_000


class SqlStore:
    """`penstock_runner.executor.store.Store` over a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sqlite = database.kind == "sqlite"
        self._reader: Any = None
        # Labels as their index has them, of executions that go on: most writes change none.
        self._labels: dict[str, Mapping[str, str]] = {}

    def write(self, batch: Batch) -> None:
        """Make the batch durable, all of it or nothing; raises `Conflict`."""
        with self._database.begin() as tx:
            for write in batch.writes:
                write(tx)
            if batch.executions_deleted:
                delete_executions(tx, batch.executions_deleted, batch.records_kept)
            with writing(self._database, tx) as hot:
                self._write_executions(hot, list(batch.executions.values()))
                _write_work(hot, batch)
                _write_records(hot, batch)
                _write_kv(hot, batch)
        self._remember(write.execution for write in batch.executions.values())

    def load(self, ids: Collection[str]) -> dict[str, Execution]:
        """Whole executions with their task runs; unknown ids are left out."""
        if not ids:
            return {}
        among, wanted = self._among(ids)
        runs: dict[str, dict[RunKey, TaskRun]] = {}
        for execution_id, key, task_id, place, body in self._all(
            "SELECT execution_id, key, task_id, place, body FROM task_runs"  # noqa: S608
            f" WHERE execution_id {among} ORDER BY execution_id, place",
            (wanted,),
        ):
            run = bodies.run_from_json(body, key=key, task_id=task_id, order=place)
            runs.setdefault(execution_id, {})[run.key] = run
        found = self._all(
            "SELECT id, namespace, flow_id, flow_revision, version, body FROM executions"  # noqa: S608
            f" WHERE id {among}",
            (wanted,),
        )
        loaded = {
            id_: bodies.execution_from_json(
                body,
                id=id_,
                namespace=namespace,
                flow_id=flow_id,
                flow_revision=revision,
                version=version,
                runs=runs.get(id_, {}),
            )
            for id_, namespace, flow_id, revision, version, body in found
        }
        self._remember(loaded.values())
        return loaded

    def flow(self, namespace: str, flow_id: str, revision: int | None) -> StoredFlow | None:
        """A revision, the latest when None; a deleted flow has no latest."""
        with self._database.read() as connection:
            return flows.stored(connection, namespace, flow_id, revision)

    def jobs(self) -> list[JobRow]:
        """Every job that has not ended, oldest first."""
        found = self._all(
            f"SELECT {rows.JOB_COLUMNS} FROM jobs ORDER BY created_at, execution_id, key"  # noqa: S608
        )
        return [rows.job_of(row) for row in found]

    def unended(self) -> list[str]:
        """Ids of all executions that have not ended, oldest first."""
        return [
            id_
            for (id_,) in self._all("SELECT id FROM executions WHERE ended_at IS NULL ORDER BY id")
        ]

    def due_timers(self, now: datetime, limit: int) -> list[TimerRow]:
        """Timers whose moment has come, the longest due first."""
        found = self._all(
            "SELECT execution_id, key, attempt, purpose, at FROM timers WHERE at <= ?"
            " ORDER BY at LIMIT ?",
            (to_micros(now), limit),
        )
        return [
            TimerRow(
                execution_id=id_, key=key, attempt=attempt, purpose=purpose, at=from_micros(at)
            )
            for id_, key, attempt, purpose, at in found
        ]

    def next_timer(self) -> datetime | None:
        """When the next timer is due."""
        [(at,)] = self._all("SELECT min(at) FROM timers")
        return None if at is None else from_micros(at)

    def mail(self, limit: int) -> list[MailRow]:
        """Mail not yet read, oldest first."""
        found = self._all(
            "SELECT id, execution_id, body FROM mailbox ORDER BY id LIMIT ?", (limit,)
        )
        return [MailRow(id=n, execution_id=id_, body=bodies.loads(body)) for n, id_, body in found]

    def slot_holders(self, pool: Pool) -> list[str]:
        """Ids of the executions that hold a slot, oldest first."""
        found = self._open(pool, "state NOT IN ('CREATED', 'QUEUED')")
        # Those that have ended and are not through hold one only if they had begun.
        ended = [id_ for id_, state in found if State(state).terminal]
        idle = {e.id for e in self.load(ended).values() if not holds_slot(e)} if ended else ()
        return [id_ for id_, _ in found if id_ not in idle]

    def queued(self, pool: Pool) -> list[str]:
        """Ids of the QUEUED executions of a pool, oldest first."""
        return [id_ for id_, _ in self._open(pool, "state = 'QUEUED'")]

    def _open(self, pool: Pool, states: str) -> list[tuple[str, str]]:
        """Executions of a pool that are not through, with their states."""
        member = "flow_id = ? AND concurrency_group IS NULL"
        if pool.group:
            member = "concurrency_group = ?"
        return self._all(
            "SELECT id, state FROM executions WHERE ended_at IS NULL AND namespace = ?"  # noqa: S608
            f" AND {member} AND {states} ORDER BY id",
            (pool.namespace, bodies.legible(pool.name)),
        )

    def execution_of_key(self, idempotency_key: str) -> str | None:
        """The execution that a start with this key made before."""
        found = self._all("SELECT execution_id FROM idempotency WHERE key = ?", (idempotency_key,))
        return found[0][0] if found else None

    def last_line(self, execution_id: str) -> int:
        """The number of the last stored log line of an execution, 0 when none."""
        [(last,)] = self._all("SELECT max(n) FROM logs WHERE execution_id = ?", (execution_id,))
        return last or 0

    def error_lines(self, execution_id: str, limit: int) -> list[LogRow]:
        """ERROR lines of an execution, oldest first."""
        found = self._all(
            f"SELECT {rows.LOG_COLUMNS} FROM logs WHERE execution_id = ? AND level = ?"  # noqa: S608
            " ORDER BY n LIMIT ?",
            (execution_id, rows.LEVELS.index(Level.ERROR), limit),
        )
        return [rows.log_of(row) for row in found]

    def template(self, namespace: str, template_id: str) -> str | None:
        """The text of a template as it is now."""
        found = self._all(
            "SELECT source FROM templates WHERE namespace = ? AND id = ?", (namespace, template_id)
        )
        return str(found[0][0]) if found else None

    def kv_get(self, namespace: str, key: str) -> KvEntry | None:
        """The entry as stored, expired or not."""
        found = self._all(
            f"SELECT {rows.KV_COLUMNS} FROM kv WHERE namespace = ? AND key = ?",  # noqa: S608
            (namespace, key),
        )
        return rows.kv_of(found[0]) if found else None

    def kv_list(self, namespace: str) -> list[KvEntry]:
        """All entries of a namespace as stored, by key."""
        found = self._all(
            f"SELECT {rows.KV_COLUMNS} FROM kv WHERE namespace = ? ORDER BY key",  # noqa: S608
            (namespace,),
        )
        return [rows.kv_of(row) for row in found]

    def namespaces(self, top: str = "") -> list[str]:
        """Namespaces that have flows or keys, sorted: this one and those below it, or all."""
        among = ""
        bounds: tuple[str, ...] = ()
        if top:  # what follows a dot lies between it and the slash, its neighbour
            among = " AND (namespace = ? OR (namespace > ? AND namespace < ?))"
            bounds = (top, f"{top}.", f"{top}/")
        found = self._all(
            f"SELECT namespace FROM flows WHERE NOT deleted{among} UNION "  # noqa: S608
            f"SELECT namespace FROM kv WHERE TRUE{among} ORDER BY namespace",
            (*bounds, *bounds),
        )
        return [namespace for (namespace,) in found]

    def _write_executions(self, hot: Hot, writes: list[ExecutionWrite]) -> None:
        if not writes:
            return
        new = [write for write in writes if write.read_version is None]
        held = [write for write in writes if write.read_version is not None]
        if new:
            hot.insert(
                "executions", [rows.execution_row(w.execution, 1, rows.updated(w)) for w in new]
            )
        if held:
            hot.update(
                "executions", [rows.execution_change(w, _version(w), rows.updated(w)) for w in held]
            )
        self._write_labels(hot, new, held)
        _write_runs(hot, writes)
        history = [
            (
                w.execution.id,
                _version(w),
                to_micros(w.events[-1].at),
                bodies.events_to_json(w.events),
            )
            for w in writes
            if w.events
        ]
        if history:
            hot.insert("execution_events", history)

    def _write_labels(
        self, hot: Hot, new: list[ExecutionWrite], held: list[ExecutionWrite]
    ) -> None:
        changed = [
            w.execution for w in held if self._labels.get(w.execution.id) != w.execution.labels
        ]
        if changed:
            ids = [(execution.id,) for execution in changed]
            hot.delete("execution_labels", ids)
        labelled = [
            row
            for execution in (*(w.execution for w in new), *changed)
            for row in rows.label_rows(execution.id, execution.labels)
        ]
        if labelled:
            hot.insert("execution_labels", labelled)

    def _remember(self, executions: Iterable[Execution]) -> None:
        if len(self._labels) > _REMEMBERED:
            self._labels.clear()
        for execution in executions:
            if execution.state.terminal:
                self._labels.pop(execution.id, None)
            else:
                self._labels[execution.id] = execution.labels

    def _among(self, ids: Collection[str]) -> tuple[str, object]:
        """A condition on one value that holds any number of ids."""
        if self._sqlite:
            return "IN (SELECT value FROM json_each(?))", bodies.dumps(list(ids))
        return "= ANY(?)", list(ids)

    def _all(self, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
        text = sql if self._sqlite else sql.replace("?", "%s")
        with self._database.explained():
            try:
                return self._read(text, values)
            except self._database.driver_error:
                if self._sqlite or not self._reader.closed:
                    raise
                # The server has gone and perhaps come back; reading twice does no harm.
                return self._read(text, values)

    def _read(self, text: str, values: tuple[object, ...]) -> list[Any]:
        if self._reader is None or (not self._sqlite and self._reader.closed):
            self._reader = self._database.raw_reader()
        return list(self._reader.execute(text, values).fetchall())

    def close(self) -> None:
        """Close the connection that reads; the database is its owner's to close."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def delete_executions(tx: Tx, ids: Collection[str], kept: Collection[tuple[str, str]] = ()) -> None:
    """Delete executions and every row of theirs; `kept` are pairs of an id and a table."""
    for table in OF_EXECUTION:
        gone = [(id_,) for id_ in ids if (id_, table) not in kept]
        tx.execute_many(f"DELETE FROM {table} WHERE execution_id = ?", gone)  # noqa: S608
    tx.execute_many("DELETE FROM executions WHERE id = ?", [(id_,) for id_ in ids])


def _version(write: ExecutionWrite) -> int:
    return (write.read_version or 0) + 1


def _write_runs(hot: Hot, writes: list[ExecutionWrite]) -> None:
    new: list[rows.Row] = []
    changed: list[rows.Row] = []
    removed: list[rows.Row] = []
    for write in writes:
        execution = write.execution
        runs = execution.runs
        kept = changed if write.read_version is not None else new
        kept.extend(rows.run_row(execution.id, runs[key]) for key in write.changed if key in runs)
        removed.extend((execution.id, key) for key in write.removed if key not in runs)
    if removed:
        hot.delete("task_runs", removed)
    if new:
        hot.insert("task_runs", new)
    if changed:
        hot.put("task_runs", changed)


def _write_work(hot: Hot, batch: Batch) -> None:
    """Jobs, timers and mail."""
    if batch.jobs_ended:
        hot.delete("jobs", batch.jobs_ended)
    if batch.jobs:
        hot.add("jobs", [rows.job_row(job) for job in batch.jobs])
    if batch.jobs_assigned:
        hot.update(
            "jobs",
            [(job.runner, job.execution_id, job.key, job.attempt) for job in batch.jobs_assigned],
        )
    if batch.timers_ended:
        hot.delete("timers", batch.timers_ended)
    if batch.timers:
        last = {(t.execution_id, t.key, t.attempt, t.purpose): t for t in batch.timers}
        hot.put("timers", [rows.timer_row(timer) for timer in last.values()])
    if batch.mail_ended:
        hot.delete("mailbox", [(id_,) for id_ in batch.mail_ended])
    if batch.mail:
        hot.insert("mailbox", [rows.mail_row(mail) for mail in batch.mail])


def _write_records(hot: Hot, batch: Batch) -> None:
    """Log lines, metrics and the keys of starts."""
    if batch.logs:
        hot.add("logs", [rows.log_row(line) for line in batch.logs])
    if batch.metrics:
        # Nor SQLite nor JSON has a word for what is no number; such a measurement says nothing.
        known = [metric for metric in batch.metrics if isfinite(metric.value)]
        hot.insert("metrics", [rows.metric_row(metric) for metric in known])
    if batch.idempotency:
        starts = {key: (key, id_, to_micros(at)) for key, id_, at in batch.idempotency}
        hot.put("idempotency", list(starts.values()))


def _write_kv(hot: Hot, batch: Batch) -> None:
    last = rows.last_kv(batch.kv)
    gone = [place for place, entry in last.items() if entry is None]
    if gone:
        hot.delete("kv", gone)
    put = [rows.kv_row(place[0], entry) for place, entry in last.items() if entry is not None]
    if put:
        hot.put("kv", put)
