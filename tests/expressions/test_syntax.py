from __future__ import annotations

import pytest
from tests.expressions.world import EXPRESSIONS, failure, render, value

from penstock_runner.expressions.errors import ExpressionSyntax


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("'a'", "a"),
        ('"a"', "a"),
        (r"'it\'s'", "it's"),
        (r"'a\\b'", r"a\b"),
        (r"'(\d)'", r"(\d)"),
        ("1.5", 1.5),
        ("TRUE", True),
        ("NONE", None),
        ("[1, 'a', [2]]", [1, "a", [2]]),
        ("{'k': 1, \"l\": {'m': 2}}", {"k": 1, "l": {"m": 2}}),
        ("{k: 2}", {"key": 2}),
        ("({'a': 1}).a", 1),
        ("([1, 2])[1]", 2),
        ("[1,2] | length", 2),
        ("grün", "green"),
        ("{}", {}),
    ],
)
def test_a_literal_has_the_value(literal: str, expected: object) -> None:
    assert value(literal, k="key", grün="green") == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("no braces", "no braces"),
        ("a { b } c", "a { b } c"),
        ("{{ {'a': {'b': 1}}}}", '{"a":{"b":1}}'),
        ("{# gone #}x", "x"),
        ("a\n{{ 1 }}\n", "a\n1\n"),
        ("a \n {{- 1 -}} \n b", "a1b"),
        ("a \r\n {{ 1 }}\r\n", "a \r\n 1\r\n"),
        ("{% if true -%}  x{% endif %}", "x"),
        ("${{ 1 }}", "$1"),
        ("{{ null }}", ""),
        ("{{ true }} {{ 1.0 }} {{ 1e }}", None),
    ],
)
def test_text_around_prints_stays(source: str, expected: str | None) -> None:
    if expected is None:
        assert failure(source)
    else:
        assert render(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% if x == 1 %}one{% elseif x == 2 %}two{% else %}many{% endif %}", "two"),
        (
            "{% for i in l %}{{ loop.index }}{{ i }}{{ loop.last ? '.' : ',' }}{% endfor %}",
            "0a,1b.",
        ),
        ("{% for i in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in null %}x{% else %}none{% endfor %}", ""),
        ("{% for e in m %}{{ e.key }}={{ e.value }};{% endfor %}", "p=1;q=2;"),
        (
            "{% for i in l %}{{ loop.revindex }}{{ loop.first }}{{ loop.length }} {% endfor %}",
            "1true2 0false2 ",
        ),
        ("{% set y = x + 1 %}{{ y }}", "3"),
        ("{% set s = '' %}{% for i in l %}{% set s = s ~ i %}{% endfor %}{{ s }}", "ab"),
        (
            "{% macro hi(a, b='B') %}{{ a }}{{ b }}{% endmacro %}{{ hi('1') }}{{ hi('1', b='2') }}",
            "1B12",
        ),
        ("{{ hi() }}{% macro hi() %}early{% endmacro %}", "early"),
        ("{% macro c() %}{{ _context.x }}{% endmacro %}{{ c() }}", "2"),
        ("{% block b %}x{% endblock %}{{ block('b') }}", "xx"),
        ("{% filter upper | lower %}Ab{{ x }}{% endfilter %}", "ab2"),
        ("{% raw %}{{ x }}{% endraw %}{{ x }}", "{{ x }}2"),
        ("{% verbatim %}{% if %}{% endverbatim %}", "{% if %}"),
        ("{% set x = 3 %}{{ render('{{ x }}') }}", "3"),
        ("{% macro hi(a) %}{{ a }}{% endmacro hi %}[{{ hi() }}]", "[]"),
        ("{% block b %}x{% endblock b %}", "x"),
        ("{% filter replace({'a': 'b'}) | upper %}a{% endfilter %}", "B"),
        ("{{ x.toString() }}{{ m.get('p') }}{{ l.contains('a') }}", "21true"),
        (
            "{% for i in 1..2 %}{% for j in l %}{{ loop.index }}{% endfor %}"
            "{{ loop.index }}{% endfor %}",
            "010011",
        ),
    ],
)
def test_a_tag_does_its_work(source: str, expected: str) -> None:
    assert render(source, x=2, l=["a", "b"], m={"p": 1, "q": 2}) == expected


def test_a_macro_sees_only_its_arguments() -> None:
    assert "Unable to find `x`" in failure("{% macro m() %}{{ x }}{% endmacro %}{{ m() }}", x=1)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("{% if nope %}{% endif %}", "Wrong operand(s) type in conditional expression"),
        ("{% if null %}{% endif %}", "null value given to if statement"),
        ("{% for i in 5 %}{% endfor %}", "Not an iterable object. Value = [5]"),
        ("{{ foo() }}", "Function or Macro [foo] does not exist."),
        ("{% if [1] %}{% endif %}", "not a list"),
        ("{% if 1 + nope %}{% endif %}", "Could not perform addition"),
        ("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "Only 1 argument(s) are allowed"),
        ("{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "has no argument named 'b'"),
        ("{% macro m() %}{% endmacro %}{% macro m() %}{% endmacro %}", "same name: m"),
        ("{{ 'a'.split(x=1) }}", "A method takes no named arguments"),
        ("{{ 'abc'.substring(2, 1) }}", "outside a text of 3"),
        ("{{ 'abc'.startsWith(1) }}", "takes a text, not a number"),
        ("{{ 'abc'.trim(1) }}", "does not take these arguments"),
        ("{{ {[1]: 2} }}", "cannot be the key of a map"),
        ("{{ 1 | foo }}", "Filter [foo] does not exist."),
        ("{{ 1 is foo }}", "Test [foo] does not exist."),
        ("{{ 'a' | upper(1) }}", "The argument at position 1 is not allowed. Only 0 argument(s)"),
        (
            "{{ [1] | chunk(1, 2) }}",
            "The argument at position 2 is not allowed. Only 1 argument(s)",
        ),
        ("{{ [1] | chunk(wrong=1) }}", "no argument named 'wrong'"),
        ("{{ [1] | chunk }}", "expects an argument 'size'"),
        ("{{ fromJson() }}", "expects an argument 'json'"),
    ],
)
def test_what_fails_while_rendering_says_why(source: str, part: str) -> None:
    assert part in failure(source)


def test_what_does_not_exist_is_harmless_in_a_branch_that_is_not_taken() -> None:
    assert render("{{ true ? 1 : foo() }}") == "1"


@pytest.mark.parametrize(
    ("source", "line", "column", "part"),
    [
        ("{{ a b }}", 1, 6, 'Unexpected token of value "b" and type NAME'),
        ("{{ a b }}", 1, 6, "expected token of type PRINT_END"),
        ("{{ 'x' if a else 'y' }}", 1, 8, "written as `condition ? one : other`"),
        ('{{ "a #{b c" }}', 1, 4, "`#{` is not closed"),
        ('{{ "a #{b c}" }}', 1, 4, 'Unexpected token of value "c"'),
        ("{{ a.'b' }}", 1, 6, "write the key without it"),
        ("{% 5 %}", 1, 4, "expected a tag"),
        ("{% block 5 %}{% endblock %}", 1, 10, "expected the name of the block"),
        ("{% if a %}{% if b %}{% endif %}", 1, 30, "expected {% elseif %} or {% else %}"),
        ("{% set a.b = 1 %}", 1, 9, "expected token of type PUNCTUATION ="),
        ("{{ 9½ }}", 1, 4, "Invalid character in the name"),
        ("x\n\n  {{ a & b }}", 3, 8, "Unexpected character '&'"),
        ("{{ (1 }}", 1, 7, "unexpected '}', expected ')'"),
        ("{{ outputs.['x'] }}", 1, 12, "write the key without it, as in a['key']"),
        ("{{ a.0 }}", 1, 6, "write the index as in a[0]"),
        ("{{ [1,2][0] }}", 1, 9, "put the list into brackets"),
        ("{{ {'a':1}.a }}", 1, 11, "put the map into brackets"),
        ("{{ 1", 1, 4, "Unexpected end of template"),
        ("{{ }}", 1, 4, "expected an expression"),
        ("{{ | x }}", 1, 4, "expected an expression"),
        ("{% for i in l %}", 1, 15, "expected {% else %} or {% endfor %}"),
        ("{% include 'x' %}", 1, 4, 'Unexpected tag name "include"'),
        ("{% endif %}", 1, 4, "no tag is open"),
        ("{{ 1e3 }}", 1, 4, ""),
        ("{{ f(a=1, 2) }}", 1, 11, "Positional arguments must come before named ones"),
        ("{{ 99999999999999999999 }}", 1, 4, "does not fit 64 bits"),
        ("{# open", 1, 3, "Missing end of comment tag"),
    ],
)
def test_a_syntax_error_names_its_place(source: str, line: int, column: int, part: str) -> None:
    with pytest.raises(ExpressionSyntax) as caught:
        EXPRESSIONS.compile(source)
    assert (caught.value.line, caught.value.column) == (line, column), str(caught.value)
    assert part in str(caught.value)


def test_a_compiled_source_is_kept() -> None:
    assert EXPRESSIONS.compile("{{ kept }}") is EXPRESSIONS.compile("{{ kept }}")


@pytest.mark.parametrize("opening", ["(", "[", "-", "not ", "{'a':"])
def test_deep_nesting_is_an_error_and_not_a_crash(opening: str) -> None:
    assert "nested too deeply" in failure("{{ " + opening * 3000 + "1 }}")


def test_a_long_chain_is_an_error_or_a_value_and_not_a_crash() -> None:
    assert failure("{{ 1" + " + 1" * 20_000 + " }}")
