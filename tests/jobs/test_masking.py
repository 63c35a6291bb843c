"""Secrets in text, and the beginnings of secrets at the end of text."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from penstock_runner.jobs.lines import CONTINUED
from penstock_runner.jobs.logs import LogBook
from penstock_runner.jobs.masking import MASK, Masker, forms
from penstock_runner.jobs.output import JobOutput
from penstock_runner.jobs.settings import Limits

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


def test_secrets_that_overlap_leave_nothing_of_either() -> None:
    assert Masker(["abcdef", "defghi"]).mask("<abcdefghi>") == f"<{MASK}>"
    assert Masker(["abab"]).mask("ababab") == MASK


def test_many_lines_without_a_secret_are_given_back_as_they_are() -> None:
    lines = ["one", "two"]
    assert Masker(["secret"]).mask_lines(lines) is lines
    assert Masker(["secret"]).mask_lines([*lines, "a secret"]) == ["one", "two", f"a {MASK}"]


@pytest.mark.parametrize("value", ["token-1", "aab", "aaa", 'say "hi"', "x\nsecond-line"])
def test_the_longest_beginning_of_any_form_is_held_back(value: str) -> None:
    masker = Masker([value])
    for form in forms(value):
        for cut in range(1, len(form)):
            text = f"before {form[:cut]}"
            longest = max(
                n
                for n in range(len(text))
                if any(len(f) > n and f.startswith(text[len(text) - n :]) for f in forms(value))
            )
            assert masker.held(text) >= longest >= cut


def test_a_whole_secret_is_not_cut_where_its_end_may_begin_another() -> None:
    assert Masker(["abcz", "zyx"]).held("an abcz") == 4
    assert Masker(["abcz", "zyx"]).held("an abc z") == 1


class Written:
    """What a process has said, as its log keeps it."""

    def __init__(self, *secrets: str) -> None:
        self.rows: list[list[Any]] = []
        masker = Masker(secrets)
        self._log = LogBook(
            now=lambda: datetime(2026, 11, 21, tzinfo=UTC),
            masker=masker,
            emit=lambda rows, _speaker: self.rows.extend(rows),
        )
        self._output = JobOutput(
            log=self._log, masker=masker, limits=Limits(), metric=lambda *_: None
        )

    def after(self, *chunks: bytes, waits: bool = False) -> list[str]:
        for chunk in chunks:
            self._output.feed("stdout", chunk)
            if waits:
                self._output.quiet()
                self._log.flush()
        self._output.close()
        self._log.flush()
        return [row[3] for row in self.rows]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("form", forms(VALUE))
def test_a_secret_that_is_split_over_two_writes_is_hidden(form: str, waits: bool) -> None:
    line = f"it is <{form}> here\n".encode()
    for cut in range(len(line)):
        text = "".join(Written(VALUE).after(line[:cut], line[cut:], waits=waits))
        assert text == f"it is <{MASK}> here", f"cut at {cut}"


def test_a_secret_that_is_written_byte_by_byte_is_hidden() -> None:
    line = f"ünd <{VALUE}>\n".encode()
    chunks = [line[at : at + 1] for at in range(len(line))]
    assert "".join(Written(VALUE).after(*chunks, waits=True)) == f"ünd <{MASK}>"


def test_a_secret_is_hidden_at_every_place_of_a_line_that_is_cut() -> None:
    longest = Limits().line_bytes
    for place in range(longest - len(VALUE) - 1, longest + 2):
        text = "".join(Written(VALUE).after(b"x" * place + VALUE.encode() + b"y" * 50 + b"\n"))
        assert VALUE not in text.replace(CONTINUED, ""), f"at {place}"
        assert MASK in text


def test_a_secret_that_changes_its_colour_is_hidden() -> None:
    red = f"\x1b[01;31m{VALUE[:4]}\x1b[m{VALUE[4:]} and more\n".encode()
    assert Written(VALUE).after(red, b"\x1b[1mbold\x1b[m\n") == [
        f"{MASK} and more",
        "\x1b[1mbold\x1b[m",
    ]
