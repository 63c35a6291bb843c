"""`[[> file]]`: other files of the source inside a flow, through a real look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sync.trees import Looking, looking
from tests.sync.world import World, flow

SCRIPT = """id: a
namespace: team
tasks:
  - id: run
    type: io.kestra.plugin.core.log.Log
    message: |
      [[> ../scripts/hello.sh]]
      end
"""


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Looking]:
    with looking(tmp_path) as made:
        yield made


def test_a_file_is_put_in_with_the_indentation_of_its_place(source: Looking) -> None:
    source.repository.commit({"flows/a.yml": SCRIPT, "scripts/hello.sh": "echo 1\necho 2\n"})
    assert source.flows() == ["flows/a.yml team.a"]
    assert source.text("a") == SCRIPT.replace("[[> ../scripts/hello.sh]]", "echo 1\n      echo 2")
    assert source.answer["files"][0]["includes"] == ["scripts/hello.sh"]


def test_one_line_stands_inside_a_line_and_a_backslash_keeps_the_text(source: Looking) -> None:
    text = flow("a").replace("message: hello", 'message: "<[[> one.txt]]> \\[[> two.txt]]"')
    source.repository.commit({"a.yml": text, "one.txt": "1\n"})
    assert source.flows() == ["a.yml team.a"]
    assert 'message: "<1> [[> two.txt]]"' in source.text("a")


def test_included_files_include_others_relative_to_themselves(source: Looking) -> None:
    text = flow("a").replace("message: hello", "message: [[> parts/first.txt]]")
    source.repository.commit(
        {"a.yml": text, "parts/first.txt": "say [[> second.txt]]", "parts/second.txt": "hi"}
    )
    source.look()
    assert "message: say hi" in source.text("a")
    assert source.answer["files"][0]["includes"] == ["parts/first.txt", "parts/second.txt"]


def test_a_fault_inside_an_include_is_told_at_the_line_of_the_included_file(
    source: Looking,
) -> None:
    tasks = "# tasks\n- id: t\n  type: io.kestra.plugin.core.log.Logg\n  message: m\n"
    text = "id: a\nnamespace: team\ntasks:\n  [[> tasks.txt]]\nlabels: {a: b}\nnosuch: 1\n"
    source.repository.commit({"flows/a.yml": text, "flows/tasks.txt": tasks})
    source.look(path="flows")
    assert sorted(source.faults) == [
        "flows/a.yml:6 UNKNOWN_PROPERTY",
        "flows/tasks.txt:3 UNKNOWN_TASK_TYPE",
    ]
    [inside] = [one for one in source.answer["files"][0]["faults"] if one["line"] == 3]
    assert inside["column"] == 9


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"a.yml": "x: [[> ../../etc/passwd]]"}, "a.yml:1 INCLUDE_OUTSIDE"),
        ({"a.yml": "x: 1\ny: [[> /etc/passwd]]"}, "a.yml:2 INCLUDE_OUTSIDE"),
        ({"a.yml": "x: [[> no.txt]]"}, "a.yml:1 INCLUDE_NOT_FOUND"),
        ({"a.yml": "x: [[> a.yml]]"}, "a.yml:1 INCLUDE_CYCLE"),
        ({"a.yml": "x: [[> b.txt]]", "b.txt": "1\n[[> a.yml]]"}, "b.txt:2 INCLUDE_CYCLE"),
        (
            {"a.yml": "[[> 0]]"} | {str(n): f"[[> {n + 1}]]" for n in range(12)},
            "9:1 INCLUDE_TOO_DEEP",
        ),
        (
            {"a.yml": "[[> 0]]"} | {str(n): f"[[> {n + 1}]]\n" * 30 for n in range(8)} | {"8": "x"},
            "FILE_TOO_BIG",
        ),
    ],
)
def test_includes_that_lead_astray_are_errors_at_their_place(
    source: Looking, files: dict[str, str], told: str
) -> None:
    source.repository.commit(files)
    assert source.flows() == []
    assert len(source.faults) == 1
    assert told in source.faults[0]


def test_an_included_link_is_not_followed_out_of_the_tree(source: Looking) -> None:
    repository = source.repository
    text = flow("a").replace("message: hello", "message: [[> l]]")
    tree = repository.tree(
        (b"a.yml", 0o100644, repository.blob(text.encode())),
        (b"l", 0o120000, repository.blob(b"/etc/passwd")),
    )
    repository.commit_tree(tree)
    source.look()
    assert "INCLUDE_NOT_FOUND" in source.faults[0]


def test_a_changed_include_makes_a_new_revision_of_an_unchanged_file(tmp_path: Path) -> None:
    with looking(tmp_path) as source:
        world = World(tmp_path, url=source.url, allowHttp=True)
        source.repository.commit({"flows/a.yml": SCRIPT, "scripts/hello.sh": "echo 1"})
        world.sync()
        source.repository.commit({"scripts/hello.sh": "echo 2"})
        assert world.sync()["counts"] == {"updated": 1}
        assert "echo 2" in world.text("a")
        world.close()
