from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import EXECUTABLE, FILE, FOLDER, LINK, MODULE, Repository

from penstock_runner.git.checkout import TargetNotEmpty
from penstock_runner.git.names import Ignored, Patterns, name_fault
from penstock_runner.git.remote import Rules, remote_of
from penstock_runner.git.store import BareStore
from penstock_runner.git.trouble import GitTrouble


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BareStore]:
    with BareStore(tmp_path / "store") as made:
        yield made


def fetched(store: BareStore, repository: Repository, commit: str) -> str:
    rules = Rules(file_roots=(repository.path.parent,))
    remote = remote_of(f"file://{repository.path}", rules=rules)
    assert store.fetch(remote).commit == commit
    return commit


@pytest.mark.parametrize(
    "name",
    [
        b"..",
        b".",
        b".git",
        b".GIT",
        b".git.",
        b".git ",
        b"git~1",
        b".g\xe2\x80\x8cit",
        b".git::$INDEX_ALLOCATION",
        b"a/b",
        b"a\\b",
        b"a\nb",
        b"\xff\xfe",
        b"x" * 256,
        b"",
    ],
)
def test_names_that_cannot_be_trusted_are_refused(name: bytes) -> None:
    assert name_fault(name) is not None


@pytest.mark.parametrize("name", [b"a.yml", b".gitignore", b".github", "ü.yml".encode(), b"..."])
def test_other_names_are_fine(name: bytes) -> None:
    assert name_fault(name) is None


def test_hostile_entries_are_faults_and_nothing_is_followed(
    store: BareStore, repository: Repository
) -> None:
    flow, target = repository.blob(b"id: a"), repository.blob(b"/etc/passwd")
    inner = repository.tree((b"config", FILE, flow))
    sha = fetched(
        store,
        repository,
        repository.commit_tree(
            repository.tree(
                (b"..", FILE, flow),
                (b".git", FOLDER, inner),
                (b"a.yml", FILE, flow),
                (b"a/../../evil.yml", FILE, flow),
                (b"link.yml", LINK, target),
                (b"new\nline.yml", FILE, flow),
            )
        ),
    )
    listing = store.files(sha, include=["**/*.yml"])
    assert [entry.path for entry in listing.entries] == ["a.yml"]
    codes = sorted(fault.code for fault in listing.faults)
    assert codes == ["BAD_PATH", "BAD_PATH", "BAD_PATH", "BAD_PATH", "SYMLINK_SKIPPED"]
    assert any(r"new\x0aline.yml" in fault.path for fault in listing.faults)


def test_submodules_and_lfs_pointers_are_reported(store: BareStore, repository: Repository) -> None:
    pointer = repository.blob(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    latin = repository.blob(b"id: \xe9\n")
    module = repository.blob(b"x")
    sha = fetched(
        store,
        repository,
        repository.commit_tree(
            repository.tree(
                (b"lfs.yml", FILE, pointer), (b"old.yml", FILE, latin), (b"sub", MODULE, module)
            )
        ),
    )
    listing = store.files(sha)
    assert [fault.code for fault in listing.faults] == ["SUBMODULE_SKIPPED"]
    texts = [store.read_text(entry, 1000) for entry in listing.entries]
    assert [getattr(text, "code", None) for text in texts] == ["LFS_POINTER", "NOT_UTF8"]


def test_a_checked_copy_holds_files_modes_and_links_that_stay_inside(
    store: BareStore, repository: Repository, tmp_path: Path
) -> None:
    script, text = repository.blob(b"#!/bin/sh\n"), repository.blob(b"text")
    inside, outside = repository.blob(b"../a.txt"), repository.blob(b"../../../etc/passwd")
    folder = repository.tree((b"in", LINK, inside), (b"out", LINK, outside))
    sha = fetched(
        store,
        repository,
        repository.commit_tree(
            repository.tree(
                (b"a.txt", FILE, text), (b"links", FOLDER, folder), (b"run.sh", EXECUTABLE, script)
            )
        ),
    )
    target = tmp_path / "copy"
    assert store.write_tree(sha, target) == 2
    assert (target / "a.txt").read_bytes() == b"text"
    assert (target / "run.sh").stat().st_mode & 0o111
    assert not (target / "a.txt").stat().st_mode & 0o111
    assert (target / "links" / "in").read_bytes() == b"text"
    assert not (target / "links" / "out").is_symlink()
    with pytest.raises(TargetNotEmpty):
        store.write_tree(sha, target)


def test_a_tree_with_a_hostile_name_is_not_written_at_all(
    store: BareStore, repository: Repository, tmp_path: Path
) -> None:
    blob = repository.blob(b"x")
    tree = repository.tree((b"..", FILE, blob), (b"a", FILE, blob))
    sha = fetched(store, repository, repository.commit_tree(tree))
    with pytest.raises(GitTrouble, match="cannot be written"):
        store.write_tree(sha, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_link_in_place_of_a_folder_is_not_written_through(
    store: BareStore, repository: Repository, tmp_path: Path
) -> None:
    blob, out = repository.blob(b"x"), repository.blob(str(tmp_path / "elsewhere").encode())
    (tmp_path / "elsewhere").mkdir()
    inner = repository.tree((b"f", FILE, blob))
    tree = repository.tree((b"d", LINK, out), (b"d", FOLDER, inner))
    sha = fetched(store, repository, repository.commit_tree(tree))
    store.write_tree(sha, tmp_path / "copy")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "copy" / "d" / "f").read_bytes() == b"x"


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c id",
        "-oProxyCommand=id",
        "ssh://-oProxyCommand=id/x",
        "git@-host:x",
        "bundle:x",
        "git://host/x",
        "file:///etc",
        "http://example.org/x.git",
        "https://",
        "",
        "/etc",
    ],
)
def test_addresses_that_are_not_allowed_are_refused(url: str) -> None:
    with pytest.raises(GitTrouble) as error:
        remote_of(url)
    assert error.value.code == "GIT_ADDRESS"


def test_addresses_are_kept_without_their_secrets() -> None:
    remote = remote_of("https://ana:s3cret@example.org/x.git?a=b")
    assert remote.url == "https://example.org/x.git"
    assert "s3cret" not in repr(remote)
    assert remote_of("git@example.org:team/x.git").credentials.username == "git"
    assert remote_of("https://github.com/a/b", token="t").credentials.username == "x-access-token"


def test_patterns_cover_paths() -> None:
    patterns = Patterns(["**/*.y{a,}ml", "src/?.txt"])
    matching = ["a.yml", "b/c/d.yaml", "src/a.txt"]
    assert all(patterns.match(path) for path in matching)
    assert not any(patterns.match(path) for path in ["a.txt", "src/ab.txt", "a.yml/b"])


def test_an_ignored_folder_covers_what_is_below_it() -> None:
    ignored = Ignored("build/\n# comment\n/top.yml\ndeep/*.yml\n")
    covered = ["build/a.yml", "x/build/b/c.yml", "top.yml", "deep/a.yml"]
    assert all(ignored.match(path) for path in covered)
    assert not any(ignored.match(path) for path in ["build", "x/top.yml", "x/deep/a.yml"])
