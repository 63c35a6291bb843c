"""The files of a commit, walked straight from the object store with every name checked.

Nothing is followed: a symlink or a submodule is reported and left out. A bad entry below the path
asked for is a fault of that file; what lies outside is not looked at.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, ObjectID, Tree

from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.git.names import LONGEST_PATH, name_fault, shown
from penstock_runner.git.trouble import GIT_TOO_BIG, GitTrouble

MOST_ENTRIES = 100_000
_FILE_MODES = (0o100644, 0o100755, 0o100664)
_LINK = 0o120000
_MODULE = 0o160000
LFS_MARK = b"version https://git-lfs.github.com/spec/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One regular file of a tree; `path` is relative to the folder that was asked for."""

    path: str
    blob: str
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One symlink of a tree, not followed."""

    path: str
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a walk has found: files, symlinks, and what is wrong with other entries."""

    entries: tuple[Entry, ...]
    links: tuple[Link, ...] = ()
    faults: tuple[Fault, ...] = ()


def tree_at(store: BaseObjectStore, root: ObjectID, path: str) -> ObjectID | None:
    """The tree of a folder below `root`; None when there is no such folder."""
    at = root
    for part in (part for part in path.split("/") if part):
        tree = store[at]
        if not isinstance(tree, Tree) or part.encode() not in tree:
            return None
        mode, at = tree[part.encode()]
        if not stat.S_ISDIR(mode):
            return None
    return at


def list_tree(store: BaseObjectStore, tree: ObjectID, most: int = MOST_ENTRIES) -> Listing:
    """All files below a tree, in the order of Git."""
    entries: list[Entry] = []
    links: list[Link] = []
    faults: list[Fault] = []
    for count, (path, mode, sha, fault) in enumerate(_walk(store, tree)):
        if count >= most:
            raise GitTrouble(
                GIT_TOO_BIG,
                f"the tree has more than {most} entries. Set `path` to the folder of the flows.",
            )
        if fault is not None:
            faults.append(fault)
        elif mode in _FILE_MODES:
            entries.append(Entry(path=path, blob=sha.decode(), executable=bool(mode & 0o100)))
        elif mode == _LINK:
            links.append(Link(path=path, blob=sha.decode()))
            faults.append(_note("SYMLINK_SKIPPED", path, "is a symlink and is not followed"))
        elif mode == _MODULE:
            faults.append(_note("SUBMODULE_SKIPPED", path, "is a submodule and is not read"))
        else:
            faults.append(_bad(path, f"has the unknown mode {mode:o}"))
    return Listing(entries=tuple(entries), links=tuple(links), faults=tuple(faults))


Visit = tuple[str, int, ObjectID, Fault | None]


def _walk(store: BaseObjectStore, tree: ObjectID) -> Iterator[Visit]:
    """Every entry but folders, depth first without recursion: a tree may be as deep as it likes."""
    waiting: list[tuple[str, ObjectID]] = [("", tree)]
    while waiting:
        prefix, at = waiting.pop()
        found = store[at]
        if not isinstance(found, Tree):
            continue
        folders: list[tuple[str, ObjectID]] = []
        for entry in found.iteritems():
            path = prefix + shown(entry.path)
            fault = _fault(entry.path, path)
            if fault is None and stat.S_ISDIR(entry.mode):
                folders.append((path + "/", entry.sha))
            else:
                yield path, entry.mode, entry.sha, fault
        waiting.extend(reversed(folders))


def _fault(raw: bytes, path: str) -> Fault | None:
    why = name_fault(raw)
    if why is not None:
        return _bad(path[:LONGEST_PATH], why)
    if len(path.encode()) > LONGEST_PATH:
        return _bad(path[:200], f"is longer than {LONGEST_PATH} bytes")
    return None


def _bad(path: str, why: str) -> Fault:
    return Fault(code="BAD_PATH", message=f"{path[:200]!r} {why}", path=path)


def _note(code: str, path: str, why: str) -> Fault:
    return Fault(code=code, message=f"{path} {why}", path=path, severity=Severity.NOTE)


def text_of(store: BaseObjectStore, entry: Entry, limit: int) -> str | Fault:
    """The text of a file, or why it cannot be a text that we read."""
    try:
        blob = store[ObjectID(entry.blob.encode())]
    except KeyError:
        return _too_big(entry, limit)
    if not isinstance(blob, Blob):
        return _bad(entry.path, "is no file")
    data = blob.data
    if len(data) > limit:
        return _too_big(entry, limit)
    if data.startswith(LFS_MARK):
        return Fault(
            code="LFS_POINTER",
            message=f"{entry.path} is kept in Git LFS; commit the file itself",
            path=entry.path,
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Fault(
            code="NOT_UTF8",
            message=f"{entry.path} is not UTF-8 at byte {error.start}; save it as UTF-8",
            path=entry.path,
            line=line,
        )


def _too_big(entry: Entry, limit: int) -> Fault:
    return Fault(
        code="FILE_TOO_BIG",
        message=f"{entry.path} is larger than {limit} bytes",
        path=entry.path,
    )
