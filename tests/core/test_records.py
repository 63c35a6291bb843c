"""What tasks ask about past executions, on a live service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.executor.harness import World
from tests.executor.test_store_contract import NOON, created, execution, line
from tests.live import Service, live_service

from penstock_runner.executor.messages import Outcome
from penstock_server.core.operations import records
from penstock_server.core.room import Answer, Room
from penstock_server.store import logs, migrations
from penstock_server.store.engine import open_store
from penstock_server.store.executions import SqlStore

PAST = """
id: past
namespace: team
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: hello}
  - {id: file, type: io.kestra.plugin.core.storage.Write, content: kept, extension: .txt}
"""
COUNT = """
id: count
namespace: team
tasks:
  - id: count
    type: io.kestra.plugin.core.execution.Count
    flows: [{namespace: team, flowId: past}, {namespace: team, flowId: nobody}]
    startDate: "2020-01-01T00:00:00Z"
    expression: "{{ count >= 0 }}"
"""
PURGE = """
id: purge
namespace: team
tasks:
  - id: logs
    type: io.kestra.plugin.core.log.PurgeLogs
    namespace: team
    flowId: past
    endDate: "2100-01-01T00:00:00Z"
  - id: executions
    type: io.kestra.plugin.core.execution.PurgeExecutions
    namespace: team
    flowId: past
    endDate: "2100-01-01T00:00:00Z"
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with live_service(tmp_path) as running:
        for source in (PAST, COUNT, PURGE):
            running.put_flow(source)
        yield running


def outputs(service: Service, flow: str) -> dict[str, dict[str, object]]:
    ended = service.ended(service.start_flow("team", flow))
    assert ended["state"]["current"] == "SUCCESS", ended
    return {run["taskId"]: run["outputs"] for run in ended["taskRunList"]}


def test_past_executions_are_counted_and_purged_with_their_logs(service: Service) -> None:
    ids = [service.start_flow("team", "past") for _ in range(3)]
    for execution_id in ids:
        service.ended(execution_id)
    counted = outputs(service, "count")["count"]
    assert counted["total"] == 3
    purged = outputs(service, "purge")
    assert purged["logs"]["count"] == 3
    assert purged["executions"]["executionsCount"] == 3
    assert purged["executions"]["storagesCount"] >= 3
    assert outputs(service, "count")["count"]["total"] == 0


def test_log_lines_are_purged_in_slices_with_room_for_others_in_between(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path}/past.db")
    migrations.upgrade(database)
    store = SqlStore(database)
    past, other = execution(1), execution(2, flow_id="other")
    batch = created(past, other)
    lines = records.LINES_AT_ONCE + records.LINES_AT_ONCE // 2
    batch.logs.extend(line(one, n) for one in (past, other) for n in range(1, lines + 1))
    store.write(batch)
    world = World(store=store)
    room = cast("Room", SimpleNamespace(executor=world.executor))
    answers: list[dict[str, Any]] = []
    end = (NOON + timedelta(days=1)).isoformat()
    asked = {"flow_id": past.flow_id, "end_date": end}
    records.purge_logs(room, asked, Answer(answers.append, 1))
    left: list[int] = []

    def look(_: Outcome) -> None:
        with database.read() as connection:
            left.append(len(logs.after(connection, past.id, limit=lines)))

    # Whoever comes while a slice is deleted is served before the next one.
    world.executor.transact(done=look)
    world.settle()
    assert answers == [{"type": "answer", "call": 1, "value": lines}]
    assert left == [lines - records.LINES_AT_ONCE]
    with database.read() as connection:
        assert logs.after(connection, past.id) == []
        assert len(logs.after(connection, other.id, limit=2 * lines)) == lines
    store.close()
