"""Executor, schedules and Flow triggers over one store, as core puts them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tests.sync.world import REGISTRY, FrozenClock

from penstock_runner.engine.state import Execution
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.messages import Outcome, Refused, Start
from penstock_runner.executor.store import Batch, Write
from penstock_runner.expressions.environment import Expressions
from penstock_runner.flow.model import Flow
from penstock_runner.flow.parse import parse_flow
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.scheduler.assembly import assembled
from penstock_server.store import flows, schema, triggers
from penstock_server.store.engine import Database, open_store
from penstock_server.store.executions import SqlStore
from penstock_server.store.migrations import upgrade
from penstock_server.store.triggers import TriggerState

EXPRESSIONS = Expressions()


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}").replace(tzinfo=UTC)


class Quiet:
    def committed(self, batch: Batch) -> None: ...


class Service:
    """A store with all that starts and runs executions; the clock stands still."""

    def __init__(self, folder: Path, url: str | None = None, recover: str = "ALL") -> None:
        self.folder = folder
        self.recover = recover
        self.database = open_store(url or f"sqlite:///{folder / 'store.db'}")
        upgrade(self.database)
        self.make_store: Callable[[Database], SqlStore] = SqlStore
        self.clock = FrozenClock()
        self.start()

    def start(self) -> None:
        """Everything but the store, as after a start of the process."""
        self.store = self.make_store(self.database)
        self.flows = Flows(self.store.flow)
        around = Surroundings(
            expressions=EXPRESSIONS, secrets={}, storage=LocalStorage(self.folder / "storage")
        )
        self.executor = Executor(
            store=self.store,
            flows=self.flows,
            registry=REGISTRY,
            around=around,
            now=self.clock.now,
            listener=Quiet(),
            on_end=self.ended,
            on_change=self.changed,
        )
        triggers = assembled(
            database=self.database,
            executor=self.executor,
            clock=self.clock,
            flows=self.known,
            expressions=EXPRESSIONS,
            load=REGISTRY.load,
            polls=REGISTRY.is_polling,
            recover=self.recover,
        )
        self.scheduler, self.changes = triggers.scheduler, triggers.changes
        self.triggers = triggers

    def ended(self, execution: Execution) -> Sequence[Write]:
        return self.triggers.ended(execution)

    def changed(self, execution: Execution, told: int) -> Sequence[Write]:
        return self.triggers.changed(execution, told)

    def known(self, namespace: str, flow_id: str) -> Flow | None:
        try:
            loaded = self.flows.get(namespace, flow_id)
        except Refused:
            return None
        if loaded.stored.disabled:
            return loaded.flow.model_copy(update={"disabled": True})
        return loaded.flow

    def save(self, source: str) -> None:
        parsed = parse_flow(source)
        flow = parsed.effective
        assert flow is not None, [str(fault) for fault in parsed.faults]

        def write(tx: Any) -> None:
            save = flows.Save(namespace=flow.namespace, id=flow.id, source=source)
            flows.save_revision(tx.connection, save, now=self.clock.now())
            self.scheduler.flow_saved(tx, flow, self.clock.now())

        self.executor.transact(writes=[write])
        self.settle()
        self.flows.forget([(flow.namespace, flow.id)])

    def switch_flow(self, flow_id: str, *, disabled: bool) -> None:
        def write(tx: Any) -> None:
            now = self.clock.now()
            override = flows.Override(disabled=disabled, by="ada", at=now)
            flows.set_override(tx.connection, "team", flow_id, override, now=now)
            self.scheduler.flow_switched("team", flow_id)

        self.executor.transact(writes=[write])
        self.settle()
        self.flows.forget([("team", flow_id)])

    def change(self, what: Any, *more: Any, **named: Any) -> Exception | None:
        """One of the changes of people; what it was refused with."""
        outcomes: list[Outcome] = []
        self.executor.transact(writes=[lambda tx: what(tx, *more, **named)], done=outcomes.append)
        self.settle()
        return outcomes[0].error

    def run(self, flow_id: str, **more: Any) -> Execution:
        """Start an execution and let everything happen that follows."""
        outcomes: list[Outcome] = []
        start = Start(namespace="team", flow_id=flow_id, resolve=True, **more)
        self.executor.transact(starts=[start], done=outcomes.append)
        self.settle()
        [outcome] = outcomes
        if outcome.error is not None:
            raise outcome.error
        return self.execution(outcome.executions[0].id)

    def settle(self) -> None:
        for _ in range(1000):
            if not self.executor.drain():
                return
        raise AssertionError("the executor does not come to rest")

    def tick(self, moment: datetime | None = None) -> datetime | None:
        """Look for what is due until nothing moves."""
        if moment is not None:
            self.clock.at = moment
        again: datetime | None = None
        for _ in range(50):
            again = self.scheduler.tick(self.clock.now())
            self.settle()
        return again

    def execution(self, execution_id: str) -> Execution:
        return self.store.load([execution_id])[execution_id]

    def executions(self, flow_id: str) -> list[Execution]:
        """Those of a flow, oldest first."""
        with self.database.read() as connection:
            table = schema.executions.c
            found = connection.execute(select(table.id).where(table.flow_id == flow_id))
            ids = sorted(row[0] for row in found)
        return [self.execution(one) for one in ids]

    def lines(self, execution_id: str) -> list[str]:
        with self.database.read() as connection:
            found = connection.exec_driver_sql(
                "SELECT message FROM logs WHERE execution_id = ? ORDER BY n", (execution_id,)
            )
            return [row[0] for row in found]

    def state(self, flow_id: str, trigger_id: str) -> TriggerState:
        with self.database.read() as connection:
            found = triggers.get(connection, "team", flow_id, trigger_id)
        assert found is not None
        return found
