"""Commands: what must be done next. Each is a row or an inline step; none is a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penstock_runner.engine.state import RunKey, State
from penstock_runner.flow.model import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob:
    """Run one attempt of a runnable task: inline when it may be, else as a job of a runner."""

    key: RunKey
    attempt: int
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelJob:
    """Stop the attempt; its end comes back as `JobEnded`."""

    key: RunKey
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTimer:
    """Come back at `at` with `TimerFired`; one for each (key, attempt, purpose)."""

    key: RunKey | None
    attempt: int
    at: datetime
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate:
    """Render `expressions` as the task run `key` sees the world (None: as the execution does).

    `purpose` says which gate asks (`runIf`, `condition`, `values`, `outputs`, ...) and comes back
    on the answer. Names in `typed` keep the type of their value; the others become text.
    """

    key: RunKey | None
    purpose: str
    expressions: Mapping[str, object]
    typed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSubflow:
    """Create a child execution; comes back as `SubflowStarted` or a failed `JobEnded`.

    `request` holds the rendered properties of the task (namespace, flowId, revision, inputs,
    labels, inheritLabels, scheduleDate, wait).
    """

    key: RunKey
    attempt: int
    request: Mapping[str, object]
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSubflow:
    """Kill a child execution; with an empty `execution_id`, all children of the task run."""

    key: RunKey
    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryExecution:
    """Create a new execution that replays this one from the beginning, at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteLog:
    """A line of the engine itself in the execution's log."""

    key: RunKey | None
    attempt: int
    level: Level
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The execution has ended: free its slot, tell the parent, wake flow triggers."""

    state: State
    facts: Mapping[str, object] = field(default_factory=dict)


Command = (
    RunJob
    | CancelJob
    | StartTimer
    | Evaluate
    | StartSubflow
    | KillSubflow
    | RetryExecution
    | WriteLog
    | End
)
