from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from penstock_runner.flow.binding import Binder
from penstock_runner.flow.inputs import (
    NestingConflict,
    Resolved,
    default_values,
    file_extension,
    nest,
    resolve,
    resolve_outputs,
)
from penstock_runner.flow.model import Input, Output
from penstock_runner.flow.values import BadValue
from penstock_runner.flow.yaml import Document


def declared(id_: str, type_: str, **more: Any) -> Input:
    found = Binder(Document()).input({"id": id_, "type": type_, **more}, "")
    assert found is not None
    return found


class Unrendered(Exception):
    pass


def render(template: str, variables: Mapping[str, object]) -> object:
    """Knows `{{ a.b }}` and nothing else."""
    value: Any = variables
    for step in template.strip("{} ").split("."):
        if step not in value:
            raise Unrendered(f"no {step}")
        value = value[step]
    return value


def resolved(*inputs: Input, collect: bool = False, **given: object) -> Resolved:
    return resolve(
        inputs, given, render_typed=render, encrypt=lambda t: f"<{t[::-1]}>", collect=collect
    )


def one(type_: str, value: object, **more: Any) -> object:
    """The value of one input, or its error."""
    found = resolved(declared("x", type_, **more), x=value)
    return str(found.errors[0]).removeprefix("x: ") if found.errors else found.values["x"]


def said(reason: str, value: str) -> str:
    return f"Invalid input for `x`, {reason}, but received `{value}`"


@pytest.mark.parametrize(
    ("type_", "given", "value"),
    [
        ("STRING", "a", "a"),
        ("STRING", "", ""),
        ("INT", "42", 42),
        ("INT", -3, -3),
        ("FLOAT", "42.42", 42.42),
        ("FLOAT", 1, 1.0),
        ("BOOLEAN", "TRUE", True),
        ("BOOLEAN", "nonsense", False),
        ("BOOL", False, False),
        ("DATETIME", "2019-10-06T18:27:49Z", "2019-10-06T18:27:49Z"),
        ("DATETIME", "2019-10-06T20:27:49.500+02:00", "2019-10-06T18:27:49.5Z"),
        ("DATE", "2019-10-06", "2019-10-06"),
        ("TIME", "18:27:49", "18:27:49"),
        ("TIME", "18:27", "18:27:00"),
        ("DURATION", "PT5M6S", "PT5M6S"),
        ("DURATION", "P1D", "PT24H"),
        ("FILE", "kestra:///a/b.txt", "kestra:///a/b.txt"),
        ("FILE", "nsfile:///b.txt", "nsfile:///b.txt"),
        ("JSON", '{"a": [1]}', {"a": [1]}),
        ("JSON", {"a": 1}, {"a": 1}),
        ("YAML", "a: yes\nb: 2024-01-01", {"a": True, "b": "2024-01-01"}),
        ("URI", "https://www.example.com/x?y=z", "https://www.example.com/x?y=z"),
        ("SECRET", "abc", "<cba>"),
        ("EMAIL", "", ""),
        ("EMAIL", "a@b.c", "a@b.c"),
        ("OBJECT", '{"a": 1}', {"a": 1}),
        ("TABLE", [{"a": 1}], [{"a": 1}]),
    ],
)
def test_a_value_is_read_by_its_type(type_: str, given: object, value: object) -> None:
    assert one(type_, given) == value


@pytest.mark.parametrize(
    ("type_", "given", "more", "error"),
    [
        ("STRING", "b", {"validator": r"A\d+"}, said("it must match the pattern `A\\d+`", "b")),
        ("SECRET", "b", {"validator": "A"}, said("it must match the pattern `A`", "b")),
        ("INT", "nine", {}, said('For input string: "nine"', "nine")),
        ("INT", "2147483648", {}, said('For input string: "2147483648"', "2147483648")),
        ("INT", "9", {"min": 10}, said("it must be more than `10`", "9")),
        ("INT", "21", {"max": 20}, said("it must be less than `20`", "21")),
        ("FLOAT", "x", {}, said('For input string: "x"', "x")),
        ("FLOAT", "0.01", {"min": 0.1}, said("it must be more than `0.1`", "0.01")),
        (
            "DATE",
            "2022-01-01",
            {"after": "2023-01-01"},
            said("it must be after `2023-01-01`", "2022-01-01"),
        ),
        ("TIME", "00:00:01", {"after": "01:00:00"}, said("it must be after `01:00`", "00:00:01")),
        ("TIME", "14:00", {"before": "11:59:59"}, said("it must be before `11:59:59`", "14:00")),
        ("DURATION", "PT1S", {"min": "PT10S"}, said("It must be more than `PT10S`", "PT1S")),
        ("URI", "http:/bla", {}, said("Expected `URI` but received `http:/bla`", "http:/bla")),
        ("EMAIL", "nobody", {}, said("The input must be a valid email", "nobody")),
        ("SELECT", "c", {"values": ["a", "b"]}, said("it must match the values `[a, b]`", "c")),
        (
            "MULTISELECT",
            ["a", "c"],
            {"values": ["a", "b"], "required": False},
            said("it must match the values `[a, b]`", "[a, c]"),
        ),
        (
            "ARRAY",
            '["s1"]',
            {"itemType": "INT"},
            said("Unable to parse array element as `INT` on `s1`", '["s1"]'),
        ),
        ("STRING", None, {}, said("missing required input", "null")),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_the_languages_words(
    type_: str, given: object, more: dict[str, Any], error: str
) -> None:
    assert one(type_, given, **more) == error


@pytest.mark.parametrize(
    ("type_", "given"),
    [("DATETIME", "2019-10-06"), ("DURATION", "PT"), ("FILE", "/etc/passwd"), ("JSON", "{")],
)
def test_what_cannot_be_parsed_says_what_was_expected(type_: str, given: str) -> None:
    start = f"Invalid input for `x`, Expected `{type_}` but received `{given}` with errors:\n```"
    assert str(one(type_, given)).startswith(start)


def test_bounds_belong_to_what_is_allowed() -> None:
    assert one("INT", 10, min=10, max=10) == 10
    assert one("FLOAT", "0.1", min=0.1) == 0.1


def test_choices_are_free_when_custom_or_not_required() -> None:
    assert one("SELECT", "c", values=["a"], allowCustomValue=True) == "c"
    assert one("SELECT", "c", values=["a"], required=False) == "c"


def test_the_first_choice_stands_in_when_it_is_asked_for() -> None:
    more = {"values": ["a", "b"], "autoSelectFirst": True}
    assert resolved(declared("x", "SELECT", **more)).values == {"x": "a"}
    assert resolved(declared("x", "MULTISELECT", **more)).values == {"x": ["a"]}


def test_a_secret_without_a_key_is_refused() -> None:
    found = resolve([declared("x", "SECRET")], {"x": "a"}, render_typed=render)
    assert "encryption is not configured" in str(found.errors[0])


def test_defaults_stand_in_and_what_is_not_declared_is_ignored() -> None:
    found = resolved(
        declared("a", "INT", defaults=3), declared("b", "STRING", required=False), c="x"
    )
    assert found.values == {"a": 3, "b": None}


def test_defaults_may_use_earlier_inputs() -> None:
    found = resolved(
        declared("a", "STRING"), declared("b", "STRING", defaults="{{ inputs.a }}"), a="x"
    )
    assert found.values == {"a": "x", "b": "x"}


def test_dotted_ids_are_nested() -> None:
    found = resolved(declared("n.a", "INT"), declared("n.m.b", "INT"), **{"n.a": 1, "n.m.b": 2})
    assert found.values == {"n": {"a": 1, "m": {"b": 2}}}


def conditional(condition: str, *needs: str) -> dict[str, object]:
    return {"inputs": list(needs), "condition": condition}


def test_an_input_is_dropped_unless_its_condition_is_true_itself() -> None:
    flag = declared("flag", "BOOL")
    text = declared("text", "STRING")
    by_flag = declared("x", "INT", dependsOn=conditional("{{ inputs.flag }}", "flag"))
    by_text = declared("y", "INT", dependsOn=conditional("{{ inputs.text }}", "text"))
    below = declared("z", "INT", dependsOn={"inputs": ["y"]})
    found = resolved(by_flag, flag, text, by_text, below, flag=True, text="true", x=1, y="bad")
    assert found.values == {"x": 1, "flag": True, "text": "true"}
    assert found.errors == ()
    disabled = found.find("z")
    assert disabled is not None
    assert not disabled.enabled


def test_a_condition_that_fails_disables_and_is_told_but_stops_no_start() -> None:
    bad = declared("x", "INT", dependsOn=conditional("{{ inputs.none }}"))
    found = resolved(bad, declared("y", "INT"), y=1, x=2)
    assert found.values == {"y": 1}
    assert [str(e) for e in found.errors] == ["x: Invalid condition: no none"]
    assert found.blocking == ()


def test_choices_may_come_from_an_expression() -> None:
    choice = declared("x", "SELECT", expression="{{ inputs.all }}")
    values = declared("all", "ARRAY", itemType="INT")
    found = resolved(values, choice, collect=True, all=[1, 2], x="2")
    assert found.inputs[1].options == ("1", "2")
    wrong = resolved(declared("all", "STRING"), choice, collect=True, all="a", x="2")
    assert "Expected a list of strings, but received String" in str(wrong.errors[0])


def test_the_first_error_ends_it_unless_all_are_collected() -> None:
    inputs = (declared("a", "INT"), declared("b", "INT"))
    assert len(resolved(*inputs).errors) == 1
    assert len(resolved(*inputs, collect=True).errors) == 2


def test_inputs_that_wait_for_each_other_end() -> None:
    a = declared("a", "INT", dependsOn={"inputs": ["b"]})
    b = declared("b", "INT", dependsOn={"inputs": ["a"]})
    assert resolved(a, b, a=1, b=2).values == {}


def test_nesting_conflicts_are_refused() -> None:
    with pytest.raises(NestingConflict, match=r"Conflict at key: a\.b"):
        nest({"a": 1, "a.b": 2})


def test_plain_defaults_and_extensions_are_found() -> None:
    inputs = (declared("a.b", "INT", defaults=1), declared("f", "FILE", extension="zip"))
    assert default_values(inputs) == {"a": {"b": 1}}
    assert file_extension(inputs, "f") == ".zip"
    assert file_extension(inputs, "other") == ".upl"


def test_outputs_are_read_by_their_types() -> None:
    outputs = [
        Output(id="n", type="INT", value="x"),
        Output(id="t", type="STRING", value="x"),
        Output(id="o", type="INT", value="x", required=False),
    ]
    assert resolve_outputs(outputs, {"n": "4", "t": 5, "o": None}) == {"n": 4, "t": "5"}
    with pytest.raises(BadValue, match="Invalid output for `n`, For input string"):
        resolve_outputs(outputs, {"n": "four", "t": "x"})
