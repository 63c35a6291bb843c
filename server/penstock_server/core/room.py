"""What operations and activities of core work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.messages import Outcome, Refused
from penstock_runner.executor.store import Write
from penstock_runner.expressions.environment import Expressions
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import Storage
from penstock_server.clock import Clock
from penstock_server.config import Settings
from penstock_server.core.leftovers import Leftovers
from penstock_server.core.retention import Retention
from penstock_server.scheduler.changes import TriggerChanges
from penstock_server.scheduler.triggers import Scheduler
from penstock_server.store.engine import Database
from penstock_server.store.executions import SqlStore
from penstock_server.sync.service import SyncService


@dataclass(slots=True, kw_only=True)
class Room:
    """The parts of the core process, put together once."""

    settings: Settings
    clock: Clock
    database: Database
    store: SqlStore
    flows: Flows
    executor: Executor
    scheduler: Scheduler
    triggers: TriggerChanges
    sync: SyncService
    registry: Registry
    expressions: Expressions
    storage: Storage
    retention: Retention
    leftovers: Leftovers

    def write(
        self,
        answer: Answer,
        writes: Sequence[Write],
        *,
        changed_flows: Sequence[tuple[str, str]] = (),
        value: Callable[[], Any] = lambda: None,
    ) -> None:
        """Write in one transaction, then forget what is no longer true and answer."""

        def done(outcome: Outcome) -> None:
            self.flows.forget(changed_flows)
            if outcome.error is not None:
                answer.fail(outcome.error)
            else:
                answer.ok(value())

        self.executor.transact(writes=writes, done=done)


class Answer:
    """The answer that one call gets, exactly once."""

    def __init__(self, send: Callable[[dict[str, Any]], None], call: int) -> None:
        self._send = send
        self._call = call

    def ok(self, value: Any = None) -> None:
        """It is done, and durable."""
        self._send({"type": "answer", "call": self._call, "value": value})

    def refuse(
        self, message: str, status: int = 422, details: Mapping[str, Any] | None = None
    ) -> None:
        """It cannot be done; `status` is the HTTP status that says it best."""
        self._send(
            {
                "type": "answer",
                "call": self._call,
                "error": message,
                "status": status,
                "details": dict(details or {}),
            }
        )

    def fail(self, error: Exception) -> None:
        """It was not done, for this reason."""
        if isinstance(error, Refused):
            self.refuse(str(error), error.status)
        else:
            self._send(
                {
                    "type": "answer",
                    "call": self._call,
                    "error": str(error) or type(error).__name__,
                    "error_type": type(error).__name__,
                    "status": getattr(error, "status", 500),
                }
            )


Operation = Callable[[Room, Mapping[str, Any], Answer], None]


def instant(text: str | None) -> datetime | None:
    """An ISO instant of a message."""
    return None if text is None else datetime.fromisoformat(text)
