"""Several runners on one machine, each with labels of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import penstock
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


KEPT = """
runner:
  slots: 2
  namespaceDefaults: {far: [moon]}
runners:
  - {name: kept, labels: [fast], namespaces: ["prod", "prod.*"]}
"""
NAMED = """
id: named
namespace: {namespace}
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {{type: io.kestra.plugin.core.runner.Process}}
    commands: ["true"]
    {more}
"""


def test_what_waits_says_why_wherever_one_looks(tmp_path: Path) -> None:
    """In the API, on the page, in the terminal, and beforehand in `penstock validate`."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "penstock.yaml").write_text(KEPT)
    why = "0 of 2 runners match; closest: kept is for the namespaces prod, prod.*"
    flow = tmp_path / "named.yaml"
    flow.write_text(NAMED.format(namespace="team", more="runsOn: fast"))
    with live_service(tmp_path) as service:
        listed = wait_for(
            lambda: service.get("/api/v1/main/runners").json(), lambda one: one["total"] == 2
        )
        assert {one["name"] for one in listed["results"]} == {"local", "kept"}
        told = penstock("validate", flow, "--server", service.url)
        assert why in told.out
        service.put_flow(flow.read_text())
        waits = service.start_flow("team", "named")
        shown = wait_for(
            lambda: service.execution(waits)["taskRunList"], lambda runs: "waiting" in runs[0]
        )
        assert shown[0]["waiting"]["reason"] == f"waiting for [fast]: {why}"
        assert why in penstock("executions", "show", waits, PENSTOCK_SERVER=service.url).out
        assert why in penstock("executions", "logs", waits, PENSTOCK_SERVER=service.url).out
        assert why in service.get(f"/executions/team/named/{waits}").text
        service.put_flow(NAMED.format(namespace="prod.web", more="runsOn: fast"))
        ran = service.ended(service.start_flow("prod.web", "named"))
        assert ran["state"]["current"] == "SUCCESS"
        service.put_flow(NAMED.format(namespace="far.away", more=""))
        far = service.start_flow("far.away", "named")
        lines_of_far = wait_for(lambda: lines(service, far), bool)
        assert "waiting for [moon]: 0 of 2 runners match" in lines_of_far[0]
