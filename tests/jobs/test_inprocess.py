"""Jobs in threads of this process."""

from __future__ import annotations

import queue
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.jobs.harness import DEADLINE, commands, gone, now, settings

from penstock_runner.jobs.inprocess import InProcess
from penstock_runner.jobs.parts import default_parts
from penstock_runner.jobs.protocol import Job, JobId, Report


class Heard:
    """Waits for what jobs say."""

    def __init__(self) -> None:
        self.reports: queue.Queue[Report] = queue.Queue()
        self.said: queue.Queue[str] = queue.Queue()

    def lines(self, job: JobId, lines: list[list[Any]], task_id: str | None) -> None:
        for line in lines:
            self.said.put(line[3])

    def report(self, report: Report) -> None:
        self.reports.put(report)

    def call(self, job: Job, operation: str, arguments: Mapping[str, Any]) -> Any:
        return {"kv.keys": ["a", "b"]}[operation]


def start(folder: Path, heard: Heard, *wanted: Job) -> InProcess:
    jobs = InProcess(default_parts(settings(folder), now), heard)
    for each in wanted:
        jobs.start(each)
    return jobs


def test_jobs_report_when_they_end(tmp_path: Path) -> None:
    heard = Heard()
    jobs = start(tmp_path, heard, *[commands("exit 0", key=f"j{n}") for n in range(6)])
    found = {heard.reports.get(timeout=DEADLINE).key for _ in range(6)}
    jobs.close()
    assert found == {f"j{n}" for n in range(6)}


def test_lines_come_before_the_end(tmp_path: Path) -> None:
    heard = Heard()
    go = tmp_path / "go"
    jobs = start(
        tmp_path, heard, commands("echo early", f"while ! test -e {go}; do sleep 0.02; done")
    )
    assert heard.said.get(timeout=DEADLINE) == "early"
    assert heard.reports.empty()
    go.touch()
    assert heard.reports.get(timeout=DEADLINE).state == "SUCCESS"
    jobs.close()


def test_a_cancelled_job_takes_its_descendants_along(tmp_path: Path) -> None:
    heard = Heard()
    note = tmp_path / "pid"
    wanted = commands(
        f"setsid sh -c 'echo $$ > {note}; exec sleep 600' & while ! test -s {note}; do :; done",
        "echo ready; sleep 600",
    )
    jobs = start(tmp_path, heard, wanted)
    assert heard.said.get(timeout=DEADLINE) == "ready"
    jobs.cancel(wanted.id)
    assert heard.reports.get(timeout=DEADLINE).state == "KILLED"
    assert gone(int(note.read_text()))
    jobs.close()


def test_a_job_over_its_timeout_fails(tmp_path: Path) -> None:
    heard = Heard()
    jobs = start(tmp_path, heard, commands("sleep 600", timeout="PT0.2S"))
    report = heard.reports.get(timeout=DEADLINE)
    jobs.close()
    assert (report.state, report.reason) == ("FAILED", "timeout")


def test_closing_cancels_what_runs(tmp_path: Path) -> None:
    heard = Heard()
    jobs = start(tmp_path, heard, commands("echo ready; sleep 600"))
    heard.said.get(timeout=DEADLINE)
    jobs.close()
    assert heard.reports.get(timeout=DEADLINE).state == "KILLED"
