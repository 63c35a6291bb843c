"""What happens to a store: killed fetches, locks of the dead, bytes that turn, many at once."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.git_http import GitServer, Repository, serve_git

from penstock_runner.git.copies import Copy, copy_of
from penstock_runner.git.exceptions import DAMAGE
from penstock_runner.git.remote import Remote, remote_of
from penstock_runner.git.store import BareStore, Wanted
from penstock_runner.git.trouble import GitTrouble
from penstock_runner.git.upkeep import tidy

FILES = {f"folder/{n}.yml": f"id: f{n}\n" * 20 for n in range(40)}
MOMENTS = 10
LIMIT = 1 << 20
# What a fetch does to the file system.
CHANGES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.link", "os.chmod"})


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "flows.git")
    made.commit(FILES)
    return made


@pytest.fixture
def server(tmp_path: Path, repository: Repository) -> Iterator[GitServer]:
    with serve_git(tmp_path / "served") as running:
        yield running


@pytest.fixture
def remote(server: GitServer, repository: Repository) -> Remote:
    return remote_of(server.url_of(repository))


def in_child(work: Callable[[], None]) -> int:
    """Do it in a process of its own; how that ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fetch(store: Path, remote: Remote) -> None:
    with BareStore(store) as opened:
        opened.fetch(remote, blob_limit=LIMIT)


def counted(store: Path, remote: Remote, moments: list[int] | None, end: int | None) -> None:
    """Fetch; `end` is the change of the store before which the process is killed."""
    seen = [0]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        path = str(arguments[0]) if arguments else ""
        if event in CHANGES and path.startswith(str(store)):
            seen[0] += 1
            if seen[0] == end:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    fetch(store, remote)
    if moments is not None:
        os.write(moments[1], str(seen[0]).encode())


def read(store: Path) -> dict[str, str]:
    """The files of the commit that was seen last."""
    with BareStore(store) as opened:
        commit = opened.refs()["refs/heads/seen"]
        entries = opened.tree(commit).entries
        return {one.path: opened.read(one.blob).decode() for one in entries}


@pytest.mark.parametrize("again", [False, True], ids=["first", "next"])
def test_a_fetch_that_is_killed_at_any_moment_is_simply_done_again(
    tmp_path: Path, repository: Repository, remote: Remote, again: bool
) -> None:
    pipe = list(os.pipe())
    base = tmp_path / "base"
    if again:
        fetch(base, remote)
    more = {"folder/1.yml": "id: changed\n"} if again else {}
    if again:
        repository.commit(more)
    trial = tmp_path / "trial"
    copied(base, trial)
    assert in_child(lambda: counted(trial, remote, pipe, None)) == 0
    total = int(os.read(pipe[0], 20))
    for number in range(MOMENTS):
        store = tmp_path / f"store{number}"
        copied(base, store)
        end = 1 + number * (total - 1) // (MOMENTS - 1)
        assert in_child(lambda s=store, e=end: counted(s, remote, None, e)) == -signal.SIGKILL
        fetch(store, remote)
        assert read(store) == FILES | more, f"killed before change {end} of {total}"
        tidy(store, store.stat().st_mtime + 10_000)
        assert not list(store.glob("objects/**/tmp_*"))


def copied(base: Path, store: Path) -> None:
    if base.exists():
        shutil.copytree(base, store)


def test_locks_that_the_dead_have_left_keep_nobody_out(tmp_path: Path, remote: Remote) -> None:
    store = tmp_path / "store"
    with BareStore(store):
        pass
    for name in ("packed-refs.lock", "refs/heads/seen.lock", "shallow.lock"):
        (store / name).touch()
    fetch(store, remote)
    assert read(store) == FILES


@pytest.mark.parametrize("kind", ["pack", "idx"])
@pytest.mark.parametrize("damage", ["turned", "cut", "gone"])
def test_a_damaged_pack_is_noticed_and_a_fresh_copy_takes_its_place(
    tmp_path: Path, repository: Repository, remote: Remote, kind: str, damage: str
) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    copy = copy_of(remote, tmp_path / "home" / "main")
    commit = repository.head().id
    wanted = Wanted(kind="commit", name=commit)
    copy.fetch(wanted, applied=None, blob_limit=LIMIT)
    [file] = copy.path.glob(f"objects/pack/*.{kind}")
    content = file.read_bytes()
    file.chmod(0o600)
    match damage:
        case "turned":
            middle = len(content) // 2
            turned = bytes([content[middle] ^ 255])
            file.write_bytes(content[:middle] + turned + content[middle + 1 :])
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case _:
            file.unlink()
    looked(copy, wanted)
    assert read(copy.path) == FILES


def looked(copy: Copy, wanted: Wanted) -> None:
    """What a look does: read, and with anything that is wrong take a fresh copy."""
    try:
        copy.fetch(wanted, applied=None, blob_limit=LIMIT)
        assert read(copy.path) == FILES
    except (*DAMAGE, GitTrouble):
        copy.renew(wanted, applied=None, blob_limit=LIMIT)


def test_many_fetches_of_one_store_at_once_all_succeed(
    tmp_path: Path, repository: Repository, remote: Remote
) -> None:
    store = tmp_path / "store"
    fetch(store, remote)
    repository.commit({"folder/1.yml": "id: changed\n"})
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                # What the server has just accepted is open in here, too, and must not stay so.
                os.closerange(3, 1024)
                fetch(store, remote)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ends == [0, 0, 0, 0]
    assert read(store) == FILES | {"folder/1.yml": "id: changed\n"}
