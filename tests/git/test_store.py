from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import GitServer, Repository, serve_git

from penstock_runner.git.remote import Credentials, Remote, Rules, remote_of
from penstock_runner.git.store import BareStore, FolderMissing, Wanted, look, remote_refs
from penstock_runner.git.trouble import GitTrouble


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "served").mkdir()
    with serve_git(tmp_path / "served") as running:
        yield running


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "served" / "flows.git")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BareStore]:
    with BareStore(tmp_path / "store") as made:
        yield made


def remote(server: GitServer, repository: Repository, **options: object) -> Remote:
    return remote_of(server.url_of(repository), **options)  # type: ignore[arg-type]


def code(error: pytest.ExceptionInfo[GitTrouble]) -> str:
    return error.value.code


def test_a_branch_is_fetched_over_http_and_its_files_are_read(
    server: GitServer, repository: Repository, store: BareStore
) -> None:
    sha = repository.commit({"flows/a.yml": "id: a\n", "README.md": "hello"}, "first\n\nlong")
    fetched = store.fetch(remote(server, repository))

    assert (fetched.commit, fetched.ref, fetched.new) == (sha, "refs/heads/main", True)
    listing = store.files(sha, "flows", include=["**/*.yml"])
    [entry] = listing.entries
    assert entry.path == "a.yml"
    assert store.read_text(entry, 1000) == "id: a\n"
    info = store.commit_info(sha)
    assert (info.subject, info.author_name, info.author_email) == (
        "first",
        "Ana Ruiz",
        "ana@example.org",
    )
    assert info.message == "first\n\nlong"


def test_only_one_commit_is_fetched_first_and_then_what_is_new(
    server: GitServer, repository: Repository, store: BareStore
) -> None:
    for number in range(5):
        repository.commit({"a.yml": f"n: {number}"})
    first = store.fetch(remote(server, repository)).commit
    assert len(store.commits_between(None, first).commits) == 1
    assert not store.fetch(remote(server, repository)).new

    second = repository.commit({"a.yml": "n: 6", "b.yml": "b"}, author="Li Wei <li@example.org>")
    third = repository.commit({"c/d.yml": "d"}, "third")
    assert store.fetch(remote(server, repository)).new

    since = store.commits_between(first, third)
    assert [info.sha for info in since.commits] == [third, second]
    assert not since.rewritten
    assert store.changed_paths(first, third) == ("a.yml", "b.yml", "c/d.yml")
    assert store.last_touched(since) == {"a.yml": second, "b.yml": second, "c/d.yml": third}


def test_a_force_push_is_seen_as_rewritten_history(
    server: GitServer, repository: Repository, store: BareStore
) -> None:
    base = repository.commit({"a.yml": "1"})
    old = repository.commit({"a.yml": "2"})
    store.fetch(remote(server, repository))
    repository.reset(base)
    new = repository.commit({"a.yml": "3"})

    assert store.fetch(remote(server, repository)).commit == new
    assert store.commits_between(old, new).rewritten
    assert store.changed_paths(old, new) == ("a.yml",)


def test_tags_and_commits_can_be_wanted(
    server: GitServer, repository: Repository, store: BareStore
) -> None:
    first = repository.commit({"a.yml": "1"})
    second = repository.commit({"a.yml": "2"})
    repository.commit({"a.yml": "3"})
    repository.tag("v1.9.0", first)
    repository.tag("v1.10.0", second)
    repository.tag("v1.10.0-rc1", first)
    there = remote(server, repository)

    assert look(there, Wanted(kind="tag", name="v*")).commit == second
    assert look(there, Wanted(kind="tag", name="v1.9.0")).commit == first
    assert store.fetch(there, Wanted(kind="commit", name=first)).commit == first
    assert set(remote_refs(there)) == {
        "refs/heads/main",
        "refs/tags/v1.9.0",
        "refs/tags/v1.10.0",
        "refs/tags/v1.10.0-rc1",
    }


def test_a_missing_branch_is_named_with_those_that_look_like_it(
    server: GitServer, repository: Repository
) -> None:
    repository.commit({"a.yml": "1"}, branch="production")
    repository.commit({"a.yml": "1"})
    with pytest.raises(GitTrouble, match="production") as error:
        look(remote(server, repository), Wanted(name="productoin"))
    assert code(error) == "GIT_REF_NOT_FOUND"


def test_an_empty_repository_asks_for_a_commit(server: GitServer, repository: Repository) -> None:
    with pytest.raises(GitTrouble, match="Push one") as error:
        look(remote(server, repository), Wanted())
    assert code(error) == "GIT_EMPTY"
    with pytest.raises(GitTrouble) as error:
        look(remote(server, repository), Wanted(name="main"))
    assert code(error) == "GIT_EMPTY"


def test_a_wrong_password_is_an_auth_trouble_that_shows_no_secret(
    server: GitServer, repository: Repository
) -> None:
    repository.commit({"a.yml": "1"})
    server.username, server.password = "x", "right"
    wrong = remote(server, repository, credentials=Credentials(username="x", password="wr0ng"))
    with pytest.raises(GitTrouble, match="credentials") as error:
        look(wrong, Wanted())
    assert code(error) == "GIT_AUTH"
    assert "wr0ng" not in str(error.value)
    assert "wr0ng" not in repr(wrong)

    right = remote_of(server.url_of(repository).replace("//", "//x:right@"))
    assert "right" not in right.url
    assert look(right, Wanted()).ref == "refs/heads/main"


def test_a_missing_repository_an_unreachable_host_and_a_forbidden_one_have_their_codes(
    server: GitServer, repository: Repository
) -> None:
    with pytest.raises(GitTrouble) as error:
        look(remote_of(f"{server.url}/none.git"), Wanted())
    assert code(error) == "GIT_NOT_FOUND"
    with pytest.raises(GitTrouble) as error:
        look(remote_of("http://127.0.0.1:1/x.git"), Wanted())
    assert code(error) == "GIT_NETWORK"
    server.status = 403
    with pytest.raises(GitTrouble) as error:
        look(remote(server, repository), Wanted())
    assert code(error) == "GIT_AUTH"


def test_a_server_that_never_answers_is_given_up(server: GitServer, repository: Repository) -> None:
    import threading

    server.hanging = threading.Event()
    with pytest.raises(GitTrouble) as error:
        look(remote(server, repository, read_seconds=0.2), Wanted())
    assert code(error) == "GIT_TIMEOUT"


def test_a_busy_host_says_when_to_come_back(server: GitServer, repository: Repository) -> None:
    server.status, server.headers = 429, {"Retry-After": "120"}
    with pytest.raises(GitTrouble, match="429") as error:
        look(remote(server, repository), Wanted())
    assert (code(error), error.value.retry_after) == ("GIT_NETWORK", 120)


def test_credentials_do_not_follow_a_redirect_to_another_host(
    server: GitServer, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    repository.commit({"a.yml": "1"})
    with serve_git(tmp_path / "other") as other:
        server.status = 302
        server.headers = {"Location": f"{other.url}/flows.git/info/refs?service=git-upload-pack"}
        with pytest.raises(GitTrouble):
            look(remote(server, repository, token="s3cret"), Wanted())
        assert other.requests
        assert all("authorization" not in headers for _, _, headers in other.requests)
    assert any("authorization" in headers for _, _, headers in server.requests)


def test_files_over_the_limit_are_left_out_of_the_fetch(
    server: GitServer, repository: Repository, store: BareStore
) -> None:
    sha = repository.commit({"big.yml": "x" * 5000, "small.yml": "id: a"})
    store.fetch(remote(server, repository), blob_limit=1000)
    big, small = store.files(sha).entries
    assert store.read_text(small, 1000) == "id: a"
    fault = store.read_text(big, 1000)
    assert not isinstance(fault, str)
    assert (fault.code, fault.path) == ("FILE_TOO_BIG", "big.yml")


def test_a_file_address_works_below_its_root_only(
    repository: Repository, store: BareStore, tmp_path: Path
) -> None:
    sha = repository.commit({"a.yml": "1"})
    url = f"file://{repository.path}"
    with pytest.raises(GitTrouble, match="fileRoots"):
        remote_of(url)
    rules = Rules(file_roots=(tmp_path / "served",))
    assert store.fetch(remote_of(url, rules=rules)).commit == sha


def test_a_missing_folder_is_named(
    server: GitServer, repository: Repository, store: BareStore
) -> None:
    sha = repository.commit({"a.yml": "1"})
    store.fetch(remote(server, repository))
    with pytest.raises(FolderMissing, match="flowz"):
        store.files(sha, "flowz")


def test_ignore_files_leave_files_out(
    server: GitServer, repository: Repository, store: BareStore
) -> None:
    ignore = "drafts/\n*.tmp.yml\n!keep.tmp.yml\n"
    files = ["a.yml", "drafts/b.yml", "c.tmp.yml", "keep.tmp.yml"]
    sha = repository.commit({".penstockignore": ignore, **dict.fromkeys(files, "x")})
    store.fetch(remote(server, repository))
    found = store.files(sha, include=["**/*.yml"], exclude=["none/**"])
    assert [entry.path for entry in found.entries] == ["a.yml", "keep.tmp.yml"]


def test_a_store_that_is_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GitTrouble, match="symlink"):
        BareStore(tmp_path / "link")
