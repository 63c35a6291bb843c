"""One list of all that is wrong with a flow."""

from __future__ import annotations

from penstock_runner.flow.parse import parse_flow
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.validation import all_faults


def test_reading_types_and_expressions_are_told_together() -> None:
    text = (
        "id: one\nnamespace: team\ndesciption: x\ntasks:\n"
        "  - {id: a, type: io.kestra.plugin.core.log.Log, mesage: hi}\n"
        "  - {id: b, type: io.kestra.plugin.core.log.Log, message: '{{ nwo() }}'}\n"
    )
    faults = all_faults(parse_flow(text), Registry())
    assert sorted((fault.code, fault.line) for fault in faults) == [
        ("UNKNOWN_FUNCTION", 6),
        ("UNKNOWN_PROPERTY", 3),
        ("UNKNOWN_PROPERTY", 5),
    ]


def test_a_text_that_is_no_yaml_is_told_once() -> None:
    [fault] = all_faults(parse_flow("id: [\n  {{ nope() }}"), Registry())
    assert fault.code == "YAML_SYNTAX"
