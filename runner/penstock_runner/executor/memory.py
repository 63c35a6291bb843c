"""A store that lasts as long as its process: for `penstock run`, `penstock test` and unit tests.

It keeps the promises of `Store`: a batch is applied whole or not at all, an execution gets version
`read_version + 1`, what has ended is deleted before what is new is added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from penstock_runner.engine.events import Event
from penstock_runner.engine.state import Execution, State
from penstock_runner.executor.store import (
    Batch,
    Conflict,
    JobRow,
    LogRow,
    MailRow,
    MetricRow,
    Pool,
    StoredFlow,
    TimerRow,
    holds_slot,
    pool_of,
)
from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import KvEntry


class MemoryStore:
    """`Store` over dictionaries."""

    def __init__(self, flows: Iterable[StoredFlow] = ()) -> None:
        self._flows: dict[tuple[str, str], list[StoredFlow]] = {}
        self._templates: dict[tuple[str, str], str] = {}
        self._executions: dict[str, Execution] = {}
        self._events: dict[str, list[tuple[Event, ...]]] = {}
        self._jobs: dict[tuple[str, str, int], JobRow] = {}
        self._timers: dict[tuple[str, str, int, str], TimerRow] = {}
        self._mail: dict[int, MailRow] = {}
        self._last_mail = 0
        self._logs: dict[str, dict[int, LogRow]] = {}
        self._metrics: dict[str, list[MetricRow]] = {}
        self._kv: dict[tuple[str, str], KvEntry] = {}
        self._keys: dict[str, str] = {}
        for flow in flows:
            self.put_flow(flow)

    def put_flow(self, flow: StoredFlow) -> None:
        """Add a revision of a flow; the last one put is the latest."""
        self._flows.setdefault((flow.namespace, flow.id), []).append(flow)

    def flow(self, namespace: str, flow_id: str, revision: int | None) -> StoredFlow | None:
        """A revision, the latest when None; a deleted flow has no latest."""
        found = self._flows.get((namespace, flow_id), [])
        if revision is None:
            return found[-1] if found and not found[-1].deleted else None
        return next((flow for flow in found if flow.revision == revision), None)

    def put_template(self, namespace: str, template_id: str, source: str) -> None:
        """Keep the text of a template."""
        self._templates[(namespace, template_id)] = source

    def template(self, namespace: str, template_id: str) -> str | None:
        """The text of a template as it is now."""
        return self._templates.get((namespace, template_id))

    def load(self, ids: Collection[str]) -> dict[str, Execution]:
        """Whole executions with their task runs; unknown ids are left out."""
        return {id_: self._executions[id_] for id_ in ids if id_ in self._executions}

    def write(self, batch: Batch) -> None:
        """Apply the batch, all of it or nothing; raises `Conflict`.

        Whatever may refuse comes first: versions are compared, then the writes of other rooms run
        (with this store in place of a transaction); nothing after them can fail.
        """
        self._compare(batch)
        flows = {name: list(found) for name, found in self._flows.items()} if batch.writes else {}
        try:
            for write in batch.writes:
                write(self)
        except BaseException:
            self._flows = flows
            raise
        for execution_id in batch.executions_deleted:
            kept = {name for of, name in batch.records_kept if of == execution_id}
            self._delete(execution_id, kept)
        self._write_executions(batch)
        self._write_work(batch)
        self._write_records(batch)

    def jobs(self) -> list[JobRow]:
        """Every job that has not ended, oldest first."""
        return sorted(self._jobs.values(), key=lambda job: (job.created, job.execution_id, job.key))

    def unended(self) -> list[str]:
        """Ids of all executions that have not ended, oldest first."""
        return sorted(id_ for id_, found in self._executions.items() if not found.through)

    def due_timers(self, now: datetime, limit: int) -> list[TimerRow]:
        """Timers whose moment has come, the longest due first."""
        due = (timer for timer in self._timers.values() if timer.at <= now)
        return sorted(due, key=lambda timer: timer.at)[:limit]

    def next_timer(self) -> datetime | None:
        """When the next timer is due."""
        return min((timer.at for timer in self._timers.values()), default=None)

    def mail(self, limit: int) -> list[MailRow]:
        """Mail not yet read, oldest first."""
        return [self._mail[id_] for id_ in sorted(self._mail)[:limit]]

    def slot_holders(self, pool: Pool) -> list[str]:
        """Ids of the executions that hold a slot, oldest first."""
        return [found.id for found in self._of_pool(pool) if holds_slot(found)]

    def queued(self, pool: Pool) -> list[str]:
        """Ids of the QUEUED executions of a pool, oldest first."""
        return [found.id for found in self._of_pool(pool) if found.state is State.QUEUED]

    def execution_of_key(self, idempotency_key: str) -> str | None:
        """The execution that a start with this key made before."""
        return self._keys.get(idempotency_key)

    def last_line(self, execution_id: str) -> int:
        """The number of the last stored log line of an execution, 0 when none."""
        return max(self._logs.get(execution_id, ()), default=0)

    def kv_get(self, namespace: str, key: str) -> KvEntry | None:
        """The entry as stored, expired or not."""
        return self._kv.get((namespace, key))

    def kv_list(self, namespace: str) -> list[KvEntry]:
        """All entries of a namespace as stored, by key."""
        return [entry for (of, _), entry in sorted(self._kv.items()) if of == namespace]

    def namespaces(self, top: str = "") -> list[str]:
        """Namespaces that have flows or keys, sorted: this one and those below it, or all."""
        found = {of for (of, _), revisions in self._flows.items() if not revisions[-1].deleted}
        found.update(of for of, _ in self._kv)
        return sorted(of for of in found if not top or f"{of}.".startswith(f"{top}."))

    def error_lines(self, execution_id: str, limit: int) -> list[LogRow]:
        """ERROR lines of an execution, oldest first."""
        return [line for line in self.lines(execution_id) if line.level == Level.ERROR][:limit]

    def lines(self, execution_id: str) -> list[LogRow]:
        """All log lines of an execution, in their order."""
        return [line for _, line in sorted(self._logs.get(execution_id, {}).items())]

    def metrics(self, execution_id: str) -> list[MetricRow]:
        """All measurements of an execution, in the order they came."""
        return list(self._metrics.get(execution_id, ()))

    def events(self, execution_id: str) -> list[Event]:
        """What has happened to an execution, in its order."""
        return [event for events in self._events.get(execution_id, ()) for event in events]

    def executions(self) -> list[Execution]:
        """All executions, oldest first."""
        return [self._executions[id_] for id_ in sorted(self._executions)]

    def _compare(self, batch: Batch) -> None:
        for execution_id, write in batch.executions.items():
            gone = execution_id in batch.executions_deleted
            stored = None if gone else self._executions.get(execution_id)
            if (stored.version if stored is not None else None) != write.read_version:
                raise Conflict(f"execution {execution_id} was changed by somebody else")

    def _write_executions(self, batch: Batch) -> None:
        for execution_id, write in batch.executions.items():
            version = (write.read_version or 0) + 1
            # Like a database, it is told of task runs one by one: what nobody writes is not there.
            stored = self._executions.get(execution_id)
            runs = {} if stored is None else dict(stored.runs)
            now = write.execution.runs
            changed = [now[key] for key in write.changed if key in now]
            runs.update((run.key, run) for run in sorted(changed, key=lambda run: run.order))
            for key in write.removed - now.keys():
                runs.pop(key, None)
            self._executions[execution_id] = replace(
                write.execution, version=version, runs=MappingProxyType(runs)
            )
            if write.events:
                self._events.setdefault(execution_id, []).append(tuple(write.events))

    def _write_work(self, batch: Batch) -> None:
        for job_key in batch.jobs_ended:
            self._jobs.pop(job_key, None)
        for job in batch.jobs:
            self._jobs.setdefault((job.execution_id, job.key, job.attempt), job)
        for job in batch.jobs_assigned:
            key = (job.execution_id, job.key, job.attempt)
            if key in self._jobs:
                self._jobs[key] = replace(self._jobs[key], runner=job.runner)
        for timer_key in batch.timers_ended:
            self._timers.pop(timer_key, None)
        for timer in batch.timers:
            self._timers[timer.execution_id, timer.key, timer.attempt, timer.purpose] = timer
        for mail_id in batch.mail_ended:
            self._mail.pop(mail_id, None)
        for mail in batch.mail:
            self._last_mail += 1
            self._mail[self._last_mail] = replace(mail, id=self._last_mail)

    def _write_records(self, batch: Batch) -> None:
        for line in batch.logs:
            self._logs.setdefault(line.execution_id, {}).setdefault(line.n, line)
        for metric in batch.metrics:
            self._metrics.setdefault(metric.execution_id, []).append(metric)
        for write in batch.kv:
            if write.entry is None:
                self._kv.pop((write.namespace, write.key), None)
            else:
                self._kv[write.namespace, write.key] = write.entry
        for key, execution_id, _ in batch.idempotency:
            self._keys[key] = execution_id

    def _delete(self, execution_id: str, kept: Collection[str]) -> None:
        self._executions.pop(execution_id, None)
        self._events.pop(execution_id, None)
        for name, records in (("logs", self._logs), ("metrics", self._metrics)):
            if name not in kept:
                records.pop(execution_id, None)
        self._jobs = {key: job for key, job in self._jobs.items() if key[0] != execution_id}
        self._timers = {key: timer for key, timer in self._timers.items() if key[0] != execution_id}
        self._mail = {
            n: mail for n, mail in self._mail.items() if mail.execution_id != execution_id
        }
        self._keys = {key: id_ for key, id_ in self._keys.items() if id_ != execution_id}

    def _of_pool(self, pool: Pool) -> list[Execution]:
        return [found for found in self.executions() if pool_of(found) == pool]
