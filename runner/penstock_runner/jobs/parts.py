"""What all jobs of a runner share, and what one job reaches outside itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from penstock_runner.expressions.environment import Expressions
from penstock_runner.jobs.cancellation import Cancellation
from penstock_runner.jobs.settings import RunnerSettings
from penstock_runner.jobs.spares import Spares
from penstock_runner.taskrunners.api import Spawner
from penstock_runner.tasks.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The settings, the clock and the rooms below, as jobs use them."""

    settings: RunnerSettings
    now: Callable[[], datetime]
    storage: Storage
    expressions: Expressions
    task_class: Callable[[str], type[BaseModel]]


class Outside(Protocol):
    """The process around a job: a worker under its supervisor, or a thread of another program."""

    @property
    def spawner(self) -> Spawner: ...
    @property
    def cancellation(self) -> Cancellation: ...
    @property
    def spares(self) -> Spares | None:
        """Workspaces of earlier jobs that may be used again."""
        ...

    def emit(self, lines: list[list[Any]], task_id: str | None = None) -> None:
        """Send log lines on their way; `task_id` names the child of a WorkingDirectory."""
        ...

    def flush_regularly(self, flush: Callable[[], None]) -> None:
        """Call `flush` a few times a second until the job has ended."""
        ...

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Ask core; raises `TaskFailed` or an `ExpressionFailed`."""
        ...

    def deadline(self, seconds: float) -> None:
        """Cancel the attempt after this time."""
        ...

    def resumable(self) -> None:
        """What this attempt has started outlives its runner, and is for a later one to take up."""
        ...

    def interruptible(self) -> AbstractContextManager[None]:
        """Code in which a cancel may raise `Cancelled` at any point."""
        ...

    def shielded(self) -> AbstractContextManager[None]:
        """Code in which a cancel ends a process and raises nothing."""
        ...


def default_parts(settings: RunnerSettings, now: Callable[[], datetime]) -> Parts:
    """The parts of this installation."""
    from penstock_runner.tasks.object_storage import open_bucket
    from penstock_runner.tasks.registry import Registry
    from penstock_runner.tasks.storage import LocalStorage

    settings = replace(
        settings,
        home=settings.home.absolute(),
        workspaces=settings.workspaces.absolute(),
        storage=settings.storage.absolute(),
    )
    bucket = settings.bucket
    return Parts(
        settings=settings,
        now=now,
        storage=LocalStorage(settings.storage) if bucket is None else open_bucket(bucket),
        expressions=Expressions(),
        task_class=Registry().load,
    )


def warm(parts: Parts) -> None:
    """Import and compile what most jobs need, so that forked workers have it from the start."""
    from penstock_runner.expressions.environment import NoServices

    for name in ("shell.Commands", "shell.Script", "python.Script", "python.Commands"):
        with suppress(LookupError):
            # What checks properties is made when it is first used: once here, not in each worker.
            parts.task_class(f"io.kestra.plugin.scripts.{name}").model_rebuild()
    parts.expressions.render("{{ warm }}", {"warm": True}, NoServices())
