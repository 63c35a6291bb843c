"""Whatever is written, reading and checking end in faults with places, never in an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.flow.shelf import LOG, SHELL, a_log, flow_text, read

from penstock_runner.flow.faults import MAX_FAULTS
from penstock_runner.flow.violations import joined_message, violations

WORDS = st.sampled_from(
    [
        *("id", "namespace", "type", "tasks", "then", "else", "cases", "defaults", "errors"),
        *("inputs", "labels", "retry", "sla", "checks", "triggers", "conditions", "task"),
        *("dependsOn", "values", "pluginDefaults", "listeners", "outputs", "interval", "name"),
        *("timeout", "when", "runIf", "preconditions", "timeWindow", "where", "filters", "cron"),
        *("concurrency", "limit", "value", "key", "options", "expression", "onPause", "validator"),
        *(LOG, SHELL, "STRING", "SELECT", "ARRAY", "constant", "random", "PT", "PT1S", "{{ x }}"),
        *("io.kestra.plugin.core.flow." + n for n in ("Dag", "Switch", "If", "Pause", "Subflow")),
        *("io.kestra.plugin.core.trigger." + n for n in ("Schedule", "Flow", "Webhook")),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=30,
)
PARTS = st.dictionaries(WORDS, DATA, max_size=10)


def judged(text: str) -> int:
    """How many faults there are, each with a place inside the text or at its start."""
    parsed, faults = read(text)
    # YAML breaks lines at more characters than others do.
    lines = sum(text.count(mark) for mark in "\n\r\x85\u2028\u2029") + 2
    for fault in faults:
        assert 1 <= fault.line <= lines
        assert fault.column >= 1
    joined_message(faults)
    violations(faults, parsed.document.data)
    return len(faults)


@given(PARTS)
def test_any_data_in_the_place_of_a_flow_is_judged(parts: dict[str, Any]) -> None:
    judged(json.dumps(parts))


@given(PARTS, PARTS)
def test_any_data_around_a_task_is_judged(parts: dict[str, Any], task: dict[str, Any]) -> None:
    tasks = [{"id": "it", "type": LOG, "message": "hi"}, {"type": LOG, **task}]
    judged(json.dumps({"id": "one", "namespace": "team", **parts, "tasks": tasks}))


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    judged(text)


@settings(max_examples=200)
@given(st.data())
def test_a_flow_with_a_piece_cut_out_is_judged(data: st.DataObject) -> None:
    text = flow_text(a_log(more="retry: {type: constant, interval: PT1S}"), "labels: {a: b}")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    judged(text[:start] + data.draw(st.text(max_size=3)) + text[end:])


def nodes(count: int) -> str:
    return "".join(
        f"    - {{task: {{id: t{i}, type: {LOG}, message: x}}, dependsOn: [t{i + 1}]}}\n"
        for i in range(count)
    )


@pytest.mark.parametrize(
    "text",
    [
        flow_text(a_log(), "variables: {" + "a: 1," * 5000 + "}"),
        flow_text(f"- {{id: it, type: {LOG}, {', '.join(f'k{i}: 1' for i in range(5000))}}}"),
        flow_text("".join(f"- {{id: '!', typo: {LOG}}}\n" for _ in range(500))),
        flow_text("- id: d\n  type: io.kestra.plugin.core.flow.Dag\n  tasks:\n" + nodes(500)),
        flow_text(a_log(), "inputs: [{id: a, type: STRING, validator: '" + "(" * 5000 + "'}]"),
        flow_text(a_log(more="timeout: P99999999999999D")),
        flow_text(a_log(), "retry: {type: constant, interval: .nan}"),
        flow_text(a_log(), "retry: {type: exponential, interval: 1, maxInterval: .inf}"),
    ],
    ids=["twice", "unknown", "bad", "dag", "pattern", "long", "nan", "inf"],
)
def test_what_is_made_to_hurt_ends_in_a_bounded_list_of_faults(text: str) -> None:
    assert 0 < judged(text) <= 2 * MAX_FAULTS
