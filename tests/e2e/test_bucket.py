"""A service that keeps its files in a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.live import live_service, wait_for
from tests.tasks.bucket import NAME, bucket

pytestmark = pytest.mark.e2e

FLOW = """
id: files
namespace: team.app
tasks:
  - id: make
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    outputFiles: ["*.txt"]
    commands: ["echo hello > a.txt"]
  - id: use
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    inputFiles: {b.txt: "{{ outputs.make.outputFiles['a.txt'] }}"}
    commands: ["cat b.txt {{ outputs.make.outputFiles['a.txt'] }}"]
  - id: tell
    type: io.kestra.plugin.core.log.Log
    message: "read {{ read(outputs.make.outputFiles['a.txt']) }}"
"""


def test_files_of_executions_go_to_the_bucket_and_come_back(tmp_path: Path) -> None:
    pytest.importorskip("obstore", reason="the extra object-storage is not installed")
    with bucket() as (endpoint, objects):
        environment = {
            "PENSTOCK_CONFIGURATION": f"storage: s3://{NAME}/files",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "s3cret-word",
            "AWS_REGION": "eu-west-1",
        }
        with live_service(tmp_path, environment=environment) as service:
            service.put_flow(FLOW)
            execution = service.ended(service.start_flow("team.app", "files"))
            path = f"/api/v1/main/executions/{execution['id']}"
            lines = service.get(f"/api/v1/main/logs/{execution['id']}").json()
            said = [line["message"] for line in lines]
            assert execution["state"]["current"] == "SUCCESS", said
            assert (said.count("hello"), "read hello" in "\n".join(said)) == (2, True)
            made = execution["taskRunList"][0]["outputs"]["outputFiles"]["a.txt"]
            assert service.get(f"{path}/file", params={"path": made}).text == "hello\n"
            kept = [key for key in objects if key.endswith("a.txt")]
            assert [key.startswith("files/team/app/files/executions/") for key in kept] == [True]
            assert service.request("DELETE", path).status_code == 204
            wait_for(
                lambda: [key for key in objects if key.endswith("a.txt")], lambda left: not left
            )
            assert "s3cret-word" not in service.said()
