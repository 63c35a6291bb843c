"""Operations over a world of syncs, without the loop of core."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.git_http import Repository
from tests.sync.world import World

from penstock_runner.executor.messages import Outcome
from penstock_runner.flow.model import Flow
from penstock_server.core.room import Answer, Operation, Room


class Saved:
    """Triggers that are only remembered."""

    def __init__(self) -> None:
        self.saved: list[str] = []
        self.deleted: list[str] = []

    def flows_saved(self, tx: Any, found: Sequence[Flow], now: Any) -> None:
        self.saved += [one.id for one in found]

    def flow_saved(self, tx: Any, found: Flow, now: Any) -> None:
        self.saved.append(found.id)

    def flows_deleted(self, tx: Any, names: Sequence[tuple[str, str]]) -> None:
        self.deleted += [name for _, name in names]


class Core(World):
    """The world with the room of an operation."""

    def __init__(self, folder: Path, repository: Repository, **source: Any) -> None:
        super().__init__(folder, url=f"file://{repository.path}", **source)
        self.rows = Saved()

    def call(self, operation: Operation, **arguments: Any) -> dict[str, Any]:
        """What an operation answers: its value, or the error."""
        sent: list[dict[str, Any]] = []

        def write(
            answer: Answer, writes: Sequence[Any], *, value: Any = lambda: None, **_: Any
        ) -> None:
            def done(outcome: Outcome) -> None:
                answer.ok(value()) if outcome.error is None else answer.fail(outcome.error)

            try:
                self.starter.transact(writes=writes, done=done)
            except Exception as error:  # noqa: BLE001 - as the executor does
                answer.fail(error)

        room = SimpleNamespace(
            clock=self.clock,
            sync=self.service,
            scheduler=self.rows,
            flows=SimpleNamespace(forget=lambda _: None),
            executor=self.starter,
            write=write,
        )
        operation(cast(Room, room), arguments, Answer(sent.append, 1))
        [answer] = sent
        return answer
