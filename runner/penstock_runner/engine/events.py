"""Events: what has happened. Each carries its time; nothing else tells the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from penstock_runner.engine.state import History, RunKey, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The execution has its concurrency slot and may begin."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """It does not begin: `state` is QUEUED, CANCELLED or FAILED, as the flow's concurrency says.

    With a `reason` it is not the concurrency: the execution was made only to say what went wrong.
    """

    at: datetime
    state: State
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The answer to an `Evaluate`: the rendered values, or why there are none."""

    at: datetime
    key: RunKey | None
    purpose: str
    values: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted:
    """A runner has begun the attempt (or the executor has, in its own step)."""

    at: datetime
    key: RunKey
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded:
    """An attempt has ended: `state` is SUCCESS, WARNING, FAILED or KILLED."""

    at: datetime
    key: RunKey
    attempt: int
    state: State
    outputs: Mapping[str, object] | None = None
    error: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    log_file: str | None = None
    notes: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnd:
    """How one task of a working directory ended; `attempt_state` is before its allowances."""

    task_id: str
    history: History
    attempt_state: State
    outputs: Mapping[str, object] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildrenReported:
    """What the tasks of a working directory came to; told before the job's own end."""

    at: datetime
    key: RunKey
    attempt: int
    children: tuple[ChildEnd, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLost:
    """The runner of an attempt is gone, or the service died under it.

    A `planned` stop of the runner is nobody's fault, and is not counted as a loss.
    """

    at: datetime
    key: RunKey
    attempt: int
    planned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A timer that the engine asked for is due."""

    at: datetime
    key: RunKey | None
    attempt: int
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubflowStarted:
    """The child execution of a task run exists."""

    at: datetime
    key: RunKey
    attempt: int
    execution_id: str
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubflowEnded:
    """A child execution has ended (or changed state, for a task that counts its children).

    `error` says why the outputs that the parent asked for could not be had.
    """

    at: datetime
    key: RunKey
    attempt: int
    execution_id: str
    state: State
    outputs: Mapping[str, object] | None = None
    index: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsSet:
    """A task or a person has set labels; same keys are replaced."""

    at: datetime
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariablesSet:
    """A task has changed the execution's variables; None removes one."""

    at: datetime
    variables: Mapping[str, object | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRequested:
    """A task asks the execution to end now in this state."""

    at: datetime
    key: RunKey
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequested:
    """A person pauses the execution."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A paused task run (None: the execution) goes on; `outputs` are the given inputs."""

    at: datetime
    key: RunKey | None = None
    outputs: Mapping[str, object] | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KillRequested:
    """A person, a parent or a promise asks for the end; `state` is what the execution ends in.

    With `cascade` the executions that it waits for are killed, too, when `state` is KILLED.
    """

    at: datetime
    state: State = State.KILLED
    reason: str | None = None
    cascade: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequested:
    """A person restarts what failed in an ended or paused execution."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequested:
    """A copy of an execution starts again at `key`; the runs before it are already in place."""

    at: datetime
    key: RunKey


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRunMarked:
    """A person sets the state of a task run, and what follows it runs again."""

    at: datetime
    key: RunKey
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Forced:
    """A person lets a waiting execution run now."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChanged:
    """A person gives an ended execution another end state."""

    at: datetime
    state: State


Event = (
    Started
    | Queued
    | Evaluated
    | JobStarted
    | JobEnded
    | ChildrenReported
    | JobLost
    | TimerFired
    | SubflowStarted
    | SubflowEnded
    | LabelsSet
    | VariablesSet
    | ExitRequested
    | PauseRequested
    | Resumed
    | KillRequested
    | RestartRequested
    | ReplayRequested
    | TaskRunMarked
    | Forced
    | StatusChanged
)
Events = Sequence[Event]
