"""Whole flows in this process: an executor over memory, jobs in threads, the clock of the machine.

What needs a server (keys and logs that a job asks for) is answered over the store in memory.
"""

from __future__ import annotations

import base64
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from tests.conformance.cases import Case
from tests.conformance.flow_listening import Listening
from tests.conformance.matchers import typed

from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import Execution, TaskRun
from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.context import Context as Variables
from penstock_runner.executor.dispatch import RunnerSeat
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.inbox import Remove
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.key_calls import KeyCalls
from penstock_runner.executor.live import Live
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Start
from penstock_runner.executor.resumes import resume_outputs
from penstock_runner.executor.store import Batch, KvWrite, LogRow, StoredFlow
from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.flow.model import Input, Level
from penstock_runner.jobs.inprocess import InProcess
from penstock_runner.jobs.parts import Parts
from penstock_runner.jobs.protocol import Job, JobId, Report
from penstock_runner.jobs.settings import RunnerSettings
from penstock_runner.tasks import places
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.keyvalues import make_entry
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage

KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
REGISTRY = Registry()
LEVELS = list(Level)
LONGEST_WAIT = 0.05
PATIENCE = 30.0


class Late(Exception):
    """What a case waits for did not come."""


def now() -> datetime:
    """The time of the machine."""
    return datetime.now(UTC)


@dataclass(slots=True)
class FlowWorld:
    """Flows, their executions, and everything around them."""

    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    encryption_key: str | None = None
    store: MemoryStore = field(init=False)
    storage: LocalStorage = field(init=False)
    executor: Executor = field(init=False)
    switched_off: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    _flows: Flows = field(init=False)
    _jobs: InProcess = field(init=False)
    _seat: RunnerSeat = field(init=False)
    _arrived: queue.Queue[Callable[[], None]] = field(init=False, default_factory=queue.Queue)
    _expressions: Expressions = field(init=False)
    _listening: Listening = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.storage = LocalStorage(self.folder / "storage")
        self._expressions = Expressions(recursive=bool(self.config.get("recursive_rendering")))
        self._flows = Flows(self.store.flow)
        envs = {
            name.removeprefix("KESTRA_").lower(): value
            for name, value in (self.config.get("env") or {}).items()
        }
        self._listening = Listening(self.folder, REGISTRY, self._expressions)
        around = {"envs": envs, "globals": self.config.get("globals") or {}}
        self.executor = Executor(
            store=self.store,
            flows=self._flows,
            registry=REGISTRY,
            around=Surroundings(
                expressions=self._expressions, secrets=self.secrets, storage=self.storage
            ),
            now=now,
            listener=self,
            constants=around,
            on_change=self._listening.changed,
            cipher=Cipher(self.encryption_key) if self.encryption_key else None,
        )
        settings = RunnerSettings(
            home=self.folder,
            workspaces=self.folder / "jobs",
            storage=self.folder / "storage",
            slots=8,
            secrets=self.secrets,
            task_runner="process",
            **around,
        )
        parts = Parts(
            settings=settings,
            now=now,
            storage=self.storage,
            expressions=self._expressions,
            task_class=REGISTRY.load,
        )
        self._jobs = InProcess(parts, self)
        self._seat = RunnerSeat(
            name="local", slots=settings.slots, labels=frozenset(), send=self._to_jobs
        )
        self.executor.runner_joined(self._seat)

    # What a case sets up

    def prepare(self, case: Case) -> None:
        """Put keys and files into place."""
        setup = case.get("setup") or {}
        for namespace, values in (setup.get("kv") or {}).items():
            for key, value in values.items():
                entry = make_entry(key, typed(value), None, None, now(), None)
                change = KvWrite(namespace=namespace, key=key, entry=entry)
                self.executor.change_values([change], lambda _error: None)
        for one in setup.get("templates") or ():
            source = yaml.safe_dump(one, sort_keys=False)
            self.store.put_template(one["namespace"], one["id"], source)
        for one in setup.get("triggers") or ():
            self.switched_off[one["namespace"], one["flow"], one["id"]] = bool(one.get("disabled"))
        for uri, text in (setup.get("storage") or {}).items():
            self.storage.put_bytes(uri, str(text).encode())
        self.settle()

    def save(self, source: str) -> None:
        """Store a flow."""
        read = yaml.load(source, yaml.CSafeLoader)
        flow = StoredFlow(namespace=read["namespace"], id=read["id"], revision=1, source=source)
        self.store.put_flow(flow)
        loaded = self._flows.get(flow.namespace, flow.id).flow
        if loaded.triggers:
            self._listening.listen(self.executor, self._flows, loaded)

    def inputs_of(self, namespace: str, flow_id: str) -> tuple[Input, ...]:
        """What a flow declares."""
        return self._flows.get(namespace, flow_id).flow.inputs

    # What a case does

    def start(self, start: Start) -> Execution:
        """Start an execution; the answer is the execution as it was created."""
        outcomes: list[Outcome] = []
        self.executor.transact(starts=[start], done=outcomes.append)
        return self._answered(outcomes)

    def tell(
        self, execution_id: str, make: Callable[[Live, datetime], Sequence[e.Event]]
    ) -> Execution:
        """Do something to an execution; the answer is the execution right after it."""
        outcomes: list[Outcome] = []
        self.executor.tell_when(execution_id, make, done=outcomes.append)
        return self._answered(outcomes)

    def remove(self, execution: Execution, *, logs: bool, metrics: bool, storage: bool) -> None:
        """Delete an execution with what belongs to it."""
        outcomes: list[Outcome] = []
        keep = [name for name, gone in (("logs", logs), ("metrics", metrics)) if not gone]
        self.executor.remove(
            Remove(execution_id=execution.id, keep=frozenset(keep), done=outcomes.append)
        )
        self._answered(outcomes)
        if storage:
            name = (execution.namespace, execution.flow_id, execution.id)
            self.storage.delete_below(places.execution_prefix(*name))

    def resume_inputs(self, live: Live, given: Mapping[str, Any]) -> Any:
        """The resolved inputs of the pause, None when it asks for none."""
        encrypt = Cipher(self.encryption_key).encrypt if self.encryption_key else None
        return resume_outputs(
            live,
            given,
            render_typed=lambda source, variables: self._expressions.render_typed(
                source, variables, NoServices()
            ),
            encrypt=encrypt,
        )

    def _answered(self, outcomes: list[Outcome]) -> Execution:
        self.until(lambda: bool(outcomes), "an answer")
        if outcomes[0].error is not None:
            raise outcomes[0].error
        [execution] = outcomes[0].executions
        return execution

    # The loop

    def settle(self) -> None:
        """Do what is to be done at once."""
        while self.executor.busy:
            self.executor.drain()

    def until(
        self, holds: Callable[[], bool], what: str, patience: float = PATIENCE, least: float = 0
    ) -> None:
        """Go on until something holds; raises `Late` when it never will."""
        begun = time.monotonic()
        while True:
            self._turn()
            if holds():
                return
            waited = time.monotonic() - begun
            if waited > patience or (waited >= least and self.quiet):
                raise Late(f"no {what} after {waited:.1f} s")

    def sleep(self, seconds: float) -> None:
        """Go on for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._turn()

    @property
    def quiet(self) -> bool:
        """Whether nothing will happen by itself."""
        waits = self.executor.busy or self._seat.busy or not self._arrived.empty()
        return not waits and self.executor.next_wake() is None

    def _turn(self) -> None:
        if not self.executor.busy:
            due = self.executor.next_wake()
            left = LONGEST_WAIT if due is None else (due - now()).total_seconds()
            with suppress(queue.Empty):
                self._arrived.get(timeout=min(max(left, 0.0001), LONGEST_WAIT))()
        while not self._arrived.empty():
            self._arrived.get_nowait()()
        self.executor.drain()

    def close(self) -> None:
        """End the jobs."""
        self._jobs.close()
        self._listening.close()

    # What a case looks at

    def find(self, execution_id: str) -> Execution | None:
        """An execution as stored."""
        return self.store.load([execution_id]).get(execution_id)

    def of_flow(self, flow_id: str) -> list[Execution]:
        """The executions of a flow, oldest first."""
        found = [one for one in self.store.executions() if one.flow_id == flow_id]
        return sorted(found, key=lambda one: one.history[0][1])

    def outputs_view(self, execution: Execution) -> Mapping[str, Any]:
        """The variable `outputs` of an execution."""
        loaded = self._flows.get(execution.namespace, execution.flow_id, execution.flow_revision)
        variables = Variables(loaded, Fold(loaded.plan, execution), {})
        found: Mapping[str, Any] = variables.of_execution(execution)["outputs"]
        return found

    # What jobs say, from their threads

    def _to_jobs(self, message: dict[str, Any]) -> None:
        if message["type"] == "job":
            self._jobs.start(Job.from_wire(message))
        else:
            name = (message["execution_id"], message["key"], message["attempt"])
            self._jobs.cancel(name, force=bool(message.get("force")))

    def lines(self, job: JobId, lines: list[list[Any]], task_id: str | None) -> None:
        """Log lines of a job."""
        self._arrived.put(lambda: self.executor.lines(job, lines, task_id))

    def report(self, report: Report) -> None:
        """The end of a job."""
        self._arrived.put(lambda: self.executor.report(report))

    def call(self, job: Job, operation: str, arguments: Mapping[str, Any]) -> Any:
        """What a job asks of core."""
        answer: Future[Any] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._answer(job, operation, arguments))
            except Exception as fault:  # noqa: BLE001 - it is raised where it was asked
                answer.set_exception(fault)

        self._arrived.put(ask)
        return answer.result(timeout=PATIENCE)

    def committed(self, batch: Batch) -> None:
        """Nobody follows."""

    def _answer(self, job: Job, operation: str, a: Mapping[str, Any]) -> Any:
        match operation.split(".", maxsplit=1)[0]:
            case "encryption" if self.encryption_key:
                return Cipher(self.encryption_key).encrypt(a["text"])
            case "kv":
                return KeyCalls(executor=self.executor, now=now).answer(job.namespace, operation, a)
            case "logs":
                return self._logs(job, operation, a)
            case "triggers":
                name = (a["namespace"], a["flow_id"], a["trigger"])
                self.switched_off[name] = not a["enabled"]
                return None
        raise TaskFailed(f"{operation} is the server's")

    def _logs(self, job: Job, operation: str, a: Mapping[str, Any]) -> Any:
        rows = self.store.lines(str(a.get("execution_id") or job.execution_id))
        if operation == "logs.errors":
            rows = [row for row in rows if row.level == Level.ERROR]
            return [{"taskId": row.task_id, "message": row.message} for row in rows]
        if operation != "logs.fetch":
            raise TaskFailed(f"{operation} is the server's")
        tasks = a.get("task_ids") or a.get("tasks")
        least = LEVELS.index(Level(a.get("level") or a.get("min_level") or "TRACE"))
        rows = [row for row in rows if LEVELS.index(Level(row.level)) >= least]
        return [_line(row) for row in rows if not tasks or row.task_id in tasks]


def in_order(execution: Execution) -> list[TaskRun]:
    """The task runs in the order of their creation."""
    return sorted(execution.runs.values(), key=lambda run: run.order)


def _line(row: LogRow) -> dict[str, Any]:
    return {
        "namespace": row.namespace,
        "flowId": row.flow_id,
        "taskId": row.task_id,
        "executionId": row.execution_id,
        "timestamp": row.at.isoformat(),
        "level": row.level,
        "message": row.message,
    }
