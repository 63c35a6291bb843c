"""Outputs that are used again for the same properties."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.jobs.harness import COMMANDS, job, now, settings
from tests.tasks.test_scripts import Heard

from penstock_runner.executor.jobs import plain_task
from penstock_runner.flow.parse import parse_flow
from penstock_runner.jobs.inprocess import InProcess
from penstock_runner.jobs.parts import default_parts
from penstock_runner.jobs.protocol import Report
from penstock_runner.tasks.storage import LocalStorage


def run(
    folder: Path,
    *lines: str,
    cache: dict[str, Any] | None = None,
    later: timedelta = timedelta(),
    variables: dict[str, Any] | None = None,
    **properties: Any,
) -> tuple[Report, bool]:
    """One run of a shell task with a cache, and whether it really ran."""
    ran = folder / "ran"
    ran.unlink(missing_ok=True)
    task = {
        "type": COMMANDS,
        "taskCache": cache or {"enabled": True},
        "properties": {"commands": [f"touch {ran}", *lines], **properties},
    }
    parts = default_parts(settings(folder), lambda: now() + later)
    report = InProcess(parts, Heard()).run(job(task, variables=variables or {}))
    return report, ran.exists()


SAY = """echo '::{"outputs": {"who": "{{ who }}"}}::'"""


def test_the_same_properties_give_the_outputs_without_a_run(tmp_path: Path) -> None:
    first, ran = run(tmp_path, SAY, variables={"who": "Ada"})
    again, ran_again = run(tmp_path, SAY, variables={"who": "Ada"})
    assert (ran, ran_again) == (True, False)
    assert again.state == "SUCCESS"
    assert again.outputs == first.outputs
    assert run(tmp_path, SAY, variables={"who": "Grace"})[1]


def test_outputs_are_not_used_after_their_time(tmp_path: Path) -> None:
    cache = {"enabled": True, "ttl": "PT1H"}
    run(tmp_path, "true", cache=cache)
    assert not run(tmp_path, "true", cache=cache, later=timedelta(minutes=59))[1]
    assert run(tmp_path, "true", cache=cache, later=timedelta(minutes=61))[1]


def test_a_cache_that_is_not_enabled_keeps_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        assert run(tmp_path, "true", cache={"enabled": False})[1]


def test_a_failure_is_run_again(tmp_path: Path) -> None:
    for _ in range(2):
        assert run(tmp_path, "exit 1")[1]


def test_outputs_whose_files_are_gone_are_made_again(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "echo x > a.txt", outputFiles=["a.txt"])
    assert not run(tmp_path, "echo x > a.txt", outputFiles=["a.txt"])[1]
    assert report.outputs is not None
    LocalStorage(tmp_path / "storage").delete(report.outputs["outputFiles"]["a.txt"])
    assert run(tmp_path, "echo x > a.txt", outputFiles=["a.txt"])[1]


def test_a_task_that_names_its_working_directory_has_a_cache_too(tmp_path: Path) -> None:
    for expected in (True, False):
        assert run(tmp_path, "cd {{ workingDir }}")[1] is expected


def test_a_time_that_is_none_is_told(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "true", cache={"enabled": True, "ttl": "soon"})
    assert report.state == "FAILED"
    assert "taskCache.ttl: 'soon' is not a duration" in str(report.error)


def test_a_job_is_told_of_the_cache_of_its_task() -> None:
    flow = parse_flow(
        "id: f\nnamespace: n\ntasks:\n"
        "  - {id: t, type: io.kestra.plugin.core.log.Log, message: x,\n"
        "     taskCache: {enabled: true}}\n",
        "f.yaml",
    ).flow
    assert flow is not None
    assert plain_task(flow.tasks[0])["taskCache"] == {"enabled": True}
