from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from tests.expressions.world import failure, value

VARIABLES: dict[str, object] = {
    "a": {"b": 1, "n": None, "t": "text"},
    "l": [1, 2, 3],
    "one": 1,
    "half": 0.5,
    "word": "word",
    "nothing": None,
    "yes": True,
    "no": False,
    "organization": "acme",
    "soon": datetime(2030, 1, 1, tzinfo=UTC),
    "big": 10**400,
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("7 - 2 - 1", 4),
        ("5 / 2", 2),
        ("-5 / 2", -2),
        ("5 / 2.0", 2.5),
        ("-5 % 3", -2),
        ("5.5 % 2", 1.5),
        ("10L + 1", 11),
        ("'a' ~ 'b' | upper", "AB"),
        ("nope ?? 'b' | upper", "B"),
        ("l | length > 2", True),
        ("1 + 'a' ~ 'b'", "1ab"),
        ("1 + word | length", 5),
        ("nope ?? yes ? 'c' : 'd'", "c"),
        ("nope ?? 1 + 2", 3),
        ("one + 1 is odd", False),
        ("word | upper ?? 'x'", "WORD"),
        ("word | upper ~ 'q'", "WORDq"),
        ("0..(3-1)", [0, 1, 2]),
        ("0..3-1", [0, 2, 3]),
        ("'a'..'e'", ["a", "b", "c", "d", "e"]),
        ("3..1", []),
        ("not no and yes", True),
        ("not (one == 2)", True),
        ("-one", -1),
        ("-one + 3", 2),
        ("+one", 1),
        ("--one", 1),
        ("organization", "acme"),
        ("'a' + null", "anull"),
        ("1 + '2' + 3", "123"),
        ("l + 4", [1, 2, 3, 4]),
        ("l + [4, 5]", [1, 2, 3, 4, 5]),
        ("l - 2", [1, 3]),
        ("l - [1, 2]", [3]),
        ("'x' ~ nothing ~ 1.0", "x1.0"),
        ("'' ~ {'a': [1, null]}", "{a=[1, null]}"),
        ("'' ~ l", "[1, 2, 3]"),
        ("one == 1.0", True),
        ("1.0 / 0", math.inf),
        ("-1.0 / 0 < 0", True),
        ("0.0 / 0 == 0", False),
        ("(1.0 % 0) == 0", False),
        ("-(0.5)", -0.5),
        ("l - 9", [1, 2, 3]),
        ("{'a': 1} == {'a': 1.0}", True),
        ("{'a': 1} == {'b': 1}", False),
        ("l == [1, 2]", False),
        ("one is null", False),
        ("nothing is null and nothing is empty", True),
        ("'' is empty and [] is empty and {} is empty", True),
        ("0 is empty", False),
        ("2 is even and 3 is odd", True),
        ("l is iterable and not (a is iterable)", True),
        ("a is map and l is not map", True),
        ("'{}' is json and '{' is not json and 1 is not json", True),
        ("word is string", True),
        ("1 is equalTo(1.0)", True),
        ("'1' == 1", False),
        ("yes == 1", False),
        ("one equals 1", True),
        ("one != 2", True),
        ("l == [1, 2.0, 3]", True),
        ("nothing > 1", False),
        ("'a' < 'b'", True),
        ("half >= 0.5", True),
        ("l contains 3", True),
        ("l contains [1, 3]", True),
        ("l contains [1, 9]", False),
        ("[{'a': 1}, [2]] contains [[2], {'a': 1.0}]", True),
        ("[true] contains [1]", False),
        ("[1, {'a': 1}] - [{'a': 1}]", [1]),
        ("(1..90000) contains (1..90000)", True),
        ("a contains 'b'", True),
        ("word contains 'or'", True),
        ("nothing contains 1", False),
        ("2 in l", True),
        ("9 not in l", True),
        ("'or' in word", True),
        ("no or yes", True),
        ("no and nope", False),
        ("yes or nope", True),
        ("'false' ? 1 : 2", 1),
        ("'' ? 1 : 2", 2),
        ("nothing ? 1 : 2", 2),
        ("0 ? 1 : 2", 2),
        ("no ? 1 : yes ? 2 : 3", 2),
        ("a.n ?? 'd'", "d"),
        ("a.n ??? 'd'", None),
        ("a.zz ??? 'd'", "d"),
        ("a.zz.yy['q'] ?? a.t", "text"),
        ("a.zz ?? a.n ?? 'e'", "e"),
        ("'p' ~ a.zz ?? 'x'", "px"),
        ("a.zz | upper ?? 'x'", "x"),
        ("l[9] ?? 'none'", "none"),
        ("(nope ?? 0) + 1", 1),
        ("-nope ?? 5", 5),
        ("(nope ? 1 : 2) ?? 'x'", "x"),
        ("[nope] ?? 'x'", "x"),
        ("fromJson(nope) ?? 'x'", "x"),
        ("\"a #{word} #{a['b']} c\"", "a word 1 c"),
    ],
)
def test_an_expression_has_the_value(expression: str, expected: object) -> None:
    result = value(expression, **VARIABLES)
    assert result == expected
    assert isinstance(result, bool) == isinstance(expected, bool)


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("nope == 1", "Could not perform equals comparison"),
        ("(nope + 1) ?? 'x'", "Could not perform addition"),
        ("1 + nothing", "invalid operands for mathematical operation [ADD]"),
        ("yes * 2", "Could not perform multiplication"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("'a' > 1", "Could not perform greater than comparison"),
        ("9223372036854775807 + 1", "does not fit 64 bits"),
        ("not nothing", "null value given to not() and strict variables is set to true"),
        ("nothing and yes", "null value used in and operator and strict variables is set to true"),
        ("no or nothing", "null value used in and operator"),
        ("not l contains 2", "must be a boolean"),
        ("one contains 1", "Contains operator can only be used on Collections"),
        ("-word", "minus sign"),
        ("+word", "plus sign"),
        ("{} - 1", "[SUBTRACT]"),
        ("'a' / 2", "[DIVIDE]"),
        ("null % 2", "[MODULUS]"),
        ("l ? 1 : 2", "not a list"),
        ("(1..3)[nope]", "Unable to find `nope`"),
        ("yes > 1", "invalid operands for mathematical comparison"),
        ("soon > yes", "invalid operands for mathematical comparison"),
        ("1.5 + big", "a number is too large"),
        ("1 is even('x')", "Only 0 argument(s)"),
        ("1.5 is even", "takes a whole number"),
        ("null is odd", "takes a whole number"),
        ("nope is empty", "Unable to find `nope`"),
        ("1..999999", "The range has more than"),
        ("((1..3000) | chunk(1)) contains ((1..3000) | chunk(1))", "would have to be compared"),
        ("1..'b'", "A range needs"),
    ],
)
def test_an_expression_fails_with_a_message(expression: str, part: str) -> None:
    assert part in failure("{{ " + expression + " }}", **VARIABLES)


def test_arithmetic_leaves_the_lists_it_is_given_alone() -> None:
    given = [1, 2]
    value("l + 3", l=given)
    value("l - 1", l=given)
    assert given == [1, 2]


def test_dates_compare_with_dates_and_iso_texts() -> None:
    early = datetime(2024, 1, 1, tzinfo=UTC)
    assert value("early < '2024-01-02'", early=early) is True
    assert value("early > '2024-01-02T00:00:00Z'", early=early) is False
    assert value("short < long", short=timedelta(1), long=timedelta(2)) is True
