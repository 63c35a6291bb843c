"""Files of namespaces from Git, and Git tasks, through a whole service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.gitting import needs_git
from tests.e2e.test_git_push import await_flow, messages
from tests.git_http import Repository, serve_git
from tests.live import live_service, wait_for

pytestmark = [pytest.mark.e2e, needs_git]

READS = """
id: reads
namespace: team
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "read {{ read('lib/x.txt') }}"}
  - id: run
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    namespaceFiles: {enabled: true}
    commands: ["cat lib/x.txt"]
"""
GIT = """
id: git
namespace: tools
tasks:
  - id: sync
    type: io.kestra.plugin.git.SyncFlows
    url: "%(url)s"
    branch: main
    gitDirectory: flows
    targetNamespace: prod
    password: "{{ secret('GIT_TOKEN') }}"
    username: ana
  - id: told
    type: io.kestra.plugin.core.log.Log
    message: "{{ read(outputs.sync.flows) }}"
  - id: push
    type: io.kestra.plugin.git.PushFlows
    url: "%(url)s"
    branch: kestra
    sourceNamespace: prod
    password: "{{ secret('GIT_TOKEN') }}"
    username: ana
"""


def test_files_and_tasks_of_git_work_in_a_whole_service(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "git" / "flows.git")
    repository.commit({"flows/reads.yml": READS, "files/lib/x.txt": "from git 1"})
    with serve_git(tmp_path / "git", username="ana", password="t0ken-of-ana") as server:
        url = server.url_of(repository)
        source = {
            "id": "main",
            "url": url,
            "interval": 10,
            "allowHttp": True,
            "namespaces": ["team"],
        }
        source |= {"auth": {"username": "ana", "passwordSecret": "GIT_TOKEN"}}
        environment = {
            "PENSTOCK_CONFIGURATION": json.dumps({"git": {"sources": [source]}}),
            "SECRET_GIT_TOKEN": "dDBrZW4tb2YtYW5h",
        }
        with live_service(tmp_path, environment=environment) as service:
            await_flow(service, "team", "reads")
            ended = service.ended(service.start_flow("team", "reads"))
            assert ended["state"]["current"] == "SUCCESS"
            assert messages(service, ended["id"])[0] == "read from git 1"
            assert "from git 1" in messages(service, ended["id"])

            files = "/api/v1/main/namespaces/team/files"
            there = {"path": "/lib/x.txt"}
            assert service.get(files, params=there).text == "from git 1"
            mine = {"fileContent": ("x.txt", b"mine")}
            refused = service.post(files, params=there, files=mine)
            assert refused.status_code == 409, refused.text
            assert "kept by Git source 'main'" in refused.text

            repository.commit({"files/lib/x.txt": "from git 2"})
            service.post("/api/v1/main/git/sources/main/sync")
            wait_for(lambda: service.get(files, params=there).text, lambda t: t == "from git 2")

            service.put_flow(GIT % {"url": url})
            ended = service.ended(service.start_flow("tools", "git"))
            said = messages(service, ended["id"])
            assert ended["state"]["current"] == "SUCCESS", said
            assert any('"syncState":"ADDED"' in line and "prod" in line for line in said), said
            await_flow(service, "prod", "reads", "namespace: prod")
            pushed = repository.contents("kestra")["_flows/reads.yml"]
            assert pushed == READS.replace("namespace: team", "namespace: prod")
            assert "t0ken-of-ana" not in service.said() + "".join(said)
            assert "Traceback" not in service.said()
