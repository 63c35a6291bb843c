"""Scripts that use the `kestra` package as its documentation shows, with the package itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.test_scripts import Heard, run

from penstock_runner.jobs.protocol import Report
from penstock_runner.jobs.settings import pick_index_settings

SCRIPT = """
from kestra import Kestra

Kestra.outputs({"rows": 3, "nested": {"who": "Ada"}})
Kestra.outputs({"more": [1, 2]})
Kestra.counter("rows", 3, {"table": "orders"})
Kestra.timer("seconds", 1.5)
Kestra.timer("call", lambda: print("called"), {"kind": "function"})
Kestra.gauge("load", 0.5)
logger = Kestra.logger()
logger.debug("a detail")
logger.info("all is well")
logger.warning("look at this")
print("plain line")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runner's folder whose cache has the package."""
    folder = tmp_path_factory.mktemp("kestra")
    heard = Heard()
    if used(folder, heard, script="import kestra").state == "FAILED":
        said = " ".join(heard.texts("ERROR"))
        pytest.skip(f"the kestra package cannot be installed here: {said[-200:]}")
    return folder


def used(folder: Path, heard: Heard, **properties: Any) -> Report:
    given = {"dependencies": ["kestra"], "warningOnStdErr": False, **properties}
    settings = {"index_settings": pick_index_settings(os.environ)}
    return run(folder, "python.Script", heard, settings=settings, **given)


@pytest.mark.parametrize("version", ["kestra", "kestra<2"])
def test_outputs_metrics_and_logs_of_the_package_arrive(folder: Path, version: str) -> None:
    heard = Heard()
    report = used(folder, heard, script=SCRIPT, dependencies=[version])
    assert report.state == "SUCCESS", heard.said
    assert report.outputs is not None
    assert report.outputs["vars"] == {"rows": 3, "nested": {"who": "Ada"}, "more": [1, 2]}
    metrics = [(metric.name, metric.kind, dict(metric.tags)) for metric in report.metrics]
    assert metrics == [
        ("rows", "counter", {"table": "orders"}),
        ("seconds", "timer", {}),
        ("call", "timer", {"kind": "function"}),
        ("load", "gauge", {}),
    ]
    assert [metric.value for metric in report.metrics][:2] == [3.0, 1.5]
    for level, words in (("DEBUG", "a detail"), ("INFO", "all is well"), ("WARN", "look at this")):
        assert any(text.endswith(words) for text in heard.texts(level)), heard.said
    assert heard.texts()[-1] == "plain line"


def test_a_script_without_dependencies_finds_the_package_as_in_its_image(folder: Path) -> None:
    heard = Heard()
    report = used(folder, heard, dependencies=[], script=SCRIPT)
    assert report.state == "SUCCESS", heard.said
    assert report.outputs is not None
    assert report.outputs["vars"]["rows"] == 3
