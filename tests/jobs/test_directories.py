"""A WorkingDirectory that cannot be made ready, or whose files cannot be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import DEADLINE, job
from tests.jobs.test_inprocess import Heard, start

RETURN = "io.kestra.plugin.core.debug.Return"


def directory(**properties: Any) -> dict[str, Any]:
    child = {"id": "say", "type": RETURN, "kind": RETURN, "properties": {"format": "x"}}
    kind = "io.kestra.plugin.core.flow.WorkingDirectory"
    return {"type": kind, "kind": kind, "properties": properties, "branches": {"tasks": [child]}}


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"inputFiles": {"a": "kestra:///a/b"}}, "Failed preExecuteTasks on WorkingDirectory: "),
        ({"outputFiles": ["regex:["]}, "Failed postExecuteTasks on WorkingDirectory: "),
        ({"outputFiles": 7}, ""),
        ({"env": "no map"}, ""),
    ],
    ids=["input files", "pattern", "no patterns", "environment"],
)
def test_a_directory_that_cannot_be_used_ends_with_one_message(
    tmp_path: Path, properties: dict[str, Any], error: str
) -> None:
    heard = Heard()
    jobs = start(tmp_path, heard, job(directory(**properties)))
    report = heard.reports.get(timeout=DEADLINE)
    jobs.close()
    assert report.state == "FAILED"
    assert report.error is not None
    assert report.error.startswith(error)
    said = [heard.said.get_nowait() for _ in range(heard.said.qsize())]
    assert said.count(report.error) == 1
