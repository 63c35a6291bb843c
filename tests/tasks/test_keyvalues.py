"""The rules of the key-value store."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.keyvalues import (
    check_key,
    check_namespace,
    expired,
    make_entry,
    read_text,
    typed_value,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ISO = "2023-05-02T01:02:03Z"
MOMENT = datetime(2023, 5, 2, 1, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("key", ["a", "AN_UPPER.CASE-key", "0x"])
def test_good_keys_are_taken(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["a/b", ".a", "-a", "a b", "ä", "a\n"])
def test_bad_keys_are_refused(key: str) -> None:
    with pytest.raises(TaskFailed, match="Key must start with an alphanumeric character"):
        check_key(key)


@pytest.mark.parametrize("key", ["", None])
def test_an_empty_key_is_refused(key: str | None) -> None:
    with pytest.raises(TaskFailed, match="Key cannot be null or empty"):
        check_key(key)


@pytest.mark.parametrize(
    ("value", "kind", "stored", "type_", "typed"),
    [
        ("text", None, "text", "STRING", "text"),
        (1, None, 1, "NUMBER", 1),
        (True, None, True, "BOOLEAN", True),
        ("123.45", "NUMBER", 123.45, "NUMBER", 123.45),
        ("TRUE", "BOOLEAN", True, "BOOLEAN", True),
        ("123", "STRING", "123", "STRING", "123"),
        ("2023-05-02T01:02:03Z", "DATETIME", "2023-05-02T01:02:03Z", "DATETIME", MOMENT),
        ("2023-05-02", "DATE", "2023-05-02", "DATE", date(2023, 5, 2)),
        ("PT5M", "DURATION", "PT5M", "DURATION", timedelta(minutes=5)),
        ("PT5M", None, "PT5M", "DURATION", timedelta(minutes=5)),
        ("P1Y", None, "P1Y", "STRING", "P1Y"),
        ('{"a": [1]}', "JSON", {"a": [1]}, "JSON", {"a": [1]}),
        ({"at": MOMENT}, None, {"at": ISO}, "JSON", {"at": ISO}),
        (None, None, None, "JSON", None),
        (5, "STRING", 5, "NUMBER", 5),
    ],
)  # fmt: skip
def test_a_value_has_a_type(
    value: object, kind: str | None, stored: object, type_: str, typed: object
) -> None:
    entry = make_entry("k", value, kind, None, NOON, None)
    assert (entry.value, entry.type, typed_value(entry)) == (stored, type_, typed)


@pytest.mark.parametrize(("value", "kind"), [("x", "NUMBER"), ("true", "NUMBER"), ("x", "DATE")])
def test_a_text_that_does_not_fit_its_type_is_refused(value: str, kind: str) -> None:
    with pytest.raises(TaskFailed, match=f"Cannot read the value as {kind}"):
        make_entry("k", value, kind, None, NOON, None)


def test_a_time_to_live_ends_a_value() -> None:
    entry = make_entry("k", 1, None, timedelta(minutes=5), NOON, None)
    assert not expired(entry, NOON)
    assert expired(entry, NOON + timedelta(minutes=5))
    with pytest.raises(TaskFailed, match="ttl cannot be negative"):
        make_entry("k", 1, None, timedelta(seconds=-1), NOON, None)
    with pytest.raises(TaskFailed, match="ttl is too long"):
        make_entry("k", 1, None, timedelta(days=3_000_000), NOON, None)


def test_a_second_write_keeps_the_first_date_unless_the_value_had_ended() -> None:
    first = make_entry("k", 1, None, timedelta(minutes=5), NOON, None)
    later = NOON + timedelta(minutes=1)
    assert make_entry("k", 2, None, None, later, first).created == NOON
    much_later = NOON + timedelta(hours=1)
    assert make_entry("k", 2, None, None, much_later, first).created == much_later


@pytest.mark.parametrize(
    ("namespace", "caller"),
    [("io.own", "io.own"), ("io", "io.own"), ("io.other", "io.own"), ("io.other", None)],
)
def test_own_namespaces_and_those_that_exist_are_open(namespace: str, caller: str | None) -> None:
    assert check_namespace(namespace, caller, ["io.other.deep"]) == namespace


def test_a_namespace_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TaskFailed, match=r"The namespace 'io\.own\.x' does not exist"):
        check_namespace("io.own.x", "io.own", ["io.own.xy"])


def test_a_request_body_says_what_the_value_is() -> None:
    assert read_text('"text"') == "text"
    assert read_text("{}") == {}
    assert read_text("2024-01-01") == date(2024, 1, 1)
    assert read_text("2024-01-01T00:00:00Z") == datetime(2024, 1, 1, tzinfo=UTC)
    with pytest.raises(TaskFailed, match="put a text into quotes"):
        read_text("text")
