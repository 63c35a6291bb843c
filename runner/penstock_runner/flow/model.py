"""The flow as a value: what a flow file says, typed, frozen and without positions.

A task's own properties stay plain data (`Task.properties`), because their types belong to the
task's class, which lives two rooms above; what every task has, and the child tasks of flowables,
is typed here. `kind` is the present name of a type, `type` the spelling of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen value that knows the camelCase spelling of flow files."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        defer_build=True,
        arbitrary_types_allowed=True,
        coerce_numbers_to_str=True,
    )


class Level(StrEnum):
    """How loud a log line is; the order of the members is the order of importance."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


OnRunnerLost = Literal["RETRY", "FAIL"]


class RetryBehavior(StrEnum):
    """What a retry makes anew: the task run, or the whole execution."""

    RETRY_FAILED_TASK = "RETRY_FAILED_TASK"
    CREATE_NEW_EXECUTION = "CREATE_NEW_EXECUTION"


class Retry(Model):
    """When a failed attempt is tried again. `max_attempts` counts the first attempt too."""

    type: Literal["constant", "exponential", "random"]
    interval: timedelta | None = None
    max_interval: timedelta | None = None
    min_interval: timedelta | None = None
    delay_factor: float | None = None
    max_attempts: int | None = None
    max_duration: timedelta | None = None
    warning_on_retry: bool = False
    when: tuple[str, ...] = ()
    exit_codes: tuple[int, ...] = ()
    behavior: RetryBehavior = RetryBehavior.RETRY_FAILED_TASK


class Task(Model):
    """One task as written; `branches` holds the child tasks of a flowable by branch.

    Branch names: `tasks`, `then`, `else`, `cases.<value>`, `defaults`, `errors`, `finally`.
    A Dag's edges are in `depends_on` (child id -> ids it waits for).
    """

    id: str
    type: str
    kind: str
    description: str | None = None
    retry: Retry | None = None
    timeout: str | None = None
    disabled: bool = False
    run_if: str | None = None
    allow_failure: bool | Mapping[str, object] = False
    allow_warning: bool = False
    log_level: Level | None = None
    log_to_file: bool = False
    interruptible: bool = True
    runs_on: object | None = None
    worker_group: Mapping[str, object] | None = None
    worker_selector: Mapping[str, object] | None = None
    task_cache: Mapping[str, object] | None = None
    on_runner_lost: OnRunnerLost | None = None
    queue_timeout: timedelta | None = None
    idle_timeout: timedelta | None = None
    kill_grace: timedelta | None = None
    kill_signal: Literal["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "KILL"] | None = None
    assets: Mapping[str, object] | None = None
    version: str | None = None
    plugin_defaults_ref: str | None = None
    properties: Mapping[str, object] = {}
    branches: Mapping[str, tuple[Task, ...]] = {}
    depends_on: Mapping[str, tuple[str, ...]] = {}

    def walk(self) -> Iterator[Task]:
        """The task, then everything below it, in the order of the file."""
        yield self
        for children in self.branches.values():
            for child in children:
                yield from child.walk()


class Input(Model):
    """One declared input; `options` holds the properties that only its type has."""

    id: str
    type: str
    description: str | None = None
    display_name: str | None = None
    required: bool = True
    defaults: object | None = None
    prefill: object | None = None
    depends_on: Mapping[str, object] | None = None
    options: Mapping[str, object] = {}


class Output(Model):
    """One declared output of the flow; `value` is rendered when the execution ends."""

    id: str
    type: str
    value: object
    description: str | None = None
    display_name: str | None = None
    required: bool = True


class Trigger(Model):
    """One trigger as written; what its type adds is in `properties`."""

    id: str
    type: str
    kind: str
    description: str | None = None
    disabled: bool = False
    conditions: tuple[Mapping[str, object], ...] = ()
    labels: Mapping[str, str] = {}
    inputs: Mapping[str, object] = {}
    stop_after: tuple[str, ...] = ()
    log_level: Level | None = None
    log_to_file: bool = False
    run_if: str | None = None
    runs_on: object | None = None
    worker_group: Mapping[str, object] | None = None
    worker_selector: Mapping[str, object] | None = None
    version: str | None = None
    plugin_defaults_ref: str | None = None
    properties: Mapping[str, object] = {}


class Concurrency(Model):
    """How many executions of a flow may run at once, and what happens to one more.

    With a `group`, an expression, they are those of all flows of the namespace whose group has the
    same name. `cancel_in_progress` kills older ones for a newer one.
    """

    limit: int = 1
    behavior: Literal["QUEUE", "CANCEL", "FAIL"] = "QUEUE"
    group: str | None = None
    cancel_in_progress: bool = False
    queue: Literal["all", "latest"] = "all"


class Sla(Model):
    """A promise about an execution and what follows when it is broken."""

    id: str
    type: Literal["MAX_DURATION", "EXECUTION_ASSERTION"]
    behavior: Literal["FAIL", "CANCEL", "NONE"]
    duration: timedelta | None = None
    assertion: str | None = None
    labels: Mapping[str, str] = {}


class Check(Model):
    """A condition on the inputs of a start."""

    condition: str
    message: str
    style: Literal["ERROR", "SUCCESS", "WARNING", "INFO"] = "INFO"
    behavior: Literal["BLOCK_EXECUTION", "FAIL_EXECUTION", "CREATE_EXECUTION"] = "BLOCK_EXECUTION"


class PluginDefault(Model):
    """Values that tasks and triggers of a type, or of a prefix of types, start from."""

    type: str
    values: Mapping[str, object]
    forced: bool = False


class Listener(Model):
    """Tasks run after the end when all conditions hold (deprecated by `afterExecution`)."""

    tasks: tuple[Task, ...]
    conditions: tuple[Mapping[str, object], ...] = ()
    description: str | None = None


class Flow(Model):
    """One flow. `source` is the text it was read from; `revision` is the server's."""

    id: str
    namespace: str
    revision: int | None = None
    description: str | None = None
    labels: Mapping[str, str] = {}
    inputs: tuple[Input, ...] = ()
    variables: Mapping[str, object] = {}
    tasks: tuple[Task, ...] = ()
    errors: tuple[Task, ...] = ()
    finally_: tuple[Task, ...] = ()
    after_execution: tuple[Task, ...] = ()
    listeners: tuple[Listener, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    plugin_defaults: tuple[PluginDefault, ...] = ()
    concurrency: Concurrency | None = None
    outputs: tuple[Output, ...] = ()
    retry: Retry | None = None
    sla: tuple[Sla, ...] = ()
    checks: tuple[Check, ...] = ()
    env: Mapping[str, object] = {}
    runs_on: object | None = None
    worker_group: Mapping[str, object] | None = None
    worker_selector: Mapping[str, object] | None = None
    on_runner_lost: OnRunnerLost | None = None
    priority: int = 0
    disabled: bool = False
    deleted: bool = False
    source: str = ""

    def walk(self) -> Iterator[Task]:
        """All tasks of the flow, in the order of the file."""
        listened = (task for listener in self.listeners for task in listener.tasks)
        for part in (self.tasks, self.errors, self.finally_, self.after_execution, listened):
            for task in part:
                yield from task.walk()
