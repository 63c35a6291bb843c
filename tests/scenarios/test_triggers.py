"""Flows that something outside starts: a call, the clock, another flow."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.live import Service, wait_for
from tests.scenarios.reading import executions_of, messages, state

pytestmark = pytest.mark.e2e

HOOKED = """
id: hooked
namespace: scenarios
triggers:
  - {id: hook, type: io.kestra.plugin.core.trigger.Webhook, key: a-long-enough-key}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{{ trigger.body.order }} {{ trigger.parameters.from[0] }}"
"""
TICKING = """
id: ticking
namespace: scenarios
triggers:
  - id: every_second
    type: io.kestra.plugin.core.trigger.Schedule
    cron: "* * * * * *"
    withSeconds: true
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ trigger.date }}"}
"""
FIRST = """
id: first
namespace: scenarios
tasks: [{id: say, type: io.kestra.plugin.core.log.Log, message: first}]
"""
SECOND = """
id: second
namespace: scenarios
triggers:
  - id: after_first
    type: io.kestra.plugin.core.trigger.Flow
    conditions:
      - type: io.kestra.plugin.core.condition.ExecutionFlow
        namespace: scenarios
        flowId: first
      - type: io.kestra.plugin.core.condition.ExecutionStatus
        in: [SUCCESS]
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "after {{ trigger.executionId }}"}
"""


def test_a_call_of_a_webhook_starts_its_flow_with_what_was_sent(service: Service) -> None:
    service.put_flow(HOOKED)
    path = "/api/v1/main/executions/webhook/scenarios/hooked"
    answer = service.post(f"{path}/a-long-enough-key?from=shop", json={"order": 7})
    assert answer.status_code == 200, answer.text
    execution = service.ended(answer.json()["id"])
    assert state(execution) == "SUCCESS"
    assert messages(service, execution["id"]) == ["7 shop"]
    assert service.post(f"{path}/another-key", json={}).status_code == 404


def test_a_schedule_starts_one_execution_for_each_second(service: Service) -> None:
    service.put_flow(TICKING)
    found = wait_for(
        lambda: executions_of(service, "scenarios", "ticking"), lambda found: len(found) >= 4
    )
    service.request("DELETE", "/api/v1/main/flows/scenarios/ticking")
    dates = sorted(one["trigger"]["variables"]["date"] for one in found)
    assert len(set(dates)) == len(dates)
    assert all(earlier < later for earlier, later in pairwise(dates))


def test_the_end_of_a_flow_starts_the_flow_that_waits_for_it_once(service: Service) -> None:
    service.put_flow(FIRST)
    service.put_flow(SECOND)
    first = service.ended(service.start_flow("scenarios", "first"))
    found = wait_for(
        lambda: executions_of(service, "scenarios", "second"),
        lambda found: found and state(found[0]) == "SUCCESS",
    )
    assert [messages(service, one["id"]) for one in found] == [[f"after {first['id']}"]]
