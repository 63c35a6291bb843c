"""Makes a bare repository of a folder's files, for a first look at Penstock and for tests."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

BRANCH = Ref(b"refs/heads/main")


def read_folder(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """The regular files below a folder: path -> (content, executable)."""
    found: dict[str, tuple[bytes, bool]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
            executable = bool(path.stat().st_mode & stat.S_IXUSR)
            found[path.relative_to(folder).as_posix()] = (path.read_bytes(), executable)
    return found


def seed_bare(
    target: Path, files: Mapping[str, tuple[bytes, bool]], *, message: str, author: str, at: int
) -> str:
    """Make a bare repository whose branch `main` has one commit of these files; gives its id.

    `at` is in seconds since 1970. The repository appears whole, by a rename, or not at all.
    """
    fresh = target.with_name(target.name + ".new")
    fresh.mkdir(mode=0o700, parents=True)
    repo = Repo.init_bare(str(fresh))
    try:
        commit = Commit()
        commit.tree = _store_tree(repo, files)
        commit.author = commit.committer = author.encode()
        commit.author_time = commit.commit_time = at
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = message.encode()
        repo.object_store.add_object(commit)
        repo.refs[BRANCH] = commit.id
        repo.refs.set_symbolic_ref(Ref(b"HEAD"), BRANCH)
    finally:
        repo.close()
    fresh.rename(target)
    return str(commit.id.decode())


def _store_tree(repo: Repo, files: Mapping[str, tuple[bytes, bool]]) -> ObjectID:
    here: dict[str, tuple[bytes, bool]] = {}
    below: dict[str, dict[str, tuple[bytes, bool]]] = {}
    for path, entry in files.items():
        head, slash, rest = path.partition("/")
        if slash:
            below.setdefault(head, {})[rest] = entry
        else:
            here[head] = entry
    tree = Tree()
    for name, (content, executable) in here.items():
        blob = Blob.from_string(content)
        repo.object_store.add_object(blob)
        tree.add(name.encode(), 0o100755 if executable else 0o100644, blob.id)
    for name, inner in below.items():
        tree.add(name.encode(), 0o040000, _store_tree(repo, inner))
    repo.object_store.add_object(tree)
    return tree.id
