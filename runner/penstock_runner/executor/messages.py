"""What others ask of the executor. It answers after the commit that holds the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from penstock_runner.engine.events import Event
from penstock_runner.engine.state import Execution, RunKey, TriggerOrigin
from penstock_runner.executor.store import Write


class Refused(Exception):
    """The executor cannot do what was asked; `status` is the HTTP status that says it best."""

    def __init__(self, message: str, *, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One of many executions that an action does not suit."""

    execution_id: str
    reason: str


class ManyRefused(Refused):
    """An action does not suit all of the executions it was asked for: nothing was done."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(f"{len(refusals)} of the executions do not allow it", status=400)
        self.refusals = tuple(refusals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A new execution is asked for.

    With `resolve` the executor resolves `inputs` by the flow's declarations (what triggers and
    subflows want); otherwise they are stored as they are (the web process has resolved them).
    `labels` come after the flow's own. `revision` None means the latest. `id` is given when it must
    be known beforehand. `replay_of` is the execution that this one does again, from the task run
    `replay_from` on when one is named. With a `failure` the execution is made only to say why it
    could not run: it is FAILED at once, without task runs. With `correlate` it heads a family of
    executions, and bears the label that says so. A start whose key was used gets the execution of
    that time; it is refused when `facts` say that something else is asked.
    """

    namespace: str
    flow_id: str
    revision: int | None = None
    inputs: Mapping[str, Any] | None = None
    resolve: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    trigger: TriggerOrigin | None = None
    schedule_date: datetime | None = None
    idempotency_key: str | None = None
    variables: Mapping[str, Any] | None = None
    origin: str = "api"
    id: str | None = None
    correlation_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    replay_of: Execution | None = None
    replay_from: RunKey | None = None
    failure: str | None = None
    correlate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a request: the executions as committed, or why not.

    `refusals` are those of many that were left out.
    """

    executions: tuple[Execution, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    error: Exception | None = None


Done = Callable[[Outcome], None]
# Told of an execution that has moved, with how many entries of its history it was told before;
# what it gives is written in the transaction that writes the move.
OnChange = Callable[[Execution, int], Sequence[Write]]


class Starter(Protocol):
    """How the rooms around the executor (sync, scheduler, operations) use it. Single-threaded."""

    def transact(
        self,
        *,
        writes: Sequence[Write] = (),
        starts: Sequence[Start] = (),
        done: Done | None = None,
    ) -> None:
        """Queue writes and starts for one transaction: all of it or nothing."""
        ...

    def tell(self, execution_id: str, *events: Event, done: Done | None = None) -> None:
        """Queue events for one execution."""
        ...

    def new_id(self) -> str:
        """A fresh execution id: 22 characters, ordered by time."""
        ...
