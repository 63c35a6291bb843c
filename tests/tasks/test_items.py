"""Item files are read as JSON lines and as text Ion, and written as JSON lines."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_runner.tasks.ion import BadItem, read_value
from penstock_runner.tasks.items import read_items, write_item, write_items


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{key: "k1", value: null}', {"key": "k1", "value": None}),
        ("{'odd key': 1, \"quoted\": 2,}", {"odd key": 1, "quoted": 2}),
        ("[1, -2, 1_000, 0x1F, 0b11]", [1, -2, 1000, 31, 3]),
        ("(a b 1)", ["a", "b", 1]),
        ("[1.5, 1d2, -1.5e1, 2.]", [1.5, 100.0, -15.0, 2.0]),
        ("[true, false, null, null.string, +inf]", [True, False, None, None, float("inf")]),
        ("symbol", "symbol"),
        ("'a symbol'", "a symbol"),
        ('"a\\n\\u00e9\\x41\\"\\/"', 'a\né\x41"/'),
        ("'''one ''' '''two'''", "one two"),
        ("note::{a: 1}", {"a": 1}),
        ("2024-01-02", date(2024, 1, 2)),
        ("2024T", date(2024, 1, 1)),
        ("2024-01-02T03:04Z", datetime(2024, 1, 2, 3, 4, tzinfo=UTC)),
        (
            "{at: 2024-01-02T03:04:05.678+01:00}",
            {"at": datetime.fromisoformat("2024-01-02T03:04:05.678+01:00")},
        ),
        ("{a: {b: [{c: 1}]}}", {"a": {"b": [{"c": 1}]}}),
    ],
)
def test_text_ion_is_read(text: str, expected: object) -> None:
    assert read_value(text) == expected


@pytest.mark.parametrize("text", ["{a: 1", "{a 1}", "[1 2]", "1 2", "}", "", "@", "{1: 2}"])
def test_what_is_neither_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(BadItem, match="line 7, column"):
        read_value(text, 7)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 6000,
        "{a: 2026-99-99}",
        "[2026-01-01T99:00:00Z]",
        r'"\UFFFFFFFF"',
        r'{"\UFFFFFFFF": 1}',
    ],
)
def test_a_value_that_does_not_exist_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(BadItem, match=r"^line 3, column .* is no value$"):
        read_value(text, 3)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(BadItem, match="nested too deeply"):
        read_value("[" * 5000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(JSON))
def test_what_is_written_is_read_back(values: list[object]) -> None:
    stream = io.BytesIO()
    assert write_items(stream, values) == len(values)
    stream.seek(0)
    assert list(read_items(stream)) == values


@given(JSON)
def test_text_ion_reads_all_json(value: object) -> None:
    assert read_value(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (Decimal("12.30"), b"12.3"),
        (Decimal(10), b"10"),
        (Decimal("0.12345678901234567890"), b'"0.12345678901234567890"'),
        (Decimal("NaN"), b'"NaN"'),
        (2**70, b'"1180591620717411303424"'),
        ({"n": [2**70]}, b'{"n":["1180591620717411303424"]}'),
        (timedelta(minutes=5), b'"PT5M"'),
        (datetime(2024, 1, 2, tzinfo=UTC), b'"2024-01-02T00:00:00Z"'),
        ({1: "é"}, '{"1":"é"}'.encode()),
    ],
)
def test_values_of_python_have_a_plain_form(value: object, line: bytes) -> None:
    assert write_item(value) == line + b"\n"
