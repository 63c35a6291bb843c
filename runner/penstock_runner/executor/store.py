"""What the executor needs of a store: reads while it decides, one write when it has.

The executor is the only writer. It keeps what it decides in a `Batch`, a plain value, and gives it
to `Store.write`, which makes all of it durable or nothing. `MemoryStore` is beside this file; the
server has one over SQL. One contract suite runs on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from penstock_runner.engine.events import Event
from penstock_runner.engine.state import GROUP, Execution, RunKey, State
from penstock_runner.flow.offers import Demand
from penstock_runner.tasks.api import KvEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFlow:
    """One revision of a flow as stored, with where it came from."""

    namespace: str
    id: str
    revision: int
    source: str
    deleted: bool = False
    disabled: bool = False
    git: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """Those who share slots: the executions of a flow, or with `group` of all flows that name it.

    A group is one of its namespace. Who is in a group takes no slot of its flow alone.
    """

    namespace: str
    name: str
    group: bool = False

    def __str__(self) -> str:
        return f"concurrency group '{self.name}'" if self.group else "this flow"


def pool_of(execution: Execution) -> Pool:
    """The pool whose slots an execution takes."""
    group = execution.facts.get(GROUP)
    if group is None:
        return Pool(execution.namespace, execution.flow_id)
    return Pool(execution.namespace, str(group), group=True)


def holds_slot(execution: Execution) -> bool:
    """Whether an execution holds a slot: from its start until it is through."""
    if execution.state.terminal:
        began = any(state is State.RUNNING for state, _ in execution.history)
        return began and not execution.through
    return execution.state not in (State.CREATED, State.QUEUED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job that has not ended. `runner` is None while it waits for one.

    `namespace`, `protected` and `priority` are those of its flow, and are not stored.
    """

    execution_id: str
    key: RunKey
    attempt: int
    task_id: str
    created: datetime
    runner: str | None = None
    required: tuple[str, ...] = ()
    purpose: str = ""
    namespace: str = ""
    protected: bool = False
    priority: int = 0

    @property
    def demand(self) -> Demand:
        """What it asks of a runner."""
        return Demand(required=self.required, namespace=self.namespace, protected=self.protected)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerRow:
    """A moment at which an execution has to be looked at again."""

    execution_id: str
    key: str
    attempt: int
    purpose: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRow:
    """Something one execution has to tell another; `body` is plain data. `id` is 0 until stored."""

    execution_id: str
    body: Mapping[str, Any]
    id: int = 0


class LogRow(NamedTuple):
    """One stored log line; `n` counts from 1 in its execution, `attempt` from 1 in its task run.

    A tuple in the order of the table's columns: a flood of lines is made, and turned into rows.
    """

    execution_id: str
    n: int
    at: datetime
    level: str
    message: str
    namespace: str
    flow_id: str
    task_id: str | None = None
    taskrun_id: str | None = None
    attempt: int | None = None
    trigger_id: str | None = None
    stream: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One stored measurement."""

    execution_id: str
    taskrun_id: str
    task_id: str
    namespace: str
    flow_id: str
    at: datetime
    name: str
    kind: str
    value: float
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class KvWrite:
    """A change of the key-value store; `entry` None deletes."""

    namespace: str
    key: str
    entry: KvEntry | None


@dataclass(slots=True, kw_only=True)
class ExecutionWrite:
    """One execution as the batch leaves it.

    `read_version` is None for one that the batch creates. `changed` are the task runs to write,
    `removed` those to delete, `events` what happened to it in this batch (for history and replay).
    """

    execution: Execution
    read_version: int | None
    changed: set[RunKey] = field(default_factory=set)
    removed: set[RunKey] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)


Write = Callable[[Any], None]
# Records that may outlive their execution.
KEEPABLE = frozenset({"logs", "metrics"})


@dataclass(slots=True, kw_only=True)
class Batch:
    """Everything one transaction writes.

    `records_kept` are pairs of a deleted execution and what of it stays, one of `KEEPABLE`.
    `writes` are statements of other rooms (a sync that is applied, a trigger that has fired): each
    is called with the store's open transaction, first, and an exception in one undoes the whole
    batch.
    """

    executions: dict[str, ExecutionWrite] = field(default_factory=dict)
    jobs: list[JobRow] = field(default_factory=list)
    jobs_assigned: list[JobRow] = field(default_factory=list)
    jobs_ended: list[tuple[str, str, int]] = field(default_factory=list)
    timers: list[TimerRow] = field(default_factory=list)
    timers_ended: list[tuple[str, str, int, str]] = field(default_factory=list)
    mail: list[MailRow] = field(default_factory=list)
    mail_ended: list[int] = field(default_factory=list)
    logs: list[LogRow] = field(default_factory=list)
    metrics: list[MetricRow] = field(default_factory=list)
    kv: list[KvWrite] = field(default_factory=list)
    idempotency: list[tuple[str, str, datetime]] = field(default_factory=list)
    executions_deleted: list[str] = field(default_factory=list)
    records_kept: set[tuple[str, str]] = field(default_factory=set)
    writes: list[Write] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(bool(getattr(self, name)) for name in self.__dataclass_fields__)


class Conflict(Exception):
    """Somebody else has written an execution of the batch: this process is not the only writer."""


class Store(Protocol):
    """Reads and the one write. All reads see what the last `write` left."""

    def flow(self, namespace: str, flow_id: str, revision: int | None) -> StoredFlow | None:
        """A revision, the latest when None; a deleted flow has no latest."""
        ...

    def template(self, namespace: str, template_id: str) -> str | None:
        """The text of a template as it is now."""
        ...

    def load(self, ids: Collection[str]) -> dict[str, Execution]:
        """Whole executions with their task runs; unknown ids are left out."""
        ...

    def write(self, batch: Batch) -> None:
        """Make the batch durable, all of it or nothing; raises `Conflict`."""
        ...

    def jobs(self) -> list[JobRow]:
        """Every job that has not ended, oldest first."""
        ...

    def unended(self) -> list[str]:
        """Ids of all executions that are not through, oldest first."""
        ...

    def due_timers(self, now: datetime, limit: int) -> list[TimerRow]: ...
    def next_timer(self) -> datetime | None: ...
    def mail(self, limit: int) -> list[MailRow]:
        """Mail not yet read, oldest first."""
        ...

    def slot_holders(self, pool: Pool) -> list[str]:
        """Ids of the executions that hold a slot (`holds_slot`), oldest first."""
        ...

    def queued(self, pool: Pool) -> list[str]:
        """Ids of the QUEUED executions of a pool, oldest first."""
        ...

    def execution_of_key(self, idempotency_key: str) -> str | None:
        """The execution that a start with this key made before."""
        ...

    def last_line(self, execution_id: str) -> int:
        """The number of the last stored log line of an execution, 0 when none."""
        ...

    def kv_get(self, namespace: str, key: str) -> KvEntry | None:
        """The entry as stored, expired or not."""
        ...

    def kv_list(self, namespace: str) -> list[KvEntry]: ...
    def namespaces(self, top: str = "") -> list[str]:
        """Namespaces that have flows or keys, sorted: this one and those below it, or all."""
        ...

    def error_lines(self, execution_id: str, limit: int) -> list[LogRow]:
        """ERROR lines of an execution, oldest first."""
        ...
