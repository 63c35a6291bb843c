from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from penstock_runner.flow import report
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.parse import parse_flow
from penstock_runner.flow.violations import joined_message
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.validation import all_faults


def fault(line: int = 1, **more: str) -> Fault:
    given = {"code": "BAD_VALUE", "message": "is bad", "path": "flows/a.yml", **more}
    severity = Severity(given.pop("severity", "error"))
    return Fault(line=line, column=3, severity=severity, **given)  # type: ignore[arg-type]


def test_text_has_errors_first_and_one_fault_a_line() -> None:
    listed = [fault(9, severity="warning"), fault(5, hint="did you mean 'x'?"), fault(2)]
    assert report.text(listed) == (
        "flows/a.yml:2:3 BAD_VALUE is bad\n"
        "flows/a.yml:5:3 BAD_VALUE is bad (did you mean 'x'?)\n"
        "flows/a.yml:9:3 warning: BAD_VALUE is bad\n"
    )


def test_json_counts_and_lists() -> None:
    found = json.loads(report.as_json([fault(), fault(severity="note")]))
    assert (found["errors"], found["warnings"], found["notes"]) == (1, 0, 1)
    assert found["faults"][0]["path"] == "flows/a.yml"


def test_annotations_are_escaped_and_bounded() -> None:
    listed = [fault(n, message="50%\nlost", flow="team.one", path="a,b:c.yml") for n in range(12)]
    lines = report.github([*listed, fault(1, severity="warning")]).splitlines()
    assert len(lines) == 11
    assert lines[0] == (
        "::error file=a%2Cb%3Ac.yml,line=0,endLine=0,col=3,endColumn=3,"
        "title=BAD_VALUE team.one::50%25%0Alost"
    )
    assert lines[9].endswith("... and 2 more, see the log")
    assert lines[10].startswith("::warning ")


def test_files_that_changed_come_first() -> None:
    listed = [fault(path="a.yml"), fault(path="b.yml")]
    assert "file=b.yml" in report.github(listed, first={"b.yml"}).splitlines()[0]


def test_code_quality_fingerprints_do_not_move_with_lines() -> None:
    one, other = (json.loads(report.gitlab([fault(n, pointer="/a")]))[0] for n in (1, 2))
    assert one["fingerprint"] == other["fingerprint"]
    assert (one["severity"], other["location"]["lines"]["begin"]) == ("major", 2)


def test_sarif_names_each_rule_once() -> None:
    found = json.loads(report.sarif([fault(1), fault(2), fault(3, code="A")], version="1"))
    (run,) = found["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["A", "BAD_VALUE"]
    assert [result["ruleIndex"] for result in run["results"]] == [1, 1, 0]


def test_junit_has_a_case_for_each_file() -> None:
    text = report.junit([fault(message="<&\x00>"), fault(severity="warning")], ["b.yml"])
    suite = ET.fromstring(text)
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    good, bad = suite
    assert (good.get("name"), len(good)) == ("b.yml", 0)
    assert [part.tag for part in bad] == ["failure", "system-out"]


def test_every_format_renders_nothing_and_something() -> None:
    for form in report.FORMATS:
        assert isinstance(report.render([], form), str)
        assert "BAD_VALUE" in report.render([fault()], form)


def test_people_hear_of_an_unknown_property_in_short_and_clients_in_the_form_they_know() -> None:
    parsed = parse_flow(
        "id: f\nnamespace: n\ncolour: red\ntasks:\n"
        "  - {id: a, type: io.kestra.plugin.core.log.Log, message: hi, mesage: x}\n"
    )
    colour, mesage = all_faults(parsed, Registry())
    assert colour.message.startswith("'colour' is no property of a flow, which has afterExecution,")
    assert mesage.message == "'mesage' is no property of io.kestra.plugin.core.log.Log"
    assert mesage.hint == "did you mean 'message'?"
    assert 'Unrecognized field "colour"' in joined_message([colour])
