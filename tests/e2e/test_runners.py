"""Several runners on one machine, each with labels of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.live import live_service, wait_for

pytestmark = pytest.mark.e2e

SETTINGS = """
runner: {labels: [cpu], slots: 2}
runners:
  - {name: gpu, labels: [gpu=a100, "!gpu"]}
"""
FLOW = """
id: spread
namespace: team
tasks:
  - id: plain
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands: &tell ['echo "$PENSTOCK_TASK_ID on ${PENSTOCK_RUNNER_LABELS%%%%,self*}"']
  - id: learn
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    runsOn: [gpu=a100, linux]
    commands: *tell
  - id: elsewhere
    type: io.kestra.plugin.scripts.shell.Commands
    workerSelector: {tags: [moon]}
    commands: *tell
""".replace("%%%%", "%%")


def lines(service: Any, execution_id: str) -> list[str]:
    return [one["message"] for one in service.get(f"/api/v1/main/logs/{execution_id}").json()]


def test_each_task_runs_where_its_labels_are(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "penstock.yaml").write_text(SETTINGS)
    with live_service(tmp_path) as service:
        wait_for(
            lambda: service.get("/runners").text,
            lambda page: "gpu=a100" in page and "cpu" in page,
        )
        service.put_flow(FLOW)
        found = service.ended(service.start_flow("team", "spread"))
        said = lines(service, found["id"])
        answer = service.post(
            "/api/v1/main/flows/validate",
            content=FLOW,
            headers={"Content-Type": "application/x-yaml"},
        ).json()
    assert "plain on cpu" in said
    assert "learn on gpu=a100,!gpu" in said
    assert found["state"]["current"] == "FAILED"
    assert any("waiting for [moon]: 0 of 2 runners match" in line for line in said)
    assert "waiting for [moon]" in str(answer)
