"""Runs one flow in this process: the same engine and tasks as the service, over memory.

`penstock run` and `penstock test` use it. The executor runs in the caller's thread; jobs run in
threads beside it and reach it through a queue. Nothing is kept afterwards but the files under
`folder`.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution
from penstock_runner.executor.ciphers import passing_cipher
from penstock_runner.executor.dispatch import RunnerSeat
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.key_calls import KeyCalls
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Start
from penstock_runner.executor.store import Batch, LogRow, StoredFlow
from penstock_runner.expressions.environment import Expressions
from penstock_runner.jobs.inprocess import InProcess
from penstock_runner.jobs.parts import Parts
from penstock_runner.jobs.protocol import Job, JobId, Report
from penstock_runner.jobs.settings import RunnerSettings
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage

LONGEST_WAIT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who wants to see the execution while it runs."""

    lines: Callable[[Sequence[LogRow]], None] = field(default=lambda _rows: None)
    changed: Callable[[Execution], None] = field(default=lambda _execution: None)


class LocalRun:
    """One process's worth of Penstock: a store in memory, an executor, and threads for jobs."""

    def __init__(
        self,
        flows: Sequence[StoredFlow],
        *,
        folder: Path,
        now: Callable[[], datetime],
        settings: RunnerSettings,
        watch: Watch,
    ) -> None:
        self._now = now
        self._watch = watch
        self._store = MemoryStore(flows)
        self._arrived: queue.Queue[Callable[[], None]] = queue.Queue(10_000)
        self._ended: Execution | None = None
        self._execution_id = ""
        self._cipher = passing_cipher()
        registry = Registry()
        storage = LocalStorage(folder / "storage")
        expressions = Expressions()
        around = Surroundings(expressions=expressions, secrets=settings.secrets, storage=storage)
        self._executor = Executor(
            store=self._store,
            flows=Flows(self._store.flow),
            registry=registry,
            around=around,
            now=now,
            listener=self,
            constants={"envs": dict(settings.envs), "globals": dict(settings.globals)},
            cipher=self._cipher,
        )
        parts = Parts(
            settings=settings,
            now=now,
            storage=storage,
            expressions=expressions,
            task_class=registry.load,
        )
        self._jobs = InProcess(parts, self)
        self._executor.dispatch.complete = True
        self._executor.runner_joined(
            RunnerSeat(
                name="local",
                slots=settings.slots,
                labels=frozenset(settings.labels),
                send=self._to_jobs,
            )
        )

    def run(self, start: Start) -> Execution:
        """Run one execution to its end; raises `Refused` when it cannot start."""
        outcomes: list[Outcome] = []
        started: list[Outcome] = []
        self._executor.transact(starts=[start], done=started.append)
        self._executor.drain()
        if started and started[0].error is not None:
            raise started[0].error
        self._execution_id = started[0].executions[0].id
        del outcomes
        try:
            while not self._over():
                self._turn()
        finally:
            self._jobs.close()
        return self._store.load([self._execution_id])[self._execution_id]

    def kill(self) -> None:
        """Kill the execution; from any thread."""
        self._arrived.put(self._kill)

    def _kill(self) -> None:
        self._executor.tell_when(self._execution_id, lambda _live, at: (e.KillRequested(at=at),))

    def _over(self) -> bool:
        execution = self._store.load([self._execution_id]).get(self._execution_id)
        return execution is not None and execution.state.terminal and not self._executor.busy

    def _turn(self) -> None:
        if not self._executor.busy:
            self._wait()
        while not self._arrived.empty():
            self._arrived.get_nowait()()
        self._executor.drain()

    def _wait(self) -> None:
        due = self._executor.next_wake()
        left = timedelta(seconds=LONGEST_WAIT) if due is None else due - self._now()
        seconds = min(max(left.total_seconds(), 0.0), LONGEST_WAIT)
        try:
            self._arrived.get(timeout=seconds or 0.0001)()
        except queue.Empty:
            return

    def _to_jobs(self, message: dict[str, Any]) -> None:
        if message["type"] == "job":
            self._jobs.start(Job.from_wire(message))
        elif message["type"] == "cancel":
            name = (message["execution_id"], message["key"], message["attempt"])
            self._jobs.cancel(name, force=bool(message.get("force")))

    # What jobs say, from their threads

    def lines(self, job: JobId, lines: list[list[Any]], task_id: str | None) -> None:
        """Log lines of a job."""
        self._arrived.put(lambda: self._executor.lines(job, lines, task_id))

    def report(self, report: Report) -> None:
        """The end of a job."""
        self._arrived.put(lambda: self._executor.report(report))

    def call(self, job: Job, operation: str, arguments: Mapping[str, Any]) -> Any:
        """What a job asks of core."""
        answer: Future[Any] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._answer(job, operation, arguments))
            except Exception as fault:  # noqa: BLE001 - it is raised where it was asked
                answer.set_exception(fault)

        self._arrived.put(ask)
        return answer.result(timeout=60)

    def _answer(self, job: Job, operation: str, a: Mapping[str, Any]) -> Any:
        if operation.startswith("kv."):
            return KeyCalls(executor=self._executor, now=self._now).answer(
                job.namespace, operation, a
            )
        match operation:
            case "files.list":
                return []
            case "executions.kill":
                self._executor.tell(a["execution_id"], e.KillRequested(at=self._now()))
                return None
            case "encryption.encrypt":
                return self._cipher.encrypt(str(a["text"]))
            case "logs.errors":
                rows = self._store.error_lines(job.execution_id, 100)
                return [{"taskId": row.task_id, "message": row.message} for row in rows]
            case _:
                raise TaskFailed(f"{operation} needs a server; `penstock run` has none")

    # What the executor has written

    def committed(self, batch: Batch) -> None:
        """Show what is new."""
        if batch.logs:
            self._watch.lines(batch.logs)
        written = batch.executions.get(self._execution_id)
        if written is not None:
            self._watch.changed(written.execution)
