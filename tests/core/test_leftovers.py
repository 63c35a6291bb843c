"""Files of deleted executions: deleted beside the work of core, and forgotten by no crash."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.executor.harness import World
from tests.executor.test_store_contract import NOON, created, execution
from tests.live import wait_for

from penstock_runner.engine.state import Execution, State
from penstock_runner.executor.inbox import Remove
from penstock_runner.executor.messages import Outcome
from penstock_runner.tasks.places import execution_prefix
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.core.leftovers import Leftovers
from penstock_server.store import leftovers, migrations
from penstock_server.store.engine import Database, open_store
from penstock_server.store.executions import SqlStore


class Held(LocalStorage):
    """A storage that deletes when it is let, or fails."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.began = threading.Event()
        self.may = threading.Event()
        self.broken = False

    def delete_below(self, prefix: str) -> list[str]:
        self.began.set()
        assert self.may.wait(20)
        if self.broken:
            raise OSError("the storage is away")
        return super().delete_below(prefix)


class Noon:
    def now(self) -> object:
        return NOON


class Place:
    """A store with one execution that has a file, and what deletes it."""

    def __init__(self, folder: Path) -> None:
        self.database: Database = open_store(f"sqlite:///{folder}/place.db")
        migrations.upgrade(self.database)
        self.storage = Held(folder / "storage")
        self.one: Execution = execution(1, State.CREATED, State.SUCCESS)
        self.file = f"{execution_prefix(self.one.namespace, self.one.flow_id, self.one.id)}/a.txt"
        SqlStore(self.database).write(created(self.one))
        self.storage.put_bytes(self.file, b"a")
        self.begin()

    def begin(self) -> None:
        """What a service that starts has."""
        self.world = World(store=SqlStore(self.database))
        self.leftovers = Leftovers(
            database=self.database,
            executor=self.world.executor,
            storage=self.storage,
            clock=Noon(),  # type: ignore[arg-type]
        )

    def delete(self, *, crash: bool = False) -> None:
        outcomes: list[Outcome] = []
        message = Remove(
            execution_id=self.one.id,
            also=lambda gone: self.leftovers.noted([gone]),
            done=outcomes.append,
        )
        self.world.executor.remove(message)
        self.world.settle()
        [outcome] = outcomes
        assert outcome.error is None
        if not crash:
            self.leftovers.gone(outcome.executions)

    def known(self) -> list[str]:
        with self.database.read() as connection:
            return leftovers.oldest(connection, 10)

    def tick(self) -> bool:
        """One turn; whether anything is left to do."""
        self.leftovers.tick(NOON)
        self.world.settle()
        return bool(self.known())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_rows_are_gone_at_once_and_the_files_when_the_storage_is_through(place: Place) -> None:
    place.delete()
    assert place.world.store.load([place.one.id]) == {}
    assert place.tick()
    assert place.storage.exists(place.file)
    place.storage.may.set()
    wait_for(place.tick, lambda left: not left)
    assert not place.storage.exists(place.file)


def test_a_crash_after_the_rows_are_deleted_leaves_no_file_for_ever(place: Place) -> None:
    place.delete(crash=True)
    place.storage.may.set()
    place.begin()
    wait_for(place.tick, lambda left: not left)
    assert not place.storage.exists(place.file)


def test_what_cannot_be_deleted_is_kept_in_mind(place: Place) -> None:
    place.storage.may.set()
    place.storage.broken = True
    place.delete()
    told: list[str] = []
    place.leftovers.when_through(lambda: told.append("through"))
    wait_for(lambda: (place.tick(), told)[1], bool)
    assert place.known()
    place.storage.broken = False
    place.begin()
    wait_for(place.tick, lambda left: not left)
    assert not place.storage.exists(place.file)


def test_a_stop_begins_no_more_and_the_next_service_goes_on(place: Place) -> None:
    place.leftovers.gone([execution(2)])
    assert place.storage.began.wait(20)  # it is at another one when the service stops
    place.delete()
    place.leftovers.close()
    place.storage.may.set()
    place.tick()
    assert place.storage.exists(place.file)
    place.begin()
    wait_for(place.tick, lambda left: not left)
    assert not place.storage.exists(place.file)
