"""Whatever a template holds, rendering gives a text or `ExpressionFailed`, soon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.expressions.world import World

from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed, ExpressionSyntax
from penstock_runner.expressions.filters.table import filters
from penstock_runner.expressions.findings import examine
from penstock_runner.expressions.functions.table import functions

VARIABLES: dict[str, object] = {
    "a": {"b": [1, 2.5, None, "x"], "c": {"d": True}},
    "l": [3, 1, 2],
    "t": "text, a longer one\r\nwith lines",
    "n": None,
    "i": 7,
    "d": datetime(2024, 3, 5, tzinfo=UTC),
    "p": timedelta(minutes=5),
    "r": "{{ t }}{{ r }}",
}
_PIECES = """{{ }} {% %} {# #} {{- -}} {%- -%} ( ) [ ] { } . .. , : | ? ?? ??? ~ + - * / %
== != > < = a l t n i d p r b c nope loop if elseif else endif for in endfor set macro endmacro
block endblock filter endfilter raw endraw verbatim is not and or contains defined null true 0 1
99999 9223372036854775807 1.5 'x' "y" "#{i}" '#{' \\ ' " $ # é"""
PIECES = st.sampled_from([*re.findall(r"\S+", _PIECES), "\r", "\n", "\x1c", "\x00", "\U0001d4b3"])
NAMES = st.sampled_from(sorted(filters()))
CALLED = st.sampled_from(sorted(functions()))
ATOMS = st.sampled_from(
    [
        "a",
        "a.b",
        "a.b[0]",
        "a['c']",
        "l",
        "t",
        "n",
        "i",
        "d",
        "p",
        "r",
        "nope",
        "1",
        "-3",
        "2.5",
        "'yyyy'",
        "'.a'",
        "'DAYS'",
        "''",
        "'('",
        "99999999999",
        "true",
        "null",
        "[1, 'a']",
        "{'a': 1}",
        "1..5",
        "'é\\'s'",
    ]
)
OPERATORS = st.sampled_from(
    re.findall(r"\S+", "+ - * / % ~ == != > < >= <= and or ?? ??? .. contains in")
)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    """Expressions that parse, with any filter, function and operator."""
    if depth == 0:
        return draw(ATOMS)
    inner = expressions(depth=depth - 1)
    match draw(st.integers(0, 6)):
        case 0:
            args = ", ".join(draw(st.lists(inner, max_size=3)))
            return f"({draw(inner)}) | {draw(NAMES)}" + (f"({args})" if args else "")
        case 1:
            return f"{draw(CALLED)}({', '.join(draw(st.lists(inner, max_size=3)))})"
        case 2:
            return f"({draw(inner)} {draw(OPERATORS)} {draw(inner)})"
        case 3:
            return f"({draw(inner)} ? {draw(inner)} : {draw(inner)})"
        case 4:
            return f"({draw(inner)})[{draw(inner)}]"
        case 5:
            return f"(not {draw(inner)} is {draw(st.sampled_from(['empty', 'even', 'defined']))})"
        case _:
            return draw(ATOMS)


def attempt(source: str, *, recursive: bool = False) -> None:
    expressions = Expressions(recursive=recursive)
    told = examine(source)
    assert told is not None
    assert all(0 <= finding.offset <= len(source) and finding.message for finding in told.found)
    broken = [finding.message for finding in told.found if finding.code == "EXPRESSION_SYNTAX"]
    assert broken == refused(expressions, source)
    with tolerated():
        assert isinstance(expressions.render(source, VARIABLES, World()), str)
    with tolerated():
        expressions.render_typed(source, VARIABLES, World())


def refused(expressions: Expressions, source: str) -> list[str]:
    """What compiling has against a source."""
    try:
        expressions.compile(source)
    except ExpressionSyntax as error:
        return [error.message]
    return []


@contextmanager
def tolerated() -> Iterator[None]:
    """The one exception that rendering may raise, with its place."""
    try:
        yield
    except ExpressionFailed as error:
        complaint = str(error)
        place = (error.line, error.column) if isinstance(error, ExpressionSyntax) else (1, 1)
        if not complaint or min(place) < 1:
            raise AssertionError(f"{complaint!r} at {place}") from error


@given(st.lists(PIECES, max_size=25), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_pieces_are_a_text_or_an_error(pieces: list[str], recursive: bool) -> None:
    attempt(" ".join(pieces), recursive=recursive)


@given(st.lists(PIECES, max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_pieces_in_braces_are_a_text_or_an_error(pieces: list[str]) -> None:
    attempt("{{" + " ".join(pieces) + "}}")


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_in_braces_is_a_text_or_an_error(text: str) -> None:
    attempt("{{" + text + "}}")
    attempt("{%" + text + "%}")


@given(expressions())
@settings(max_examples=400, deadline=None)
def test_any_expression_is_a_text_or_an_error(expression: str) -> None:
    attempt("{{ " + expression + " }}")
