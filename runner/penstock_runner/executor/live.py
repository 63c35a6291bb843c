"""One execution held by the executor: its draft, its variables, and what it still has to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.engine import commands as c
from penstock_runner.engine.altered import altered
from penstock_runner.engine.events import Event
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.plan import OF_TEMPLATE, node_id
from penstock_runner.engine.state import Execution, RunKey, State
from penstock_runner.executor.context import Context, taskrun_id
from penstock_runner.executor.flows import LoadedFlow
from penstock_runner.executor.store import (
    JobRow,
    KvWrite,
    LogRow,
    MailRow,
    MetricRow,
    TimerRow,
    Write,
    pool_of,
)
from penstock_runner.flow.model import Level, Task
from penstock_runner.flow.routing import written_route
from penstock_runner.jobs.masking import SHORTEST, Masker
from penstock_runner.jobs.protocol import JobId

LEVELS = list(Level)
# The fact of a child that names the task run which has started it.
PARENT_RUN = "parentRun"
LONGEST_MESSAGE = 10_240
# How far apart the parts of a long message are.
STEP = timedelta(milliseconds=1)


@dataclass(slots=True)
class Part:
    """What one execution adds to the batch; dropped as a whole when the execution cannot go on."""

    events: list[Event] = field(default_factory=list)
    changed: set[RunKey] = field(default_factory=set)
    removed: set[RunKey] = field(default_factory=set)
    jobs: list[JobRow] = field(default_factory=list)
    jobs_ended: list[tuple[str, str, int]] = field(default_factory=list)
    timers: list[TimerRow] = field(default_factory=list)
    timers_ended: list[tuple[str, str, int, str]] = field(default_factory=list)
    logs: list[LogRow] = field(default_factory=list)
    metrics: list[MetricRow] = field(default_factory=list)
    kv: list[KvWrite] = field(default_factory=list)
    mail: list[MailRow] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)
    deleted: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write or do."""
        return not any(getattr(self, name) for name in self.__dataclass_fields__)


class Live:
    """An execution in memory. `part` collects what the present batch writes of it."""

    def __init__(
        self,
        loaded: LoadedFlow,
        execution: Execution,
        constant: Mapping[str, Any],
        *,
        new: bool,
        decrypt: Callable[[str], str] | None = None,
    ) -> None:
        self.loaded = loaded
        self.base = execution
        self.fold = Fold(loaded.plan, execution)
        self.context = Context(loaded, self.fold, constant, decrypt)
        self.read_version = None if new else execution.version
        self.part = Part()
        self.commands: deque[c.Command] = deque()
        self.runnable: dict[tuple[RunKey, int], c.RunJob] = {}
        self.sleeping: set[tuple[RunKey, int]] = set()
        self.evaluating: dict[JobId, c.Evaluate] = {}
        self._inline: dict[str, bool] = {}
        self.asked_children: dict[tuple[RunKey, str], c.StartSubflow] = {}
        self.waiters: list[Callable[[Execution], None]] = []
        self.masks: set[str] = set()
        self.masker = Masker()
        self.mask(self.context.secrets)
        self.lines: int | None = 0 if new else None
        self.children: dict[RunKey, list[str]] = {}
        self.replay_from: RunKey | None = None
        self.failure: str | None = None
        # The execution as those who asked for it see it, when it is not the one it began as.
        self.shown: list[Execution] = []
        # How many entries of its history are written: those after them are news.
        self.told = 0 if new else len(execution.history)
        self.line_seen: dict[tuple[str, int], int] = {}
        # Reports that nobody waited for, of which the log says so.
        self.left_aside: set[tuple[str, int, str]] = set()
        self.pool = pool_of(execution)
        self.at = execution.history[-1][1]

    @property
    def id(self) -> str:
        """The execution's id."""
        return self.base.id

    @property
    def state(self) -> State:
        """Where the execution stands."""
        return self.fold.state

    @property
    def busy(self) -> bool:
        """Whether it has steps left to do in the executor."""
        return bool(self.commands or self.runnable)

    @property
    def inline(self) -> dict[str, bool]:
        """What is known of which tasks may run in the executor's step, by node.

        Executions of one revision share it, unless templates have given this one tasks of its own.
        """
        shared = self.fold.plan is self.loaded.plan
        return self.loaded.inline if shared else self._inline

    def written_route(self, key: RunKey) -> dict[str, Any] | None:
        """What is written of where a task run goes; what a template brings is not remembered."""
        task = self.task(key)
        if OF_TEMPLATE in node_id(key):
            return written_route((task, self.loaded.flow, self.loaded.default))
        return self.loaded.route(task)

    def time(self, now: datetime) -> datetime:
        """The time of the next event: never before the last one, whatever the clock does."""
        self.at = max(self.at, now)
        return self.at

    def feed(self, event: Event, shown: list[Execution] | None = None) -> None:
        """Apply an event; what follows from it waits in `commands` and `runnable`.

        `shown` is given the execution as it is right after the event, before it goes on from it.
        """
        self.part.events.append(event)
        follows = self.fold.apply(event)
        if shown is not None:
            shown.append(altered(self.fold.head, {"runs": dict(self.fold.runs)}))
        for command in follows + self.fold.settle():
            if isinstance(command, c.RunJob):
                self.runnable[(command.key, command.attempt)] = command
            else:
                self.commands.append(command)
        changed = self.fold.changed
        if changed:
            self.part.changed |= changed
            for key in changed:
                run = self.fold.run(key)
                if run.outputs is not None:
                    self.context.ended(run)
            if self.context.secrets:
                self.mask(self.context.secrets)
            changed.clear()
        if self.fold.removed:
            self.part.removed |= self.fold.removed
            self.part.changed -= self.fold.removed
            self.fold.removed.clear()
            self.context.rebuild()

    def execution(self) -> Execution:
        """The execution as it stands now, with its task runs as a live view."""
        return altered(self.fold.head, {"runs": self.fold.runs})

    def task(self, key: RunKey) -> Task:
        """The task of a task run."""
        return self.fold.plan.node_of(key).task

    def variables(self, key: RunKey | None) -> dict[str, Any]:
        """The variables of expressions for a task run, or for the execution."""
        head = self.fold.head
        if key is None:
            return self.context.of_execution(head)
        run = self.fold.run(key)
        return self.context.of_run(head, run, self.task(key))

    def log(
        self,
        at: datetime,
        level: Level,
        message: str,
        *,
        key: RunKey | None = None,
        attempt: int | None = None,
        stream: str = "",
    ) -> None:
        """Add a log line to the batch.

        Secrets are masked, a long message is cut into several lines.
        """
        task = self.task(key) if key is not None and key in self.fold.runs else None
        if task and task.log_level and LEVELS.index(level) < LEVELS.index(task.log_level):
            return
        message = self.masker.mask(message)
        if self.lines is None:
            raise RuntimeError("the number of the last line was not read")
        for start in range(0, max(len(message), 1), LONGEST_MESSAGE):
            self.lines += 1
            self.part.logs.append(
                LogRow(
                    execution_id=self.id,
                    n=self.lines,
                    at=at + STEP * (start // LONGEST_MESSAGE),
                    level=level.value,
                    message=message[start : start + LONGEST_MESSAGE],
                    namespace=self.base.namespace,
                    flow_id=self.base.flow_id,
                    task_id=task.id if task else None,
                    taskrun_id=taskrun_id(self.id, key) if task and key is not None else None,
                    attempt=None if attempt is None else max(attempt, 1),
                    stream=stream,
                )
            )

    def mask(self, secrets: list[str]) -> None:
        """Values that must not be shown from now on."""
        for value in secrets:
            if value not in self.masks and len(value) >= SHORTEST:
                self.masks.add(value)
                self.masker.add(value)


def masked(text: str | None, secrets: set[str]) -> str | None:
    """The text without the secrets and their usual encodings."""
    return None if text is None else Masker(secrets).mask(text)
