"""Lines that are messages."""

from __future__ import annotations

import pytest

from penstock_runner.jobs.utterances import (
    NotAMessage,
    read_command,
    read_message,
    read_output_file,
)


def test_a_line_that_is_wholly_a_message_is_read() -> None:
    assert read_message('::{"outputs": {"a": 1}}::') == {"outputs": {"a": 1}}


@pytest.mark.parametrize("line", [' ::{"a": 1}::', '::{"a": 1}:: ', "::[1]::", "plain"])
def test_anything_around_a_message_makes_it_a_plain_line(line: str) -> None:
    assert read_message(line) is None


def test_a_message_that_is_no_json_says_so() -> None:
    with pytest.raises(NotAMessage):
        read_message("::{nope}::")


def test_an_annotation_has_parameters_and_escapes() -> None:
    said = read_command("::warning file=a%3Ab.py,line=3::50%25 is%0Aenough")
    assert said is not None
    assert (said.name, said.text) == ("warning", "50% is\nenough")
    assert said.parameters == {"file": "a:b.py", "line": "3"}


def test_an_output_file_has_values_of_one_line_and_of_many() -> None:
    text = "a=1\n\nb<<END\nx=2\ny\nEND\nc=d=e\nurl=http://x/?q=<<1\n"
    assert read_output_file(text) == {
        "a": "1",
        "b": "x=2\ny",
        "c": "d=e",
        "url": "http://x/?q=<<1",
    }


@pytest.mark.parametrize("text", ["no mark", "a<<END\nx\n", "=1"])
def test_an_output_file_that_is_not_one_says_so(text: str) -> None:
    with pytest.raises(NotAMessage):
        read_output_file(text)
