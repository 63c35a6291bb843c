"""What GitLab and other readers of reports ask of their files, checked by hand: no library is
needed for a dozen rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.flow.test_report import fault

from penstock_runner.flow import report
from penstock_runner.flow.faults import Fault

ISSUE: dict[str, Any] = {
    "description": str,
    "check_name": str,
    "fingerprint": str,
    "severity": {"info", "minor", "major", "critical", "blocker"},
    "location": {"path": str, "lines": {"begin": int}},
}
SUITE = {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname"}
CASE = {"name", "classname", "time", "file", "assertions"}

MANY = [
    fault(3, pointer="/a", message='<b> "quoted" & \x07', path="flows/a b.yml"),
    fault(3, pointer="/a", message='<b> "quoted" & \x07', path="flows/a b.yml"),
    fault(1, severity="warning", hint="did you mean 'x'?"),
    fault(1, severity="note", code="NO_FLOW"),
]


def misfits(value: Any, wanted: Any, path: str) -> Iterator[str]:
    """Where a value is not as it should be."""
    match wanted:
        case dict():
            if not isinstance(value, dict):
                yield f"{path} is no object"
                return
            for name, inner in wanted.items():
                if name not in value:
                    yield f"{path}.{name} is missing"
                else:
                    yield from misfits(value[name], inner, f"{path}.{name}")
        case set() if value not in wanted:
            yield f"{path} is {value!r}"
        case type() if not isinstance(value, wanted) or isinstance(value, bool):
            yield f"{path} is {value!r}"


@pytest.mark.parametrize("faults", [[], MANY], ids=["nothing", "all kinds"])
def test_a_code_quality_report_is_what_gitlab_reads(faults: list[Fault]) -> None:
    found = json.loads(report.gitlab(faults))
    assert isinstance(found, list)
    for number, issue in enumerate(found):
        assert list(misfits(issue, ISSUE, f"[{number}]")) == []
        assert issue["location"]["lines"]["begin"] >= 1
        path = issue["location"]["path"]
        assert not path.startswith(("/", "./"))
    prints = [issue["fingerprint"] for issue in found]
    assert len(prints) == len(set(prints))


@pytest.mark.parametrize("faults", [[], MANY], ids=["nothing", "all kinds"])
def test_a_junit_report_is_what_its_readers_take(faults: list[Fault]) -> None:
    root = ET.fromstring(report.junit(faults, ["flows/a b.yml", "good.yml"]))
    suites = [root] if root.tag == "testsuite" else list(root)
    assert suites
    for suite in suites:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures"} <= set(suite.keys()) <= SUITE
        cases = list(suite)
        assert int(suite.get("tests", "-1")) == len(cases)
        failed = [case for case in cases if case.find("failure") is not None]
        assert int(suite.get("failures", "-1")) == len(failed)
        for case in cases:
            assert case.tag == "testcase"
            assert {"name"} <= set(case.keys()) <= CASE
            for part in case:
                assert part.tag in {"failure", "error", "skipped", "system-out", "system-err"}
                assert part.tag != "failure" or part.get("message")
