from __future__ import annotations

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
    ],
)
def test_a_near_miss_is_named_with_the_right_spelling(source: str, hint: str) -> None:
    variables = {"inputs": {"name": 1}, "outputs": {"my-task": {"uri": "u"}}, "task": {"uri": 1}}
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


def test_variables_may_be_any_mapping() -> None:
    from types import MappingProxyType

    variables = MappingProxyType({"a": MappingProxyType({"b": (1, 2)})})
    assert EXPRESSIONS.render("{{ a.b[1] }}{{ a }}", variables, World()) == '2{"b":[1,2]}'
