"""What tasks do to other executions, on a live service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live import Service, live_service, wait_for

SLOW = """
id: slow
namespace: team
tasks: [{id: wait, type: io.kestra.plugin.core.flow.Sleep, duration: PT5M}]
"""
CALLER = """
id: caller
namespace: team
tasks: [{id: call, type: io.kestra.plugin.core.flow.Subflow, namespace: team, flowId: slow}]
"""
KILLER = """
id: killer
namespace: team
inputs: [{id: whom, type: STRING, required: false}]
tasks:
  - id: kill
    type: io.kestra.plugin.core.execution.Kill
    executionId: "{{ inputs.whom ?? execution.id }}"
  - {id: wait, type: io.kestra.plugin.core.flow.Sleep, duration: PT1S}
"""
ASKING = """
id: asking
namespace: team
tasks:
  - {id: ask, type: io.kestra.plugin.core.flow.Template, namespace: team, templateId: gate}
"""
GATE = """
id: gate
namespace: team
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Pause
    onResume: [{id: why, type: STRING}]
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ outputs.wait.onResume.why }}"}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home: Path = tmp_path_factory.mktemp("tasks")
    with live_service(home) as running:
        for source in (SLOW, CALLER, KILLER, ASKING):
            running.put_flow(source)
        yield running


def test_a_task_kills_an_execution_with_its_children(service: Service) -> None:
    target = service.start_flow("team", "caller")
    child = wait_for(
        lambda: [run["outputs"] for run in service.execution(target).get("taskRunList") or ()],
        lambda found: bool(found) and bool((found[0] or {}).get("executionId")),
    )[0]["executionId"]
    killer = service.ended(service.start_flow("team", "killer", whom=target))
    assert killer["state"]["current"] == "SUCCESS"
    assert service.ended(target)["state"]["current"] == "KILLED"
    assert service.ended(child)["state"]["current"] == "KILLED"
    # One that has ended is left as it is.
    again = service.ended(service.start_flow("team", "killer", whom=target))
    assert again["state"]["current"] == "SUCCESS"


def test_a_task_may_kill_its_own_execution(service: Service) -> None:
    ended = service.ended(service.start_flow("team", "killer"))
    assert ended["state"]["current"] == "KILLED"


def test_a_task_that_kills_nobody_fails_and_says_so(service: Service) -> None:
    ended = service.ended(service.start_flow("team", "killer", whom="nobody"))
    assert ended["state"]["current"] == "FAILED"
    lines = service.get(f"/api/v1/main/logs/{ended['id']}").json()
    assert any("No execution found for execution id nobody" in one["message"] for one in lines)


def test_a_pause_that_a_template_brought_in_is_resumed_with_what_it_asks_for(
    service: Service,
) -> None:
    headers = {"Content-Type": "application/x-yaml"}
    assert service.post("/api/v1/templates", content=GATE, headers=headers).status_code == 200
    execution_id = service.start_flow("team", "asking")
    wait_for(lambda: service.execution(execution_id)["state"]["current"], lambda s: s == "PAUSED")
    resume = f"/api/v1/main/executions/{execution_id}/resume"
    assert service.post(resume).status_code == 422
    assert service.post(resume, files={"why": (None, "it is good")}).status_code < 300
    assert service.ended(execution_id)["state"]["current"] == "SUCCESS"
    lines = service.get(f"/api/v1/main/logs/{execution_id}").json()
    assert "it is good" in [one["message"] for one in lines]
