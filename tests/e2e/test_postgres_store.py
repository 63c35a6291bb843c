"""The main story on PostgreSQL as the store: push, run, crash, go on."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import httpx2
import psycopg
import pytest
from tests.cli.command import log_flow
from tests.e2e.gitting import clone, needs_git
from tests.git_http import Repository, serve_git
from tests.live import AS_OURSELVES, Service, live_service, wait_for
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


TICKING = """
id: ticking
namespace: team
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: tick}
triggers:
  - {id: tick, type: io.kestra.plugin.core.trigger.Schedule, cron: "* * * * * *", withSeconds: true}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ready(service: Service) -> bool:
    try:
        return service.get("/health/ready").status_code == 200
    except httpx2.HTTPError:
        return False


def fired(service: Service) -> list[str]:
    """The dates for which the schedule has run, in order."""
    params = {"namespace": "team", "flowId": "ticking", "size": 100, "state": "SUCCESS"}
    found = service.get("/api/v1/main/executions/search", params=params).json()["results"]
    return sorted(str(one["trigger"]["variables"]["date"]) for one in found)


def test_a_second_service_stands_by_and_takes_over_with_no_date_missed_or_doubled(
    tmp_path: Path, postgres: Cluster, postgres_database: str
) -> None:
    url = f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/{postgres_database}"
    environment = {**AS_OURSELVES, "PENSTOCK_DATABASE_URL": url}
    with ExitStack() as stack:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        first = stack.enter_context(live_service(tmp_path / "one", environment=environment))
        first.put_flow(TICKING)
        wait_for(lambda: fired(first), lambda dates: len(dates) >= 2)
        home = tmp_path / "two" / "home"
        second = Service(home=home, environment=environment, port=free_port())
        stack.callback(second.kill)
        second.launch()
        wait_for(second.said, lambda said: "standing by, another service leads" in said)
        first.kill()
        wait_for(second.said, lambda said: "this one leads from now on" in said)
        wait_for(partial(ready, second), bool)
        before = len(fired(second))
        dates = wait_for(lambda: fired(second), lambda now: len(now) >= before + 3)
        moments = [datetime.fromisoformat(date) for date in dates]
        steps = {after - one for one, after in pairwise(moments)}
        assert steps == {timedelta(seconds=1)}


def test_of_two_services_with_one_source_one_applies_each_commit(
    tmp_path: Path, postgres: Cluster, postgres_database: str
) -> None:
    url = f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/{postgres_database}"
    repository = Repository(tmp_path / "served" / "flows.git")
    commits = [repository.commit({"a.yml": log_flow("a")})]
    with serve_git(tmp_path / "served") as server, ExitStack() as stack:
        source = {"id": "main", "url": server.url_of(repository), "interval": 10}
        settings = json.dumps({"git": {"sources": [source]}})
        environment = {**AS_OURSELVES, "PENSTOCK_DATABASE_URL": url}
        environment["PENSTOCK_CONFIGURATION"] = settings
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        first = stack.enter_context(live_service(tmp_path / "one", environment=environment))
        wait_for(lambda: applied(first), lambda sha: sha == commits[-1])
        home = tmp_path / "two" / "home"
        second = Service(home=home, environment=environment, port=free_port())
        stack.callback(second.kill)
        second.launch()
        wait_for(second.said, lambda said: "standing by, another service leads" in said)
        commits.append(repository.commit({"b.yml": log_flow("b")}))
        first.post("/api/v1/main/git/sources/main/sync", json={"wait": True})
        first.kill()
        wait_for(partial(ready, second), bool)
        commits.append(repository.commit({"c.yml": log_flow("c")}))
        wait_for(lambda: applied(second), lambda sha: sha == commits[-1], seconds=40)
        found = second.get("/api/v1/main/git/sources/main/runs?size=50").json()["results"]
        # Who takes over looks at what runs once more, and changes nothing.
        assert [run["toCommit"] for run in found if "added" in run["counts"]] == commits[::-1]


def applied(service: Service) -> str | None:
    """The commit that runs."""
    answer = service.get("/api/v1/main/git/sources/main")
    return answer.json().get("appliedCommit") if answer.status_code == 200 else None
