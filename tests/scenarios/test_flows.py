"""Flows with branches, loops, retries, pauses, limits and children, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.live import Service, wait_for
from tests.scenarios.reading import messages, runs, state

pytestmark = pytest.mark.e2e

CHILD = """
id: child
namespace: scenarios
inputs: [{id: number, type: INT}]
tasks:
  - {id: double, type: io.kestra.plugin.core.debug.Return, format: "{{ inputs.number * 2 }}"}
outputs:
  - {id: doubled, type: STRING, value: "{{ outputs.double.value }}"}
"""
PARENT = """
id: parent
namespace: scenarios
tasks:
  - id: call
    type: io.kestra.plugin.core.flow.Subflow
    namespace: scenarios
    flowId: child
    inputs: {number: 21}
    wait: true
    transmitFailed: true
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ outputs.call.outputs.doubled }}"}
"""
RETRIED = """
id: retried
namespace: scenarios
inputs: [{id: folder, type: STRING}]
tasks:
  - id: third_time
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    retry: {type: constant, interval: PT0.1S, maxAttempts: 5}
    commands:
      - echo . >> {{ inputs.folder }}/tries
      - echo try {{ taskrun.attemptsCount }}
      - test $(wc -l < {{ inputs.folder }}/tries) -ge 3
  - id: never
    type: io.kestra.plugin.core.execution.Fail
    errorMessage: as it should
errors:
  - {id: told, type: io.kestra.plugin.core.log.Log, message: "failed: {{ execution.state }}"}
finally:
  - {id: cleaned, type: io.kestra.plugin.core.log.Log, message: cleaned}
"""
PARALLEL = """
id: parallel
namespace: scenarios
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: "{{ range(0, 9) }}"
    concurrencyLimit: 0
    tasks:
      - id: work
        type: io.kestra.plugin.scripts.shell.Commands
        taskRunner: {type: io.kestra.plugin.core.runner.Process}
        commands:
          - square=$(({{ taskrun.value }} * {{ taskrun.value }}))
          - echo "::{\\"outputs\\":{\\"square\\":$square}}::"
  - id: total
    type: io.kestra.plugin.core.log.Log
    message: "{{ outputs.work | length }}"
"""
PAUSED = """
id: asks
namespace: scenarios
tasks:
  - id: approve
    type: io.kestra.plugin.core.flow.Pause
    onResume:
      - {id: reason, type: STRING}
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ outputs.approve.onResume.reason }}"}
"""
LATE = """
id: late
namespace: scenarios
tasks:
  - id: slow
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    timeout: PT0.5S
    commands: [echo begun, sleep 600]
errors:
  - {id: told, type: io.kestra.plugin.core.log.Log, message: told}
"""
DIRECTORY = """
id: directory
namespace: scenarios
tasks:
  - id: shared
    type: io.kestra.plugin.core.flow.WorkingDirectory
    inputFiles: {given.txt: "from the flow"}
    outputFiles: ["*.out"]
    tasks:
      - id: write
        type: io.kestra.plugin.scripts.shell.Commands
        taskRunner: {type: io.kestra.plugin.core.runner.Process}
        commands: ["tr a-z A-Z < given.txt > made.out"]
      - id: read
        type: io.kestra.plugin.scripts.shell.Commands
        taskRunner: {type: io.kestra.plugin.core.runner.Process}
        commands: [cat made.out]
  - id: after
    type: io.kestra.plugin.core.log.Log
    message: "{{ read(outputs.shared.outputFiles['made.out']) }}"
"""


def run(service: Service, source: str, **inputs: str) -> dict[str, object]:
    """Run a flow to its end."""
    service.put_flow(source)
    flow_id = source.split("\n")[1].removeprefix("id: ")
    return service.ended(service.start_flow("scenarios", flow_id, **inputs))


def test_a_subflow_gives_its_outputs_to_its_parent(service: Service) -> None:
    service.put_flow(CHILD)
    parent = run(service, PARENT)
    assert state(parent) == "SUCCESS"
    assert messages(service, str(parent["id"]))[-1] == "42"
    [call] = runs(parent, "call")
    child = service.execution(call["outputs"]["executionId"])
    assert state(child) == "SUCCESS"
    assert child["outputs"] == {"doubled": "42"}


def test_a_task_is_tried_again_and_a_failure_goes_through_errors_and_finally(
    service: Service, tmp_path: Path
) -> None:
    execution = run(service, RETRIED, folder=str(tmp_path))
    assert state(execution) == "FAILED"
    [tried] = runs(execution, "third_time")
    assert [state(attempt) for attempt in tried["attempts"]] == ["FAILED", "FAILED", "SUCCESS"]
    said = messages(service, str(execution["id"]))
    assert [line for line in said if line.startswith("try ")] == ["try 0", "try 1", "try 2"]
    assert "as it should" in " ".join(said)
    assert said[-1] == "cleaned"
    assert any(line.startswith("failed: ") for line in said)


def test_parallel_loops_run_every_value_once(service: Service) -> None:
    execution = run(service, PARALLEL)
    assert state(execution) == "SUCCESS", messages(service, str(execution["id"]))
    found = {run["value"]: run["outputs"]["vars"]["square"] for run in runs(execution, "work")}
    assert found == {str(number): number * number for number in range(10)}


def test_a_pause_waits_for_a_person_and_takes_what_they_say(service: Service) -> None:
    service.put_flow(PAUSED)
    execution_id = service.start_flow("scenarios", "asks")
    wait_for(lambda: state(service.execution(execution_id)), lambda found: found == "PAUSED")
    path = f"/api/v1/main/executions/{execution_id}/resume"
    assert service.post(path).status_code == 422
    assert service.post(path, files={"reason": (None, "looks good")}).status_code < 300
    assert state(service.ended(execution_id)) == "SUCCESS"
    assert messages(service, execution_id)[-1] == "looks good"


def test_a_task_that_takes_too_long_is_ended_and_fails(service: Service) -> None:
    execution = run(service, LATE)
    assert state(execution) == "FAILED"
    said = messages(service, str(execution["id"]))
    assert said[0] == "begun"
    assert any("timeout" in line.lower() for line in said), said
    assert said[-1] == "told"


def test_tasks_of_a_working_directory_share_their_files(service: Service) -> None:
    execution = run(service, DIRECTORY)
    said = messages(service, str(execution["id"]))
    assert state(execution) == "SUCCESS", said
    assert said == ["FROM THE FLOW", "FROM THE FLOW"]
