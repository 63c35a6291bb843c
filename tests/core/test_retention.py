"""The past goes as the settings say: executions, logs and files, each after its age."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.executor.harness import World
from tests.executor.test_store_contract import NOON, created, execution, line
from tests.live import live_service, wait_for

from penstock_runner.engine.state import Execution, State
from penstock_runner.executor.ids import first_id
from penstock_runner.executor.store import Batch
from penstock_runner.tasks.places import execution_prefix
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.config import RetentionSection
from penstock_server.core.retention import LONGEST_REST, Retention
from penstock_server.store import migrations, syncs
from penstock_server.store.engine import Database, open_store
from penstock_server.store.executions import SqlStore

DAY = timedelta(days=1)


class Past:
    """A store with a past, and what deletes of it."""

    def __init__(self, folder: Path, **rules: object) -> None:
        self.database: Database = open_store(f"sqlite:///{folder}/past.db")
        migrations.upgrade(self.database)
        self.store = SqlStore(self.database)
        self.world = World(store=self.store)
        self.storage = LocalStorage(folder / "storage")
        self.retention = Retention(
            rules=RetentionSection.model_validate(rules),
            database=self.database,
            executor=self.world.executor,
            storage=self.storage,
        )

    def ended(self, days: int, namespace: str = "team", state: State = State.SUCCESS) -> str:
        """An execution that ended so many days ago, with a log line and a file."""
        at = NOON - days * DAY
        made = execution(1, State.CREATED, state)
        id_ = first_id(at)[:-3] + f"{len(namespace):03d}"
        history = tuple((one, at) for one, _ in made.history)
        made = replace(made, id=id_, namespace=namespace, history=history)
        batch = created(made)
        batch.logs.append(line(made, 1))
        self.store.write(batch)
        self.storage.put_bytes(f"{self.prefix(made)}/inputs/a.txt", b"a")
        return id_

    def prefix(self, one: Execution) -> str:
        return execution_prefix(one.namespace, one.flow_id, one.id)

    def whole_pass(self, now: datetime = NOON) -> datetime:
        """Tick until the retention rests; gives the moment of its next pass."""

        def step() -> datetime:
            again = self.retention.tick(now)
            self.world.executor.drain()
            return again

        again: datetime = wait_for(step, lambda moment: moment - now >= timedelta(seconds=1))
        return again

    def left(self, id_: str) -> str:
        """What is left of an execution: its rows, its lines, its files."""
        found = self.store.load([id_]).get(id_)
        if found is None:
            return "nothing"
        lines = "lines " if self.store.last_line(id_) else ""
        files = "files" if self.storage.exists(self.prefix(found)) else ""
        return f"rows {lines}{files}".strip()


@pytest.fixture
def past(tmp_path: Path) -> Callable[..., Past]:
    return lambda **rules: Past(tmp_path, **rules)


def test_executions_logs_and_files_go_after_their_own_ages(past: Callable[..., Past]) -> None:
    here = past(executions="P90D", logs="P30D", files="P10D")
    ids = [here.ended(days) for days in (1, 20, 60, 100)]
    files = here.storage.exists
    gone = execution_prefix("team", execution(1).flow_id, ids[3])
    here.whole_pass()
    assert [here.left(one) for one in ids] == ["rows lines files", "rows lines", "rows", "nothing"]
    assert not files(gone)


def test_the_nearest_namespace_says_how_long(past: Callable[..., Past]) -> None:
    here = past(
        executions="P30D",
        namespaces={"team": {"executions": "forever"}, "team.data": {"executions": "P1D"}},
    )
    namespaces = ["team", "team.web", "team.data", "team.data.x", "other"]
    ids = [here.ended(40, namespace) for namespace in namespaces]
    here.whole_pass()
    kept = [here.left(one) != "nothing" for one in ids]
    assert kept == [True, True, False, False, False]


def test_what_goes_on_is_never_old(past: Callable[..., Past]) -> None:
    here = past(executions="P1D", logs="P1D", files="P1D")
    running = here.ended(400, state=State.RUNNING)
    here.whole_pass()
    assert here.left(running) == "rows lines files"


def test_without_ages_everything_is_kept(past: Callable[..., Past]) -> None:
    here = past()
    old = here.ended(4000)
    assert here.whole_pass() == NOON + LONGEST_REST
    assert here.left(old) == "rows lines files"


def test_a_later_pass_deletes_what_has_become_old_meanwhile(past: Callable[..., Past]) -> None:
    here = past(logs="P30D")
    id_ = here.ended(29)
    here.whole_pass()
    assert here.left(id_) == "rows lines files"
    here.whole_pass(NOON + 2 * DAY)
    assert here.left(id_) == "rows files"


def test_many_lines_of_one_execution_go_in_many_transactions(past: Callable[..., Past]) -> None:
    here = past(executions="P1D")
    id_ = here.ended(3)
    loud = here.store.load([id_])[id_]
    here.store.write(Batch(logs=[line(loud, n) for n in range(2, 7000)]))
    batches: list[Batch] = []
    write = here.store.write
    here.store.write = lambda batch: (batches.append(batch), write(batch))[1]  # type: ignore[assignment, method-assign, func-returns-value]
    here.whole_pass()
    assert here.left(id_) == "nothing"
    assert sum(bool(batch.writes) for batch in batches) == 1 + 4 + 1  # keys, lines, the execution


def test_keys_of_starts_are_forgotten_after_a_day(past: Callable[..., Past]) -> None:
    here = past()
    keys = [("old", "x", NOON - 2 * DAY), ("new", "y", NOON - DAY / 2)]
    here.store.write(Batch(idempotency=keys))
    here.whole_pass()
    assert [here.store.execution_of_key(key) for key, _, _ in keys] == [None, "y"]


HELLO = """
id: hello
namespace: team
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: hello}
"""


def test_a_service_deletes_by_itself(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "penstock.yaml").write_text("retention: {executions: PT1S}\n")
    with live_service(tmp_path) as service:
        service.put_flow(HELLO)
        id_ = service.start_flow("team", "hello")
        path = f"/api/v1/main/executions/{id_}"
        wait_for(lambda: service.get(path).status_code, lambda status: status == 404)


def test_what_syncs_did_is_remembered_for_ninety_days_and_two_hundred_runs(tmp_path: Path) -> None:
    past = Past(tmp_path)
    with past.database.begin() as tx:
        for number in range(203):
            at = NOON - (300 - number) * DAY
            run = syncs.SyncRun(
                id=f"{number:026d}", source_id="main", trigger="poll", phase="noop", started_at=at
            )
            syncs.put_run(tx.connection, run)
    past.whole_pass()
    with past.database.read() as connection:
        left = syncs.runs(connection, "main", limit=300)
    assert len(left) == 200
    assert left[-1].id == f"{3:026d}"
    past.database.close()
