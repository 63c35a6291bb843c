"""Bytes to lines."""

from __future__ import annotations

import pytest

from penstock_runner.jobs.lines import CONTINUED, LineCutter, tidy
from penstock_runner.jobs.masking import Masker


def cutter(longest: int = 10, masker: Masker | None = None) -> LineCutter:
    return LineCutter(longest=longest, held=(masker or Masker()).held)


def test_lines_come_out_when_they_are_whole() -> None:
    lines = cutter(100)
    assert lines.feed(b"one\ntw") == ["one"]
    assert lines.feed(b"o\nthree") == ["two"]
    assert lines.close() == ["three"]


def test_a_character_in_two_chunks_is_one_character() -> None:
    lines = cutter(100)
    assert lines.feed(b"\xc3") == []
    assert lines.feed(b"\xa4\n") == ["\xe4"]


def test_a_line_that_does_not_end_is_shown_in_parts() -> None:
    lines = cutter(10)
    assert lines.feed(b"x" * 25) == ["x" * 10 + CONTINUED] * 2
    assert lines.close() == ["xxxxx"]


def test_a_part_never_ends_inside_a_secret() -> None:
    lines = cutter(10, Masker(["secret"]))
    assert lines.feed(b"1234567secret and more\n") == [
        "1234567" + CONTINUED,
        "secret and" + CONTINUED,
        " more",
    ]


def test_a_prompt_is_shown_when_all_is_quiet_but_a_protocol_line_is_not() -> None:
    lines = cutter(100)
    lines.feed(b"continue? ")
    assert lines.quiet() == ["continue? "]
    lines.feed(b'::{"outputs"')
    assert lines.quiet() == []
    assert lines.feed(b":{}}::\n") == ['::{"outputs":{}}::']


def test_a_long_protocol_line_stays_whole() -> None:
    line = '::{"outputs":{"a":"' + "x" * 500 + '"}}::'
    lines = cutter(10)
    assert lines.feed(line[:100].encode()) == []
    assert lines.feed(line[100:].encode() + b"\n") == [line]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("10%\r100%", "100%"),
        ("done\r", "done"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[2Kcleared\x1b[1A", "cleared"),
        ("\x1b]0;title\x07text", "text"),
        ("a\0b", "a\ufffdb"),
        ("section_start:1:build\r\x1b[0KBuild", "section_start:1:build\rBuild"),
    ],
)
def test_a_line_is_tidied(raw: str, shown: str) -> None:
    assert tidy(raw) == shown
