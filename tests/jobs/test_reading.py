"""Which files the expressions of a job may read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.jobs.harness import DEADLINE, job
from tests.jobs.test_inprocess import Heard, start

from penstock_runner.tasks import places
from penstock_runner.tasks.storage import LocalStorage

SAYS = {
    "type": "io.kestra.plugin.core.log.Log",
    "kind": "io.kestra.plugin.core.log.Log",
    "properties": {"message": "{{ read(inputs.file) }}"},
}


@pytest.mark.parametrize(
    ("namespace", "flow_id", "execution_id", "given"),
    [
        pytest.param("team.app", "build", "x1", True, id="its own"),
        pytest.param("team.app", "build", "x0", True, id="of what it does again"),
        pytest.param("team", "caller", "parent", True, id="of its parent"),
        pytest.param("team", "caller", "other", False, id="of another"),
        pytest.param("team.app", "build", "x2", False, id="of another of its flow"),
    ],
)
def test_a_job_reads_files_of_its_execution_its_original_and_its_parent(
    tmp_path: Path, namespace: str, flow_id: str, execution_id: str, *, given: bool
) -> None:
    prefix = places.execution_prefix(namespace, flow_id, execution_id)
    uri = LocalStorage(tmp_path / "storage").put_bytes(f"{prefix}/inputs/a/a.txt", b"content")
    variables = {
        "flow": {"id": "build", "namespace": "team.app"},
        "execution": {"id": "x1", "originalId": "x0"},
        "trigger": {"namespace": "team", "flowId": "caller", "executionId": "parent"},
        "inputs": {"file": uri},
    }
    heard = Heard()
    jobs = start(tmp_path, heard, job(SAYS, variables=variables))
    report = heard.reports.get(timeout=DEADLINE)
    jobs.close()
    assert report.state == ("SUCCESS" if given else "FAILED"), report.error
    said = heard.said.get(timeout=DEADLINE)
    assert said == "content" if given else "didn't belong to the current execution" in said
