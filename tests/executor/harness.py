"""An executor over memory, with a clock that tests move, for tests of whole flows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock_runner.engine.state import Execution
from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.customs import NO_CUSTOMS, Customs
from penstock_runner.executor.dispatch import RunnerSeat
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Start
from penstock_runner.executor.store import Batch, Store, StoredFlow
from penstock_runner.expressions.environment import Expressions
from penstock_runner.flow.parse import parse_flow
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
REGISTRY = Registry()
EXPRESSIONS = Expressions()


class Quiet:
    def committed(self, batch: Batch) -> None: ...


class World:
    """A store, an executor over it, and a clock."""

    def __init__(
        self,
        *sources: str,
        store: Store | None = None,
        secrets: Mapping[str, str] | None = None,
        storage: Path | None = None,
        cipher: Cipher | None = None,
        customs: Customs = NO_CUSTOMS,
        elapsed: Callable[[], float] | None = None,
    ) -> None:
        self.now = NOON
        self.sent: list[dict[str, Any]] = []
        self.store = store if store is not None else MemoryStore()
        if isinstance(self.store, MemoryStore):
            for source in sources:
                self.store.put_flow(stored(source))
        self._secrets = secrets or {}
        self.storage = LocalStorage(storage or Path("unused-storage"))
        self.cipher = cipher
        self._customs = customs
        self._elapsed = elapsed
        self.executor = self.make()

    def make(self) -> Executor:
        around = Surroundings(
            expressions=EXPRESSIONS,
            secrets=self._secrets,
            storage=self.storage,
        )
        return Executor(
            store=self.store,
            flows=Flows(self.store.flow, self._customs),
            registry=REGISTRY,
            around=around,
            now=lambda: self.now,
            listener=Quiet(),
            cipher=self.cipher,
            elapsed=self._elapsed,
        )

    def restart(self) -> None:
        self.executor = self.make()
        self.executor.recover()
        self.settle()

    def runner(
        self, slots: int = 4, name: str = "r1", labels: Iterable[str] = (), **more: Any
    ) -> None:
        def send(message: dict[str, Any]) -> None:
            self.sent.append({**message, "to": name})

        seat = RunnerSeat(name=name, slots=slots, labels=frozenset(labels), send=send, **more)
        self.executor.runner_joined(seat)
        self.settle()

    def start(self, flow_id: str, **more: Any) -> str:
        outcomes: list[Outcome] = []
        start = Start(namespace="team", flow_id=flow_id, resolve=True, **more)
        self.executor.transact(starts=[start], done=outcomes.append)
        self.settle()
        [outcome] = outcomes
        if outcome.error is not None:
            raise outcome.error
        return outcome.executions[0].id

    def settle(self) -> None:
        for _ in range(100_000):
            if not self.executor.drain():
                return
        raise AssertionError("the executor does not come to rest")

    def wait(self, seconds: float) -> None:
        end = self.now + timedelta(seconds=seconds)
        while (due := self.executor.next_wake()) is not None and due <= end:
            self.now = max(self.now, due)
            self.settle()
        self.now = end
        self.settle()

    def execution(self, execution_id: str) -> Execution:
        return self.store.load([execution_id])[execution_id]

    def states(self, execution_id: str) -> dict[str, str]:
        runs = sorted(self.execution(execution_id).runs.values(), key=lambda run: run.order)
        return {str(run.key): run.state.value for run in runs}

    def messages(self, execution_id: str) -> list[str]:
        assert isinstance(self.store, MemoryStore)
        return [row.message for row in self.store.lines(execution_id)]


def stored(source: str, revision: int = 1) -> StoredFlow:
    parsed = parse_flow(source)
    assert parsed.flow is not None, [str(fault) for fault in parsed.faults]
    return StoredFlow(
        namespace=parsed.flow.namespace, id=parsed.flow.id, revision=revision, source=source
    )


Act = Callable[[World], None]
