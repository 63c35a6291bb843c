from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.expressions.world import EXPRESSIONS, World, failure, render, value

from penstock_runner.expressions.errors import UndefinedVariable


def test_an_undefined_root_names_itself_its_template_and_its_line() -> None:
    source = "a\n{{ nope }}"
    assert failure(source) == (
        "Unable to find `nope` used in the expression `a\n{{ nope }}` at line 2"
    )


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("a.zz", "zz"),
        ("a.zz.yy", "zz"),
        ("a['q']", "q"),
        ("l[9]", "9"),
        ("l['9']", "9"),
        ("l[-1]", "-1"),
        ("'abc'[0]", "0"),
        ("n.x", "n"),
        ("a.n.x", "x"),
        ("a[null]", "null"),
        ("l[null]", "null"),
        ("n['x']", "n"),
        ("a.n['x']", "x"),
        ("a.n.f()", "f"),
        ("a.keys()", "keys"),
    ],
)
def test_an_undefined_part_is_named(expression: str, name: str) -> None:
    with pytest.raises(UndefinedVariable) as caught:
        value(expression, a={"n": None}, l=[1], n=None)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("{{ env.x }}", "Did you mean `envs`?"),
        ("{{ variables.x }}", "Did you mean `vars`?"),
        ("{{ Inputs.x }}", "Did you mean `inputs`?"),
        ("{{ outputs.my-task.uri }}", "A key with a hyphen needs brackets: ['my-task']."),
        ("{{ inputs.Name }}", "Did you mean `name`?"),
        ("{{ text.a }}", "fromJson() makes a map or list of JSON"),
        ("{{ inputs.name.a }}", "Unable to find `a`"),
        ("{{ nothing.a }}", "Unable to find `nothing`"),
        ("{{ inputs.null.a }}", "What it is read from is null."),
        ("{{ 1 | uper }}", "Filter [uper] does not exist. Did you mean `upper`?"),
        ("{{ 1 is emty }}", "Test [emty] does not exist. Did you mean `empty`?"),
        ("{{ secrets('a') }}", "Macro [secrets] does not exist. Did you mean `secret`?"),
    ],
)
def test_a_near_miss_is_named_with_the_right_spelling(source: str, hint: str) -> None:
    variables: dict[str, object] = {
        "inputs": {"name": 1, "null": None},
        "outputs": {"my-task": {"uri": "u"}},
        "task": {"uri": 1},
        "text": '{"a": 1}',
        "nothing": None,
    }
    assert hint in failure(source, **variables)


@pytest.mark.parametrize(
    "expression",
    ["a.zz is defined", "a.n is defined", "nope.x.y is defined", "a.b is not defined"],
)
def test_defined_is_false_for_what_is_undefined_or_null(expression: str) -> None:
    assert value(expression, a={"b": 1, "n": None}) is False


def test_default_stands_in_for_undefined_null_and_empty_but_not_for_false() -> None:
    variables: dict[str, object] = {"a": {"n": None, "e": " ", "f": False, "z": 0}}
    for expression in ("a.zz.y", "a.n", "a.e", "[]", "{}"):
        assert value(f"{expression} | default('d')", **variables) == "d"
    assert value("a.f | default('d')", **variables) is False
    assert value("a.z | default('d')", **variables) == 0


def test_a_key_with_null_is_there() -> None:
    assert render("[{{ a.n }}]", a={"n": None}) == "[]"


def test_other_errors_are_not_caught_by_coalescing() -> None:
    assert "Cannot find secret" in failure("{{ secret('x') ?? 'y' }}")
    assert "Filter [nope]" in failure("{{ 1 | nope ?? 'y' }}")
    assert "write ['1']" in failure("{{ m[1] ?? 'y' }}", m={"1": "a"})


def test_undefined_inside_a_rendered_text_is_not_caught() -> None:
    assert "Unable to find `zz`" in failure("{{ render(v) ?? 'x' }}", v="{{ zz }}")


def test_a_long_template_is_shown_by_its_line_only() -> None:
    source = "x\n" * 300 + "{{ nope }}\n"
    assert (
        failure(source) == "Unable to find `nope` used in the expression `{{ nope }}` at line 301"
    )


def test_no_python_attribute_can_be_reached() -> None:
    for expression in (
        "''.__class__",
        "''['__class__']",
        "l.__len__()",
        "m.items()",
        "m.__class__",
        "d.tzinfo",
        "now.__globals__",
        "loop",
        "self",
        "cycler",
        "true.real",
        "m.get.__self__",
        "'{0}'.format(1)",
    ):
        assert failure("{{ " + expression + " }}", l=[1], m={"a": 1})


def test_members_are_few_and_known() -> None:
    assert value("l.size() + m.size() + t.length()", l=[1], m={"a": 1}, t="abc") == 5
    assert value("l.size", l=[1, 2]) == 2
    assert value("m.size", m={"size": "key"}) == "key"
    assert value("'a,b'.split(',')") == ["a", "b"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m.containsKey('a')", True),
        ("m.containsValue(1)", True),
        ("m.getOrDefault('z', 5)", 5),
        ("m.keySet()", ["a"]),
        ("m.values()", [1]),
        ("m.entrySet()", [{"key": "a", "value": 1}]),
        ("m.isEmpty()", False),
        ("m.toString()", "{a=1}"),
        ("l.get(0)", 3),
        ("l.indexOf(4)", 1),
        ("l.empty", False),
        ("l['1']", 4),
        ("t.toUpperCase()", "A-B"),
        ("t.toLowerCase().contains('b')", True),
        ("t.indexOf('b')", 2),
        ("t.equals('A-b')", True),
        ("t.substring(2)", "b"),
        ("t.split('-')", ["A", "b"]),
        ("t.empty", False),
        ("t.isBlank()", False),
        ("p.seconds", 90),
        ("p.toMinutes()", 1),
        ("p.toHours() + p.toDays() + p.toMillis() + p.getSeconds() + p.nano", 90090),
        ("p.zero or p.negative", False),
        ("d.year + d.monthValue + d.dayOfMonth + d.hour + d.minute + d.second", 2056),
        ("d.dayOfWeek ~ d.month ~ d.dayOfYear", "TUESDAYMARCH65"),
        ("d.getYear()", 2024),
        ("d.getDayOfWeek()", "TUESDAY"),
        ("d.epochSecond", 1709622489),
        ("true.toString()", "true"),
        ("m[k]", 1),
    ],
)
def test_a_member_has_the_value(expression: str, expected: object) -> None:
    variables: dict[str, object] = {
        "m": {"a": 1},
        "l": [3, 4],
        "t": "A-b",
        "p": timedelta(seconds=90),
        "d": datetime(2024, 3, 5, 7, 8, 9, tzinfo=UTC),
        "k": "a",
    }
    assert value(expression, **variables) == expected


def test_a_number_as_key_finds_the_keys_that_are_numbers() -> None:
    assert value("{1: 'a'}[1] ?? 'b'".replace("{1: 'a'}", "({1: 'a'})")) == "a"
    assert value("m[2] ?? 'b'", m={1: "a"}) == "b"
    assert value("m[true] ?? 'b'", m={}) == "b"
    assert value("m[n] ?? 'b'", m={"a": 1}, n=None) == "b"


def test_variables_may_be_any_mapping() -> None:
    from types import MappingProxyType

    variables = MappingProxyType({"a": MappingProxyType({"b": (1, 2)})})
    assert EXPRESSIONS.render("{{ a.b[1] }}{{ a }}", variables, World()) == '2{"b":[1,2]}'
