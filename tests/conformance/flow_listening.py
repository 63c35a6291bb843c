"""Flow triggers beside an executor over memory; what they note has a database of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from penstock_runner.engine.events import Event
from penstock_runner.engine.state import Execution
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.messages import Done, Refused, Start
from penstock_runner.executor.store import Write
from penstock_runner.expressions.environment import Expressions
from penstock_runner.flow.model import Flow
from penstock_runner.tasks.registry import Registry
from penstock_server.clock import SystemClock
from penstock_server.scheduler.flow_triggers import FlowTriggers, listening
from penstock_server.store.engine import Database, open_store
from penstock_server.store.migrations import upgrade


class Listening:
    """Tells flow triggers of executions, and carries out what they ask for."""

    def __init__(self, folder: Path, registry: Registry, expressions: Expressions) -> None:
        self._folder = folder
        self._registry = registry
        self._expressions = expressions
        self._database: Database | None = None
        self._triggers: FlowTriggers | None = None

    def listen(self, executor: Executor, flows: Flows, flow: Flow) -> None:
        """A flow with triggers was saved."""
        if self._triggers is None:
            self._database = open_store(f"sqlite:///{self._folder / 'triggers.db'}")
            upgrade(self._database)
            self._triggers = FlowTriggers(
                database=self._database,
                starter=_Starter(executor, self),
                clock=SystemClock(),
                flows=partial(_latest, flows),
                expressions=self._expressions,
                load=self._registry.load,
            )
        self._triggers.flows_saved({(flow.namespace, flow.id): listening(flow)})

    def changed(self, execution: Execution, told: int) -> Sequence[Write]:
        """The hook of the executor."""
        if self._triggers is None:
            return ()
        return [partial(self.write, one) for one in self._triggers.changed(execution, told)]

    def write(self, write: Write, _store: Any) -> None:
        """Do in the database what is asked of the store."""
        assert self._database is not None
        with self._database.begin() as tx:
            write(tx)

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()


class _Starter:
    """The executor, for rooms whose writes are of a database."""

    def __init__(self, executor: Executor, listening: Listening) -> None:
        self._executor = executor
        self._listening = listening

    def transact(
        self,
        *,
        writes: Sequence[Write] = (),
        starts: Sequence[Start] = (),
        done: Done | None = None,
    ) -> None:
        there = [partial(self._listening.write, write) for write in writes]
        self._executor.transact(writes=there, starts=starts, done=done)

    def tell(self, execution_id: str, *events: Event, done: Done | None = None) -> None:
        self._executor.tell(execution_id, *events, done=done)

    def new_id(self) -> str:
        return self._executor.new_id()


def _latest(flows: Flows, namespace: str, flow_id: str) -> Flow | None:
    try:
        return flows.get(namespace, flow_id).flow
    except Refused:
        return None
