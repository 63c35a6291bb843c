"""Sync as it runs in core, without core: a store, a starter that writes at once, a frozen clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.messages import Done, Outcome, Start
from penstock_runner.executor.store import Write
from penstock_runner.expressions.environment import Expressions
from penstock_runner.flow.model import Flow
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.scheduler.pushes import PushRender
from penstock_server.scheduler.rendering import without_services
from penstock_server.store import flows
from penstock_server.store.engine import Database, open_store
from penstock_server.store.migrations import upgrade
from penstock_server.store.staging import Staging
from penstock_server.sync.folding import folded
from penstock_server.sync.look import look
from penstock_server.sync.service import SyncService
from penstock_server.sync.settings import GitSettings, SourceSettings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

FLOW = """id: {id}
namespace: team
tasks:
  - id: hello
    type: io.kestra.plugin.core.log.Log
    message: hello
"""


def flow(flow_id: str, more: str = "") -> str:
    return FLOW.format(id=flow_id) + more


class FrozenClock:
    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> datetime:
        self.at += timedelta(**by)
        return self.at


class DirectStarter:
    """Writes at once, and remembers what was started."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.started: list[Start] = []
        self.refuse: Exception | None = None
        self._count = 0

    def transact(
        self,
        *,
        writes: Sequence[Write] = (),
        starts: Sequence[Start] = (),
        done: Done | None = None,
    ) -> None:
        outcome = Outcome()
        if starts and self.refuse is not None:
            outcome = Outcome(error=self.refuse)
        else:
            with self._database.begin() as tx:
                for write in writes:
                    write(tx)
            self.started += starts
        if done is not None:
            done(outcome)

    def tell(self, execution_id: str, *events: Any, done: Done | None = None) -> None:
        raise AssertionError("sync tells executions nothing")

    def new_id(self) -> str:
        self._count += 1
        return f"{self._count:022d}"


class RememberedTriggers:
    def __init__(self) -> None:
        self.saved: list[Flow] = []
        self.deleted: list[tuple[str, str]] = []

    def ready(self, connection: Any, flows: Sequence[Flow], now: datetime) -> Sequence[Flow]:
        return flows

    def stage(self, tx: Any, made: Sequence[Flow], staging: Staging) -> None: ...

    def write_staged(self, tx: Any, staging: Staging) -> None: ...

    def write_ready(self, tx: Any, made: Sequence[Flow]) -> None:
        self.saved += made

    def flows_deleted(self, tx: Any, names: Sequence[tuple[str, str]]) -> None:
        self.deleted += names


class World:
    """One service over one store; looks are answered when asked to."""

    def __init__(self, folder: Path, **source: Any) -> None:
        self.folder = folder
        self.roots = [folder]
        self.database = open_store(f"sqlite:///{folder / 'store.db'}")
        upgrade(self.database)
        self.clock = FrozenClock()
        self.starter = DirectStarter(self.database)
        self.triggers = RememberedTriggers()
        self.asked: list[dict[str, Any]] = []
        self.changed: list[list[tuple[str, str]]] = []
        self.secrets: dict[str, str] = {}
        self.names: set[str] | None = None
        self.service = self.start(**source)

    def start(self, *, cipher: Cipher | None = None, **source: Any) -> SyncService:
        """A service as after a start of the process."""
        self.asked.clear()
        self.settings = SourceSettings.model_validate({"id": "main", **source})
        self.service = SyncService(
            database=self.database,
            starter=self.starter,
            clock=self.clock,
            send=self.asked.append,
            settings=GitSettings(sources=(self.settings,), file_roots=tuple(self.roots)),
            on_flows_changed=self.changed.append,
            triggers=self.triggers,
            settle=PushRender(
                Expressions(), without_services, REGISTRY.load, {}, self.clock
            ).settle,
            secrets=self.secrets.get,
            has_secret=lambda name, _: self.names is None or name in self.names,
            cipher=cipher,
        )
        return self.service

    def answer(self, tell: Callable[[dict[str, Any]], None] = lambda _: None) -> str:
        """Let the git process answer the oldest request; what it says, at last.

        `tell` gets what it says before: by default nobody listens.
        """
        request = self.asked.pop(0)
        answer = look(request, self.folder / "bare", REGISTRY, self.storage, tell)
        self.service.receive(folded(answer))
        # A brief look that is not enough is followed by a whole one.
        return self.answer(tell) if answer["type"] == "moved" else str(answer["type"])

    def sync(self, trigger: str = "manual", **options: Any) -> dict[str, Any]:
        """Look now, to the end; what those who wait are told."""
        results: list[dict[str, Any]] = []
        self.service.look("main", trigger=trigger, wait=results.append, **options)
        self.answer()
        [result] = results
        return result

    @property
    def storage(self) -> LocalStorage:
        return LocalStorage(self.folder / "storage")

    def heads(self) -> Mapping[str, flows.Head]:
        with self.database.read() as connection:
            return {head.id: head for head in flows.list_heads(connection)}

    def text(self, flow_id: str, revision: int | None = None) -> str:
        with self.database.read() as connection:
            found = flows.revision(connection, "team", flow_id, revision)
        assert found is not None
        return found.source

    def close(self) -> None:
        self.database.close()


REGISTRY = Registry()
