"""Secrets in text, and the beginnings of secrets at the end of text."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from penstock_runner.jobs.masking import MASK, Masker

VALUE = "s3cr3t/value+1"


@pytest.mark.parametrize(
    "disguise",
    [
        VALUE,
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        quote(VALUE, safe=""),
    ],
)
def test_a_secret_is_hidden_in_its_usual_forms(disguise: str) -> None:
    assert Masker([VALUE]).mask(f"<{disguise}>") == f"<{MASK}>"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_hidden_wherever_the_secret_begins(before: str, encode: object) -> None:
    text = encode(f"{before}{VALUE}zz".encode()).decode()  # type: ignore[operator]
    masked = Masker([VALUE]).mask(text)
    assert MASK in masked
    assert len(masked) < 18


def test_each_line_of_six_characters_is_a_secret_of_its_own() -> None:
    masker = Masker(["-----KEY-----\nabcdef\nxy\n"])
    assert masker.mask("it is abcdef or xy") == f"it is {MASK} or xy"


def test_a_quoted_secret_is_hidden() -> None:
    masker = Masker(['say "hi"'])
    assert masker.mask(json.dumps({"a": 'say "hi"'})) == '{"a": "' + MASK + '"}'


@pytest.mark.parametrize("value", ["", "ab", "  "])
def test_a_very_short_value_is_not_hidden_and_add_says_so(value: str) -> None:
    masker = Masker()
    assert not masker.add(value)
    assert masker.mask("cab  ") == "cab  "


def test_the_longest_secret_wins_where_two_overlap() -> None:
    assert Masker(["abc", "abcdef"]).mask("abcdef") == MASK


def test_what_may_begin_a_secret_is_held_back() -> None:
    masker = Masker(["token-1"])
    assert masker.held("the tok") == 3
    assert masker.held("nothing here ") == 0


def test_texts_inside_maps_and_lists_are_hidden() -> None:
    assert Masker(["secret"]).deep({"a": ["my secret", 1]}) == {"a": [f"my {MASK}", 1]}
