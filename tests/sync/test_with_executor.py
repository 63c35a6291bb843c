"""Sync and schedules over the real executor and the real store: from a commit to an execution."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import Repository
from tests.sync.world import REGISTRY, World, flow

from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.store import Batch
from penstock_runner.expressions.environment import Expressions
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.scheduler.triggers import Scheduler
from penstock_server.store.executions import SqlStore
from penstock_server.store.queries.conditions import Paging
from penstock_server.store.queries.executions import ExecutionFilter, executions_page
from penstock_server.sync.service import SyncService
from penstock_server.sync.settings import GitSettings

TRIGGERS = """triggers:
  - {id: pushed, type: io.penstock.trigger.Push, initial: true}
  - {id: hourly, type: io.kestra.plugin.core.trigger.Schedule, cron: '0 * * * *'}
"""


class Listener:
    def committed(self, batch: Batch) -> None:
        return


class Core(World):
    """The world with an executor that runs what is started."""

    def __init__(self, folder: Path, repository: Repository) -> None:
        super().__init__(folder, url=f"file://{repository.path}")
        store = SqlStore(self.database)
        around = Surroundings(
            expressions=Expressions(), secrets={}, storage=LocalStorage(folder / "storage")
        )
        self.flows = Flows(store.flow)
        self.executor = Executor(
            store=store,
            flows=self.flows,
            registry=REGISTRY,
            around=around,
            now=self.clock.now,
            listener=Listener(),
            on_end=lambda execution: self.scheduler.execution_ended(execution),  # noqa: PLW0108
        )
        self.scheduler = Scheduler(
            database=self.database,
            starter=self.executor,
            clock=self.clock,
            flows=lambda namespace, flow_id: self.flows.get(namespace, flow_id).flow,
            expressions=Expressions(),
            load=REGISTRY.load,
        )
        self.service = SyncService(
            database=self.database,
            starter=self.executor,
            clock=self.clock,
            send=self.asked.append,
            settings=GitSettings(sources=(self.settings,), file_roots=(folder,)),
            on_flows_changed=self.flows.forget,
            triggers=self.scheduler,
        )
        self.store = store

    def drain(self) -> None:
        for _ in range(100):
            self.executor.drain()
            if not self.executor.busy:
                return

    def executions(self) -> list[tuple[str, str, str]]:
        wanted = ExecutionFilter(namespace="team", flow_id="a")
        with self.database.read() as connection:
            found, _ = executions_page(connection, wanted, Paging())
        assert {one.labels["system.gitSource"] for one in found} <= {"main"}
        assert {one.labels["system.gitRef"] for one in found} <= {"refs/heads/main"}
        return sorted(
            (one.trigger.id if one.trigger else "", one.state.value, one.labels["system.gitCommit"])
            for one in found
        )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def core(tmp_path: Path, repository: Repository) -> Iterator[Core]:
    made = Core(tmp_path, repository)
    yield made
    made.close()


def test_a_commit_starts_its_flow_and_schedules_go_on(repository: Repository, core: Core) -> None:
    sha = repository.commit({"a.yml": flow("a", TRIGGERS)})
    core.service.tick(core.clock.now())
    core.answer()
    core.drain()
    assert core.service.status("main")["status"] == "Synced"
    assert core.executions() == [("pushed", "SUCCESS", sha)]

    for _ in range(2):
        core.clock.forward(hours=1)
        core.scheduler.tick(core.clock.now())
        core.drain()
    assert [trigger for trigger, _, _ in core.executions()] == ["hourly", "hourly", "pushed"]
