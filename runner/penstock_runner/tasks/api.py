"""What a task type is made of: its properties, the context it runs in, and the ways it can end.

A task class is a frozen model of its properties with a `run(ctx)`. It sees plain, rendered values
and reaches the world only through `ctx`. `@task` registers it under its type name; the registry
finds the class by reading that line of the source, so a family is imported only when one of its
tasks is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from penstock_runner.engine.state import State
from penstock_runner.flow.model import Level
from penstock_runner.tasks.fitting import fit_properties
from penstock_runner.tasks.storage import Storage

Outputs = Mapping[str, object]


class Properties(BaseModel):
    """A group of properties inside others, as flow files spell them (camelCase)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        defer_build=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _fitted(cls, values: Any) -> Any:
        return fit_properties(cls, values) if isinstance(values, Mapping) else values


class TaskProperties(Properties):
    """The properties that only this type has."""

    task_type: ClassVar[TaskType]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskType:
    """What `@task` says of a class. `inline` tasks only compute and can run inside a step."""

    name: str
    aliases: tuple[str, ...] = ()
    kind: str = "task"
    inline: bool = False
    extra: str | None = None


@dataclass(frozen=True, slots=True)
class Typed:
    """Marks a field whose expression keeps the type of its value: `Annotated[object, Typed()]`."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Marks a field that the task renders itself, with more variables: `Annotated[str, Raw()]`."""


T = TypeVar("T", bound=type[BaseModel])


def task(
    name: str,
    *,
    aliases: Sequence[str] = (),
    kind: str = "task",
    inline: bool = False,
    extra: str | None = None,
) -> Callable[[T], T]:
    """Register the class under its type name (a literal: the registry reads it from the source)."""

    def register(cls: T) -> T:
        cls.task_type = TaskType(  # type: ignore[attr-defined]
            name=name, aliases=tuple(aliases), kind=kind, inline=inline, extra=extra
        )
        return cls

    return register


class TaskFailed(Exception):
    """The task cannot do what it was asked; the message is for the execution's log."""

    def __init__(
        self,
        message: str,
        *,
        outputs: Outputs | None = None,
        reason: str | None = None,
        exit_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.outputs = outputs
        self.reason = reason
        self.exit_code = exit_code


class Cancelled(Exception):
    """The attempt was asked to stop, and has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a task gives back when plain outputs do not say it all."""

    outputs: Outputs = field(default_factory=dict)
    state: State = State.SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class KvEntry:
    """One value of the key-value store."""

    key: str
    value: object
    type: str
    created: datetime
    updated: datetime
    expires: datetime | None = None


class KeyValues(Protocol):
    """The key-value store of one namespace."""

    def get(self, key: str) -> KvEntry | None:
        """The entry, None when absent; raises `penstock_runner.expressions.errors.KeyExpired`."""
        ...

    def put(
        self,
        key: str,
        value: object,
        *,
        kind: str | None = None,
        ttl: timedelta | None = None,
        overwrite: bool = True,
    ) -> None:
        """Write a value; raises `TaskFailed` when it exists and may not be overwritten."""
        ...

    def delete(self, key: str) -> bool:
        """Whether there was something to delete."""
        ...

    def keys(self, prefix: str = "") -> list[str]:
        """Keys that have not expired, sorted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A process for a task runner to run in the job's workspace.

    `argv` is complete (interpreter included). `env` is what the flow adds to the clean environment
    of the runner. `task_runner` is the task's rendered `taskRunner` map, None for the configured
    default.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    task_runner: Mapping[str, object] | None = None
    container_image: str | None = None
    fail_fast: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """How a process ended. `vars` are what it said by the output protocol.

    `container` is the container that is still there after it.
    """

    exit_code: int
    reason: str | None = None
    vars: Mapping[str, object] = field(default_factory=dict)
    stderr_lines: int = 0
    stdout_lines: int = 0
    container: str | None = None


class RunContext(Protocol):
    """The world as a running task sees it."""

    @property
    def namespace(self) -> str: ...
    @property
    def flow_id(self) -> str: ...
    @property
    def execution_id(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def taskrun_id(self) -> str: ...
    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        ...

    @property
    def variables(self) -> Mapping[str, object]:
        """The variables of expressions."""
        ...

    @property
    def storage(self) -> Storage:
        """The internal storage, as this execution may see it."""
        ...

    @property
    def workspace(self) -> Path:
        """The private working directory of the job, made on first use, removed at its end."""
        ...

    def now(self) -> datetime: ...

    def local_path(self, text: str) -> Path:
        """A path of this machine that flows may use, real; raises `TaskFailed` for others."""
        ...

    def render(self, value: object, more: Mapping[str, object] | None = None) -> Any:
        """Render text, maps and lists through, with extra variables."""
        ...

    def log(self, level: Level, message: str) -> None: ...

    def metric(
        self, name: str, kind: str, value: float, tags: Mapping[str, str] | None = None
    ) -> None:
        """Record a `counter` or a `timer` (seconds)."""
        ...

    def kv(self, namespace: str | None = None) -> KeyValues: ...

    def set_labels(self, labels: Mapping[str, str]) -> None:
        """Put labels on the execution, replacing those of the same key."""
        ...

    def set_variables(self, variables: Mapping[str, object | None]) -> None:
        """Change the execution's variables; None removes one."""
        ...

    def exit_execution(self, state: State) -> None:
        """Ask the execution to end in this state once the task has ended."""
        ...

    def run_process(self, spec: ProcessSpec) -> ProcessEnd:
        """Run a process in the workspace; its lines go to the log, protocol lines are taken out."""
        ...

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Call `stop` from another thread when the attempt is cancelled (close a cursor, say)."""
        ...

    def call(self, operation: str, **arguments: object) -> Any:
        """Ask the core process for what only it can do (`executions.purge`, `logs.fetch` ...)."""
        ...
