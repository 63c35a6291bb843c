"""Crashes while executions wait for each other, for a slot and for time: all of them go on."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from tests.e2e.test_kills import PATIENCE, Story, kill
from tests.live import live_service

pytestmark = pytest.mark.e2e

KILLS = 5
FAMILIES = 8
CHILD = """
id: child
namespace: kills
inputs: [{id: number, type: STRING}]
concurrency: {limit: 3, behavior: QUEUE}
tasks:
  - {id: doze, type: io.kestra.plugin.core.flow.Sleep, duration: PT0.4S}
  - {id: back, type: io.kestra.plugin.core.debug.Return, format: "{{ inputs.number }}"}
outputs:
  - {id: number, type: STRING, value: "{{ outputs.back.value }}"}
"""
PARENT = """
id: marks
namespace: kills
inputs:
  - {id: number, type: STRING}
  - {id: file, type: STRING, required: false}
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [a, b]
    concurrencyLimit: 0
    tasks:
      - id: call
        type: io.kestra.plugin.core.flow.Subflow
        namespace: kills
        flowId: child
        inputs: {number: "{{ inputs.number }}{{ taskrun.value }}"}
        wait: true
        transmitFailed: true
  - id: retried
    type: io.kestra.plugin.core.execution.Fail
    retry: {type: constant, interval: PT0.2S, maxAttempts: 3}
    allowFailure: true
"""


def test_waiting_executions_survive_crashes_and_have_each_child_once(tmp_path: Path) -> None:
    seed = random.randrange(1, 10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with live_service(tmp_path) as service:
        service.put_flow(CHILD)
        service.put_flow(PARENT)
        story = Story(service, tmp_path / "marks")
        for _ in range(KILLS):
            story.patiently(lambda: story.keep_busy(FAMILIES))
            time.sleep(chance.uniform(0.0, 0.6))
            kill(service, chance.choice(("core", "all", "runner")))
        until = time.monotonic() + PATIENCE
        while story.open:
            story.patiently(story.look)
            assert time.monotonic() < until, f"never ended: {sorted(story.open)}"
            time.sleep(0.1)
        for number, execution_id in story.started.items():
            execution = service.execution(execution_id)
            assert execution["state"]["current"] == "WARNING", execution
            calls = [run for run in execution["taskRunList"] if run["taskId"] == "call"]
            given = {run["value"]: run["outputs"]["outputs"]["number"] for run in calls}
            assert given == {"a": f"{number}a", "b": f"{number}b"}
            [failed] = [run for run in execution["taskRunList"] if run["taskId"] == "retried"]
            assert len(failed["attempts"]) == 3
        found = service.get(
            "/api/v1/main/executions", params={"namespace": "kills", "flowId": "child", "size": 1}
        )
        assert found.json()["total"] == 2 * len(story.started)
        assert "Traceback" not in service.said()
