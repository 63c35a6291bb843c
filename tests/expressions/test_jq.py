"""Paths that are walked here give what the jq library gives."""

from __future__ import annotations

import json

import jq as library
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.expressions.world import value

from penstock_runner.expressions import jq
from penstock_runner.expressions.errors import ExpressionFailed

DATA = {"a": {"b": [1, 2, {"c": "d"}]}, "l": [{"x": 1}, {"x": None}, {}], "k-y": 5, "n": None}
STEPS = st.sampled_from(
    [".a", ".b", ".c", ".x", ".l", "[0]", "[-1]", "[2]", "[9]", "[]", '["k-y"]', '."k-y"', ".n"]
)


@given(st.lists(STEPS, max_size=5))
@settings(max_examples=300)
def test_a_path_gives_what_the_library_gives(steps: list[str]) -> None:
    program = "".join(["." if not steps or steps[0][0] == "[" else "", *steps])
    assert jq.is_simple(program)
    try:
        expected = library.compile(program).input_text(json.dumps(DATA)).all()
    except ValueError:
        with pytest.raises(ExpressionFailed):
            jq.run(program, DATA)
        return
    assert jq.run(program, DATA) == expected


@pytest.mark.parametrize(
    "program",
    ["", "a", ".a | .b", ".a, .b", "..", "map(.x)", ".a[1:2]", ".a?", ". []b", ".a.", ".[", "keys"],
)
def test_other_programs_are_not_paths(program: str) -> None:
    assert not jq.is_simple(program)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("d | jq('.l | map(.x)')", [[1, None, None]]),
        ("d | jq('keys | .[0]') | first", "a"),
        ("d | jq('first(.l[])')", [{"x": 1}]),
        ("d | jq('.a | has(\"b\")') | first", True),
        ("d | jq('.n // \"other\"') | first", "other"),
        ("d | jqFirst('.l | sort_by(.x) | reverse | .[0].x')", 1),
        ("'{\"a\": [1, 2]}' | jq('.a[]')", [1, 2]),
        ("d | jq('empty')", []),
        ("d | jqFirst('empty')", None),
    ],
)
def test_programs_run_in_the_library(expression: str, expected: object) -> None:
    assert value(expression, d=DATA) == expected


@pytest.mark.parametrize("kind", [True, "text", [1], 5, {}])
@pytest.mark.parametrize("program", [".a", ".[0]", ".[]"])
def test_what_a_path_cannot_enter_is_an_error_as_in_the_library(kind: object, program: str) -> None:
    try:
        expected = library.compile(program).input_text(json.dumps(kind)).all()
    except ValueError as error:
        with pytest.raises(ExpressionFailed, match=f"jq: {str(error)[:12]}"):
            jq.run(program, json.dumps(kind) if isinstance(kind, str) else kind)
    else:
        assert jq.run(program, kind) == expected


@pytest.mark.parametrize("program", [".a |", ".l | .x", 'error("no")'])
def test_a_program_that_fails_is_an_expression_that_failed(program: str) -> None:
    with pytest.raises(ExpressionFailed, match="jq"):
        value("d | jq(p)", d=DATA, p=program)
