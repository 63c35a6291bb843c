"""The main story on PostgreSQL as the store: push, run, crash, go on."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.e2e.gitting import clone, needs_git
from tests.live import AS_OURSELVES, live_service, wait_for
from tests.postgres import Cluster, postgres, postgres_database

__all__ = ["postgres", "postgres_database"]
pytestmark = [pytest.mark.e2e, pytest.mark.postgres, needs_git]

FLOW = """
id: story
namespace: team
inputs: [{id: folder, type: STRING}]
tasks:
  - {id: keep, type: io.kestra.plugin.core.kv.Set, key: a, value: kept}
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands:
      - echo work >> {{ inputs.folder }}/marks
      - while ! test -e {{ inputs.folder }}/go; do sleep 0.05; done
      - echo worked
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ kv('a') }}"}
"""


def test_a_pushed_flow_outlives_a_crash_of_the_service(
    tmp_path: Path, postgres: Cluster, postgres_database: str
) -> None:
    url = f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/{postgres_database}"
    marks = tmp_path / "marks"
    with live_service(
        tmp_path, options=["--examples"], environment={**AS_OURSELVES, "PENSTOCK_DATABASE_URL": url}
    ) as service:
        wait_for(
            lambda: service.get("/api/v1/main/git/sources").json(),
            lambda sources: all(one.get("appliedCommit") for one in sources),
        )
        clone(service.home / "examples.git", tmp_path / "clone").push({"story.yaml": FLOW})
        path = "/api/v1/main/flows/team/story"
        wait_for(lambda: service.get(path).status_code, lambda status: status == 200)
        execution_id = service.start_flow("team", "story", folder=str(tmp_path))
        wait_for(marks.exists, bool)
        service.kill()
        service.start()
        wait_for(lambda: marks.read_text().split(), lambda found: len(found) == 2)
        (tmp_path / "go").touch()
        assert service.ended(execution_id)["state"]["current"] == "SUCCESS"
        lines = service.get(f"/api/v1/main/logs/{execution_id}").json()
        said = [line["message"] for line in lines]
        assert said.count("worked") == 1
        assert said[-1] == "kept"
        assert len([line for line in said if "started again" in line]) == 1
        assert service.get(path).json()["revision"] == 1
        assert not (service.home / "penstock.db").exists()
        assert "Traceback" not in service.said()


def test_a_service_goes_on_when_the_database_has_ended_its_connections(
    tmp_path: Path, postgres: Cluster, postgres_database: str
) -> None:
    url = f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/{postgres_database}"
    environment = {**AS_OURSELVES, "PENSTOCK_DATABASE_URL": url}
    with live_service(tmp_path, environment=environment) as service:
        service.put_flow(FLOW)
        execution_id = service.start_flow("team", "story", folder=str(tmp_path))
        wait_for((tmp_path / "marks").exists, bool)
        with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [postgres_database],
            )
        (tmp_path / "go").touch()

        def state() -> str:
            answer = service.get(f"/api/v1/main/executions/{execution_id}")
            return answer.json()["state"]["current"] if answer.status_code == 200 else answer.text

        wait_for(state, lambda found: found == "SUCCESS")
        lines = service.get(f"/api/v1/main/logs/{execution_id}").json()
        said = [line["message"] for line in lines]
        assert said.count("worked") == said.count("kept") == 1
        print(service.said())
        assert "Traceback" not in service.said()
