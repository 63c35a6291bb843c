"""What a tree may hold: every kind of entry, through a real fetch and a real look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import EXECUTABLE, FILE, FOLDER, LINK, MODULE, Repository
from tests.sync.trees import LIMITS, Looking, looking
from tests.sync.world import flow


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Looking]:
    with looking(tmp_path) as made:
        yield made


def put(repository: Repository, *entries: tuple[bytes, int, bytes]) -> None:
    """Commit a tree of one level, names as they are."""
    made = [(name, mode, repository.blob(content)) for name, mode, content in entries]
    repository.commit_tree(repository.tree(*made))


def outside(folder: Path) -> set[str]:
    """What a look has written, but for the store, the storage and what was served."""
    kept = {"bare", "storage", "served"}
    return {path.name for path in folder.iterdir()} - kept


FLOW = flow("a").encode()


@pytest.mark.parametrize(
    "name",
    [
        b"..",
        b".",
        b".git",
        b".GIT",
        b".git. ",
        b"git~1",
        b".g\xe2\x80\x8cit",
        b".git::$INDEX_ALLOCATION",
        b"../evil.yml",
        b"a\\b.yml",
        b"a\x1bb.yml",
        b"\xff\xfe.yml",
        b"x" * 252 + b".yml",
        b"y" * 65_536,
    ],
)
def test_a_bad_name_is_an_error_of_that_entry_and_writes_nothing(
    tmp_path: Path, source: Looking, name: bytes
) -> None:
    put(source.repository, (name, FILE, FLOW), (b"good.yml", FILE, FLOW))
    assert source.flows() == ["good.yml team.a"]
    [told] = source.faults
    assert told.endswith(" BAD_PATH")
    assert told.isprintable()
    assert outside(tmp_path) == set()


def test_a_folder_named_like_gits_own_is_not_entered(source: Looking) -> None:
    repository = source.repository
    inner = repository.tree((b"a.yml", FILE, repository.blob(FLOW)))
    repository.commit_tree(repository.tree((b".Git", FOLDER, inner)))
    assert source.flows() == []
    assert source.faults == [".Git:1 BAD_PATH"]


def test_bad_names_outside_the_path_are_nobodys_business(source: Looking) -> None:
    repository = source.repository
    blob = repository.blob(FLOW)
    inner = repository.tree((b"a.yml", FILE, blob))
    repository.commit_tree(repository.tree((b"..", FILE, blob), (b"flows", FOLDER, inner)))
    assert source.flows(path="flows") == ["flows/a.yml team.a"]
    assert source.faults == []


def test_a_path_longer_than_1024_bytes_is_an_error(source: Looking) -> None:
    repository = source.repository
    at = repository.tree((b"a.yml", FILE, repository.blob(FLOW)))
    for _ in range(6):
        at = repository.tree((b"d" * 200, FOLDER, at))
    repository.commit_tree(at)
    assert source.flows() == []
    assert [told.rpartition(" ")[2] for told in source.faults] == ["BAD_PATH"]


def test_executable_flows_are_flows_and_other_modes_errors(source: Looking) -> None:
    put(source.repository, (b"a.yml", EXECUTABLE, FLOW), (b"odd.yml", 0o060644, FLOW))
    assert source.flows() == ["a.yml team.a"]
    assert source.faults == ["odd.yml:1 BAD_PATH"]


def test_a_symlink_to_a_secret_of_the_machine_is_never_in_a_flow_or_file(
    tmp_path: Path, source: Looking
) -> None:
    (tmp_path / "secret").write_text(flow("stolen"))
    target = str(tmp_path / "secret").encode()
    put(source.repository, (b"a.yml", LINK, target), (b"b.yml", LINK, b"/etc/passwd"))
    for symlinks in ("skip", "inside"):
        assert source.flows(symlinks=symlinks) == []
        assert source.faults == ["a.yml:1 SYMLINK_SKIPPED", "b.yml:1 SYMLINK_SKIPPED"]
        assert "stolen" not in str(source.answer)


def test_symlinks_inside_the_tree_are_read_when_that_is_asked_for(source: Looking) -> None:
    put(
        source.repository,
        (b"1.yml", LINK, b"2.yml"),
        (b"2.yml", LINK, b"./x/../real.txt"),
        (b"loop.yml", LINK, b"loop.yml"),
        (b"out.yml", LINK, b"../real.txt"),
        (b"real.txt", FILE, FLOW),
    )
    assert source.flows() == []
    assert source.flows(symlinks="inside", include=["1.yml"]) == ["1.yml team.a"]
    source.look(symlinks="inside")
    assert source.faults == ["loop.yml:1 SYMLINK_SKIPPED", "out.yml:1 SYMLINK_SKIPPED"]


def test_a_chain_of_more_than_five_symlinks_is_not_followed(source: Looking) -> None:
    chain = [(b"%d.yml" % n, LINK, b"%d.yml" % (n + 1)) for n in range(6)]
    put(source.repository, *chain, (b"6.yml", FILE, FLOW))
    names = [name.partition(" ")[0] for name in source.flows(symlinks="inside")]
    assert names == ["1.yml", "2.yml", "3.yml", "4.yml", "5.yml", "6.yml"]
    assert source.faults == ["0.yml:1 SYMLINK_SKIPPED"]


def test_a_submodule_is_told_and_not_read(source: Looking) -> None:
    put(source.repository, (b"a.yml", FILE, FLOW), (b"sub", MODULE, b"x"))
    assert source.flows() == ["a.yml team.a"]
    assert source.faults == ["sub:1 SUBMODULE_SKIPPED"]


def test_an_lfs_pointer_a_wrong_encoding_and_a_large_file_are_errors(source: Looking) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    put(
        source.repository,
        (b"big.yml", FILE, FLOW + b"#" * (1 << 20)),
        (b"latin.yml", FILE, b"id: a\nname: \xe9\n"),
        (b"lfs.yml", FILE, pointer),
    )
    assert source.flows() == []
    assert source.faults == [
        "big.yml:1 FILE_TOO_BIG",
        "latin.yml:2 NOT_UTF8",
        "lfs.yml:1 LFS_POINTER",
    ]


def test_a_file_over_the_blob_limit_is_an_error_that_names_it(source: Looking) -> None:
    put(source.repository, (b"big.yml", FILE, b"#" * 200_000), (b"good.yml", FILE, FLOW))
    limits = {**LIMITS, "blob_bytes": 100_000}
    assert source.flows(limits=limits) == ["good.yml team.a"]
    assert source.faults == ["big.yml:1 FILE_TOO_BIG"]


def test_too_many_files_are_not_read_at_all(source: Looking) -> None:
    source.repository.commit({f"{n}.yml": flow(f"f{n}") for n in range(4)})
    found = source.look(limits={**LIMITS, "files": 3})
    assert (found["type"], found["code"]) == ("failed", "GIT_TOO_BIG")


def test_a_tree_of_more_than_100_000_entries_is_not_walked_to_its_end(source: Looking) -> None:
    repository = source.repository
    blob = repository.blob(b"x")
    entries = [(b"%06d" % number, FILE, blob) for number in range(100_001)]
    repository.commit_tree(repository.tree(*entries))
    found = source.look()
    assert (found["type"], found["code"]) == ("failed", "GIT_TOO_BIG")
    assert "Set `path`" in found["message"]


def test_aliases_that_grow_without_end_are_an_error_of_the_file(source: Looking) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    source.repository.commit({"bomb.yml": "\n".join(rows), "good.yml": flow("a")})
    assert source.flows() == ["good.yml team.a"]
    assert [told.rpartition(" ")[2] for told in source.faults] == ["YAML_ALIAS_LIMIT"]


def test_ignore_files_leave_files_out_with_the_rules_of_git(source: Looking) -> None:
    source.repository.commit(
        {
            ".penstockignore": "build/\n*.tmp.yml\n!keep.tmp.yml\n",
            ".kestraignore": "/top.yml\n\\#odd.yml\n# a comment\n",
            "build/deep/a.yml": flow("built"),
            "b.tmp.yml": flow("b"),
            "keep.tmp.yml": flow("kept"),
            "top.yml": flow("top"),
            "in/top.yml": flow("inner"),
            "#odd.yml": flow("odd"),
        }
    )
    assert source.flows() == ["keep.tmp.yml team.kept", "in/top.yml team.inner"]


def test_include_and_exclude_are_relative_to_the_path_and_exclude_wins(source: Looking) -> None:
    source.repository.commit(
        {"flows/a.yml": flow("a"), "flows/old/b.yml": flow("b"), "c.yml": flow("c")}
    )
    assert source.flows(path="flows", exclude=["old/**"]) == ["flows/a.yml team.a"]
    assert source.flows(path="flows", include=["old/*"]) == ["flows/old/b.yml team.b"]


def test_several_documents_are_split_by_the_parser_and_counted(source: Looking) -> None:
    log = "tasks:\n  - {id: t, type: io.kestra.plugin.core.log.Log, message: m}\n"
    block = f"id: a\nnamespace: team\ndescription: |\n  ---\n  no separator\n{log}"
    source.repository.commit({"two.yml": f"{block}---\nid: b\nnamespace: team\n{log}"})
    assert source.flows() == ["two.yml#1 team.a", "two.yml#2 team.b"]


def test_a_fault_of_a_later_document_has_its_line_in_the_file(source: Looking) -> None:
    second = flow("b").replace("core.log.Log", "core.log.Logg")
    source.repository.commit({"two.yml": f"# first\n{flow('a')}---\n{second}"})
    source.look()
    assert source.faults == ["two.yml:13 UNKNOWN_TASK_TYPE"]


def test_yaml_that_is_no_flow_is_noted_and_half_a_flow_is_an_error(source: Looking) -> None:
    source.repository.commit(
        {
            "compose.yml": "services: {web: {image: nginx}}\n",
            "half.yml": "namespace: team\ntasks: []\n",
            "suite.yml": "id: s\nflowId: a\nnamespace: team\ntestCases: []\n",
        }
    )
    source.look(tests=False)
    codes = [told.rpartition(" ")[2] for told in source.faults]
    assert codes == ["NO_FLOW", "MISSING_PROPERTY", "TEST_SKIPPED"]
