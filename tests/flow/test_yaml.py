from __future__ import annotations

import pytest

from penstock_runner.flow.faults import Fault
from penstock_runner.flow.sites import templates
from penstock_runner.flow.yaml import Document, decode, load_documents


def load(text: str) -> Document:
    (document,) = load_documents(text, "f.yml")
    return document


def fault_of(text: str) -> Fault:
    (fault,) = load_documents(text, "f.yml")[-1].faults
    return fault


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("TRUE", True),
        ("y", "y"),
        ("012", 10),
        ("08", "08"),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("-7", -7),
        ("1.5", 1.5),
        ("1.5e3", 1500.0),
        ("123e4567", "123e4567"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("~", None),
        ("null", None),
        ("'yes'", "yes"),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("9" * 500, "9" * 500),
    ],
)
def test_a_scalar_means_what_the_language_says(written: str, value: object) -> None:
    assert load(f"a: {written}").data == {"a": value}


def test_keys_are_text_as_written() -> None:
    assert load("{true: 1, on: 2, 3: 4, null: 5}").data == {"true": 1, "on": 2, "3": 4, "null": 5}


def test_a_key_given_twice_names_both_places() -> None:
    fault = fault_of("a:\n  b: 1\n  b: 2\n")
    assert (fault.code, fault.line, fault.column) == ("YAML_DUPLICATE_KEY", 3, 3)
    assert "'b'" in fault.message
    assert "2:3" in fault.message


def test_merge_keys_give_what_the_map_lacks() -> None:
    document = load("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert document.data == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}
    assert document.place("/b/y").line == 1


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a:\n\t- b", "YAML_TAB", 2),
        ("a: [1\n", "YAML_SYNTAX", 2),
        ("a: **", "YAML_SYNTAX", 1),
        ("a: 1\nb: \x00", "YAML_SYNTAX", 2),
        ("a: \udcff", "YAML_SYNTAX", 1),
        ("[" * 10_000, "YAML_SYNTAX", 1),
        ("a: &a [*a]", "YAML_ALIAS_LIMIT", 1),
        ("a: &a x\nb: [" + "*a, " * 1001 + "]", "YAML_ALIAS_LIMIT", 1),
        ("a: !!python/name:os.system x", "YAML_SYNTAX", 1),
        ("a: !!python/object:os.system {}", "YAML_SYNTAX", 1),
        ("a: 1\n? [x]\n: y", "YAML_SYNTAX", 2),
        ("a: " + "x" * 2_000_000, "FILE_TOO_LARGE", 1),
        ("[" + "a," * 210_000 + "]", "YAML_SYNTAX", 1),
    ],
    ids=range(13),
)
def test_what_cannot_be_read_is_a_fault_with_a_place(text: str, code: str, line: int) -> None:
    fault = fault_of(text)
    assert fault.code == code
    assert fault.line == line
    assert fault.path == "f.yml"


def test_a_tower_of_aliases_is_refused_before_it_grows() -> None:
    floors = "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)
    )
    assert fault_of("a: &a [x]\n" + floors).code == "YAML_ALIAS_LIMIT"


def test_documents_are_split_by_the_parser_not_by_the_text() -> None:
    text = "id: a\nnote: |\n  ---\n  not a document\n---\nid: b\n--- {id: c}\n"
    documents = load_documents(text)
    assert [d.data["id"] for d in documents if isinstance(d.data, dict)] == ["a", "b", "c"]
    assert documents[0].source.endswith("not a document\n")
    assert documents[1].source == "id: b\n"
    assert documents[1].place("/id").line == 6


def test_a_broken_document_leaves_those_before_it() -> None:
    first, second = load_documents("id: a\n---\nid: [\n")
    assert first.data == {"id": "a"}
    assert second.faults[0].code == "YAML_SYNTAX"


def test_columns_count_code_points_after_a_byte_order_mark() -> None:
    text = decode('\ufeffé: {"🚀": here}'.encode(), "f.yml")
    assert isinstance(text, str)
    place = load(text).place("/é/🚀")
    assert (place.line, place.column) == (1, 10)


def test_bytes_that_are_not_utf8_are_a_fault_at_their_place() -> None:
    fault = decode(b"id: a\nx: \xff", "f.yml")
    assert isinstance(fault, Fault)
    assert (fault.line, fault.column) == (2, 4)


SCALARS = """\
literal: |
  hello
    {{ bad }}
folded: >-
  some text
  goes {{ bad }} on

  and {{ worse }}
double: "q\\n\\u00e9 {{ bad }}"
single: 'it''s {{ bad }}'
plain: one
  two {{ bad }}
"""


@pytest.mark.parametrize("name", ["literal", "folded", "double", "single", "plain"])
def test_a_place_inside_a_scalar_is_found_in_the_file(name: str) -> None:
    document = load(SCALARS)
    assert f"/{name}" in [pointer for pointer, _ in templates(document.data)]
    data = document.data
    assert isinstance(data, dict)
    value = data[name]
    assert isinstance(value, str)
    for word in ("{{ bad }}", "{{ worse }}"):
        if word in value:
            before = value[: value.index(word)]
            line = before.count("\n") + 1
            column = len(before.rpartition("\n")[2]) + 1
            place = document.place_in(f"/{name}", line, column)
            assert SCALARS.splitlines()[place.line - 1][place.column - 1 :].startswith(word)
