"""Local copies over their life: damaged, grown, made anew; and who the network's side is."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import GitServer, Repository, serve_git

from penstock_runner.git.apart import NAMELESS, apart, own_identity
from penstock_runner.git.copies import Copy, clear_leftovers, copy_of
from penstock_runner.git.remote import remote_of
from penstock_runner.git.store import MOST_PACKS, BareStore, Wanted
from penstock_runner.git.trouble import GitTrouble

LIMIT = 1 << 20
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "served" / "flows.git")


@pytest.fixture
def server(tmp_path: Path, repository: Repository) -> Iterator[GitServer]:
    with serve_git(tmp_path / "served") as running:
        yield running


@pytest.fixture
def copy(tmp_path: Path, server: GitServer, repository: Repository) -> Copy:
    (tmp_path / "home").mkdir(mode=0o700)
    return copy_of(remote_of(server.url_of(repository)), tmp_path / "home" / "main")


def fetch(copy: Copy, applied: str | None = None) -> str:
    commit = copy.look(Wanted()).commit
    copy.fetch(Wanted(kind="commit", name=commit), applied=applied, blob_limit=LIMIT)
    return commit


def packs(copy: Copy) -> int:
    return len(list(copy.path.glob("objects/pack/*.pack")))


def test_a_copy_with_too_many_packs_is_replaced_and_still_knows_what_changed(
    repository: Repository, copy: Copy
) -> None:
    applied = repository.commit({"a.yml": "0"})
    fetch(copy)
    for number in range(1, MOST_PACKS + 1):
        applied = repository.commit({"a.yml": f"{number}"})
        fetch(copy)
    assert packs(copy) == MOST_PACKS + 1
    second = repository.commit({"b.yml": "b"})
    third = repository.commit({"c.yml": "c"})
    fetch(copy, applied)
    assert packs(copy) <= 2
    with BareStore(copy.path) as store:
        since = store.commits_between(applied, third)
        assert [commit.sha for commit in since.commits] == [third, second]
        assert store.changed_paths(applied, third) == ("b.yml", "c.yml")


def test_a_copy_four_times_its_fresh_size_is_replaced(repository: Repository, copy: Copy) -> None:
    repository.commit({"a": os.urandom(1000)})
    fetch(copy)
    for _ in range(6):
        repository.commit({"a": os.urandom(1_000_000)})
        fetch(copy)
    assert packs(copy) < 7
    assert packs(copy) >= 1


def test_a_copy_that_cannot_be_made_anew_stays(
    repository: Repository, server: GitServer, copy: Copy
) -> None:
    first = repository.commit({"a.yml": "1"})
    fetch(copy)
    server.status = 500
    with pytest.raises(GitTrouble):
        copy.renew(Wanted(kind="commit", name=first), applied=first, blob_limit=LIMIT)
    with BareStore(copy.path) as store:
        assert store.has(first)


def test_host_keys_that_were_accepted_outlive_a_copy(repository: Repository, copy: Copy) -> None:
    first = repository.commit({"a.yml": "1"})
    fetch(copy)
    (copy.path / "known_hosts").write_text("host key\n")
    copy.renew(Wanted(kind="commit", name=first), applied=None, blob_limit=LIMIT)
    assert (copy.path / "known_hosts").read_text() == "host key\n"


def test_what_a_dead_process_left_beside_is_removed(tmp_path: Path) -> None:
    for name in ("main", "main.new", "main.old"):
        (tmp_path / name / "objects").mkdir(parents=True)
    clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["main"]


@as_root
def test_the_side_of_the_network_is_nobody_and_keeps_no_way_back(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    folder = tmp_path / "inside"
    folder.mkdir()

    def work(here: Path) -> dict[str, object]:
        def allowed(what: object, *arguments: object) -> bool:
            try:
                what(*arguments)  # type: ignore[operator]
            except OSError:
                return False
            return True

        return {
            "user": os.geteuid(),
            "groups": os.getgroups(),
            "reads": allowed(secret.read_text),
            "becomes": allowed(os.setuid, 0),
            "lists": [path.name for path in here.iterdir()],
        }

    answer = apart(work, folder, own_identity())
    assert answer["user"] != 0
    assert answer == {
        "user": answer["user"],
        "groups": [],
        "reads": False,
        "becomes": False,
        "lists": [],
    }


@as_root
def test_a_copy_belongs_to_the_side_of_the_network_and_to_nobody_else(
    repository: Repository, copy: Copy
) -> None:
    repository.commit({"a.yml": "1"})
    fetch(copy)
    identity = own_identity()
    assert identity is not None
    [pack] = copy.path.glob("objects/pack/*.pack")
    assert {copy.path.stat().st_uid, pack.stat().st_uid} == {identity.user}
    assert copy.path.stat().st_mode & 0o777 == 0o700


@as_root
def test_the_user_is_nobody_elses_unless_ssh_needs_one_with_a_name() -> None:
    own, named = own_identity(), own_identity(named=True)
    assert own is not None
    assert named is not None
    assert pwd.getpwuid(named.user).pw_name in ("penstock-git", "nobody")
    assert own.user == NAMELESS or pwd.getpwuid(own.user).pw_name == "penstock-git"


@as_root
@pytest.mark.parametrize("options", [("--map-root-user",), ("--map-root-user", "--user")])
def test_where_no_other_user_exists_the_network_is_used_as_ourselves(
    options: tuple[str, ...],
) -> None:
    program = shutil.which("unshare")
    code = "from penstock_runner.git.apart import own_identity; print(own_identity())"
    if program is None:
        pytest.skip("needs unshare")
    done = subprocess.run(
        [program, *options, sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and "unshare" in done.stderr:
        pytest.skip("may not make a user namespace here")
    assert done.stdout.strip() == "None"


@as_root
def test_a_side_that_dies_is_trouble_and_not_the_end() -> None:
    with pytest.raises(GitTrouble, match="without an answer"):
        apart(lambda _: os._exit(3), Path("/"), own_identity())


@as_root
def test_trouble_comes_through_with_its_code(copy: Copy, server: GitServer) -> None:
    server.status, server.headers = 429, {"Retry-After": "7"}
    with pytest.raises(GitTrouble) as raised:
        copy.look(Wanted())
    assert (raised.value.code, raised.value.retry_after) == ("GIT_NETWORK", 7)
