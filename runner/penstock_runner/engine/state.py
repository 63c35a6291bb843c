"""The execution as a value: states, task runs, attempts.

Identity is derived: a task run is known by its `RunKey`, its place in the flow (`load`, or
`copy.2.0` for value 2 of the outer loop and 0 of the inner one, `check.0#3` in the third round of
a loop that repeats), and a job by (execution, key, attempt).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

RunKey = NewType("RunKey", str)
# The stage of an execution that is through.
DONE = "done"
# The fact of an execution that tells what was asked with the key of its start.
REQUEST = "request"
# The fact of an execution that has the templates found for it, by node.
TEMPLATES = "templates"
# The fact of an execution that names the concurrency group it is in.
GROUP = "group"
# What stays noted on an execution over its end, and when it is taken up again.
KEPT = ("asked", "orders", "before", REQUEST, TEMPLATES, GROUP)


class State(StrEnum):
    """Every state of executions and task runs."""

    CREATED = "CREATED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    RESTARTED = "RESTARTED"
    RETRYING = "RETRYING"
    KILLING = "KILLING"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILED = "FAILED"
    KILLED = "KILLED"
    CANCELLED = "CANCELLED"
    RETRIED = "RETRIED"
    SKIPPED = "SKIPPED"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows this state by itself."""
        return self in TERMINAL


TERMINAL = frozenset(
    {
        State.SUCCESS,
        State.WARNING,
        State.FAILED,
        State.KILLED,
        State.CANCELLED,
        State.RETRIED,
        State.SKIPPED,
    }
)

History = tuple[tuple[State, datetime], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a task run; `number` counts from 1.

    `notes` are for those who look at it: annotations, and the address of a summary.
    """

    number: int
    history: History
    log_file: str | None = None
    notes: Mapping[str, object] | None = None
    reason: str | None = None

    @property
    def state(self) -> State:
        """Where the attempt stands."""
        return self.history[-1][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun:
    """One task at one place of one execution.

    `values` are the values that this run's flowable iterates over, once known (text, or JSON
    text). `place` holds the indexes of the loop values around it, outermost first. `order` is its
    place in the list that people see. `attempt` is the number of the current attempt, 0 before the
    first.
    """

    key: RunKey
    task_id: str
    order: int
    history: History
    parent: RunKey | None = None
    value: str | None = None
    place: tuple[int, ...] = ()
    iteration: int | None = None
    attempt: int = 0
    attempts: tuple[Attempt, ...] = ()
    outputs: Mapping[str, object] | None = None
    values: tuple[str, ...] | None = None
    branch: str | None = None
    child_execution: str | None = None
    lost: int = 0
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """Where the task run stands."""
        return self.history[-1][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerOrigin:
    """What started an execution: a trigger of its flow, or a task of a parent execution."""

    id: str
    type: str
    variables: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution of one revision of a flow, with all its task runs.

    `facts` holds what only the engine reads (its phase, pending gates); it is plain JSON data.
    """

    id: str
    namespace: str
    flow_id: str
    flow_revision: int
    history: History
    runs: Mapping[RunKey, TaskRun] = field(default_factory=dict)
    inputs: Mapping[str, object] | None = None
    outputs: Mapping[str, object] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, object] | None = None
    trigger: TriggerOrigin | None = None
    parent_id: str | None = None
    original_id: str | None = None
    attempt_number: int = 1
    original_created: datetime | None = None
    schedule_date: datetime | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    version: int = 0

    @property
    def state(self) -> State:
        """Where the execution stands."""
        return self.history[-1][0]

    @property
    def through(self) -> bool:
        """Whether nothing follows: it has ended, and what runs after its end has, too."""
        return self.state.terminal and self.facts.get("stage") in (None, DONE)
