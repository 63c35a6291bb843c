"""Runners and what waits for them, as the API and the pages tell it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.api.building import NOON, Web
from tests.web.building import execution, pages, run

from penstock_runner.engine.state import RunKey, State
from penstock_runner.executor.store import Batch, ExecutionWrite, JobRow
from penstock_server.store import runners
from penstock_server.store.runners import RunnerRow


def offer(web: Web, name: str, *labels: str, silent: float = 0, **more: Any) -> None:
    """A runner that was heard of some seconds ago."""
    row = RunnerRow(
        name=name,
        labels=labels,
        slots=2,
        started_at=NOON,
        seen_at=NOON - timedelta(seconds=silent),
        **more,
    )
    with web.database.begin() as tx:
        runners.put(tx.connection, row)


def put(web: Web, *required: str, runner: str | None = None, protected: bool = False) -> str:
    """An execution of team.greet whose task asks for labels, and its job."""
    one = execution(run("train", State.CREATED))
    batch = Batch()
    batch.executions[one.id] = ExecutionWrite(
        execution=one, read_version=None, changed=set(one.runs)
    )
    batch.jobs.append(
        JobRow(
            execution_id=one.id,
            key=RunKey("train"),
            attempt=1,
            task_id="train",
            created=NOON,
            runner=runner,
            required=required,
            protected=protected,
        )
    )
    web.core.store.write(batch)
    return str(one.id)


def waiting(web: Web, execution_id: str) -> Any:
    shown = web.client.get(f"/api/v1/executions/{execution_id}").json
    return shown["taskRunList"][0].get("waiting")


def test_a_task_run_says_for_what_it_waits_and_which_runner_comes_closest(tmp_path: Path) -> None:
    web = pages(tmp_path)
    execution_id = put(web, "gpu", "region=eu")
    offer(web, "w1", "linux")
    offer(web, "w2", "region=eu")
    offer(web, "gone", "gpu", "region=eu", silent=120)
    assert waiting(web, execution_id) == {
        "runsOn": ["gpu", "region=eu"],
        "since": "2026-01-31T12:00:00Z",
        "reason": "waiting for [gpu, region=eu]: 0 of 2 runners match; closest: w2 lacks gpu",
    }
    page = web.client.get(f"/executions/team/greet/{execution_id}").text
    assert "0 of 2 runners match; closest: w2 lacks gpu" in page
    assert "0 of 2 runners match" in web.client.get("/runners").text


def test_the_reason_is_of_this_moment(tmp_path: Path) -> None:
    web = pages(tmp_path)
    execution_id = put(web, "gpu")
    assert waiting(web, execution_id)["reason"] == "waiting for [gpu]: 0 of 0 runners match"
    offer(web, "w1", "gpu")
    assert waiting(web, execution_id)["reason"] == (
        "waiting for [gpu]: 1 of 1 runners match, without a free slot"
    )


def test_what_a_runner_is_kept_for_is_a_reason_too(tmp_path: Path) -> None:
    web = pages(tmp_path)
    open_one, trusted = put(web, "gpu"), put(web, "gpu", protected=True)
    offer(web, "w1", "gpu", protected=True)
    assert waiting(web, open_one)["reason"].endswith("closest: w1 is for flows of protected refs")
    assert "1 of 1 runners match" in waiting(web, trusted)["reason"]
    page = web.client.get("/runners").text
    assert "1 job waits, and no runner takes it" in page
    assert "Only flows of protected refs" in page


def test_a_task_run_that_has_a_runner_waits_for_nothing(tmp_path: Path) -> None:
    web = pages(tmp_path)
    offer(web, "w1", "gpu")
    assert waiting(web, put(web, "gpu", runner="w1")) is None


def test_runners_are_listed_with_labels_slots_and_jobs(tmp_path: Path) -> None:
    web = pages(tmp_path)
    execution_id = put(web, runner="w1")
    put(web, "tpu")
    offer(web, "w1", "linux", "gpu", busy=1, namespaces=("team", "team.*"))
    offer(web, "w2", silent=3600)
    answer = web.client.get("/api/v1/runners").json
    assert (answer["total"], answer["waiting"]) == (2, 1)
    first, second = answer["results"]
    assert first == {
        "name": "w1",
        "state": "ALIVE",
        "labels": ["linux", "gpu"],
        "namespaces": ["team", "team.*"],
        "protected": False,
        "slots": 2,
        "busy": 1,
        "startDate": "2026-01-31T12:00:00Z",
        "heardDate": "2026-01-31T12:00:00Z",
        "jobs": [
            {
                "executionId": execution_id,
                "namespace": "team",
                "flowId": "greet",
                "taskId": "train",
                "since": "2026-01-31T12:00:00Z",
            }
        ],
    }
    assert (second["name"], second["state"], second["jobs"]) == ("w2", "SILENT", [])
    page = web.client.get("/runners").text
    assert f"/executions/team/greet/{execution_id}" in page
    assert "1 job waits for a runner" in page
