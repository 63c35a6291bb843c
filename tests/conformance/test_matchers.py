from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.cases import new_context
from tests.conformance.matchers import ABSENT, Matcher, typed
from tests.conformance.placeholders import Placeholders

NOW = datetime(2024, 3, 5, 12, 8, 9, 123456, tzinfo=UTC)
MATCHER = Matcher(now=NOW, read=lambda uri: b'{"a": 1}\n{"a": 2}\n')


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, 1.0),
        ("a", "a"),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"equals": {"a": 1}}, {"equals": {"a": 1}}),
        ([1, {"a": 2}], [1, {"a": 2, "c": 3}]),
        ({}, {}),
        ({"$contains": "b"}, "abc"),
        ({"$contains": ["a", "c"]}, "abc"),
        ({"$starts": "a", "$ends": "c"}, "abc"),
        ({"$regex": "a.c"}, "abc"),
        ({"$not": "x"}, "abc"),
        ({"$in": [1, 2]}, 2),
        ({"$gt": 1, "$gte": 2}, 2),
        ({"$size": 2}, [1, 2]),
        ({"$min_size": 1}, {"a": 1}),
        ({"$unordered": [2, 1]}, [1, 2]),
        ({"$all": {"$gt": 0}}, [1, 2]),
        ({"$has": [2]}, [1, 2]),
        ({"$has": 2}, [1, 2]),
        ({"$present": True}, None),
        ({"a": {"$absent": True}}, {}),
        ({"a": {"$absent_or_null": True}}, {"a": None}),
        ({"$seconds": 90}, "PT1M30S"),
        ({"$seconds": 90}, timedelta(seconds=90)),
        ({"$long": 5}, 5),
        ({"$float32": 1.123}, 1.123),
        ({"$instant": "2024-03-05T12:00:00Z"}, "2024-03-05T13:00:00+01:00"),
        ({"$duration": "PT1M"}, "PT60S"),
        ({"$file": {"lines": 2, "line0_contains": "1", "ion_lines": [{"a": 1}, {"a": 2}]}}, "u"),
        ({"$first_file": {"text": {"$contains": "2"}}}, {"x": "u"}),
        pytest.param(
            {"$datetime_within": "PT1H"}, datetime.now(UTC).isoformat(), id="a moment ago"
        ),
    ],
)
def test_a_value_matches(expected: Any, actual: Any) -> None:
    assert MATCHER.mismatch(expected, actual) is None


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, True),
        (1, "1"),
        ("a", None),
        ({}, {"a": 1}),
        ({"a": 1}, {}),
        ({"labels_exact": {"a": 1}}, {"labels_exact": {"a": 1, "b": 2}}),
        ([1], [1, 2]),
        ([1], "1"),
        ({"$contains": "x"}, "abc"),
        ({"$contains": "x"}, None),
        ({"$not": "abc"}, "abc"),
        ({"$unordered": [1, 1]}, [1, 2]),
        ({"$present": True}, ABSENT),
        ({"$datetime_within": "PT1H"}, "2001-01-01T00:00:00Z"),
        ({"$first_file": {"text": ""}}, {}),
    ],
)
def test_a_value_does_not_match(expected: Any, actual: Any) -> None:
    assert MATCHER.mismatch(expected, actual)


def test_an_unknown_matcher_is_an_error_of_the_case() -> None:
    with pytest.raises(ValueError, match="unknown matcher"):
        MATCHER.mismatch({"$nope": 1}, 1)


def test_typed_values_become_values() -> None:
    given = {"d": {"$duration": "PT5S"}, "l": [{"$set": [1]}], "u": {"$uri": "kestra:///a"}}
    assert typed(given) == {"d": timedelta(seconds=5), "l": [[1]], "u": "kestra:///a"}


def test_placeholders_are_filled(tmp_path: Path) -> None:
    context = new_context(tmp_path)
    fill = Placeholders(
        context=context, folder=tmp_path, named={"execution.id": "x1"}.get, unique="u1"
    ).fill
    assert fill("a ${execution.id} ${unique} ${nope}") == "a x1 u1 ${nope}"
    assert fill({"k": ["${repeat:ab,3}"]}) == {"k": ["ababab"]}
    assert Path(fill("${local_file:hello.txt=hello}")).read_text() == "hello"
    hour = datetime.fromisoformat(fill("${hour-now-PT1H}"))
    assert context.now - hour < timedelta(hours=2)
    assert fill("${today}") == context.now.astimezone().date().isoformat()
    assert fill("${now, second=2}")[17:19] == "02"
