"""What tasks ask about past executions, on a live service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live import Service, live_service

PAST = """
id: past
namespace: team
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: hello}
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
    assert outputs(service, "count")["count"]["total"] == 0
