"""One commit more on a branch of a remote, made of files without a work tree.

The branch is fetched one commit deep, its tree is changed, and what is new is sent. Somebody who
pushed meanwhile wins: the commit is then made again on top of theirs.
"""

from __future__ import annotations

import difflib
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dulwich.errors import SendPackError
from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree
from dulwich.pack import UnpackedObject, pack_objects_to_data
from dulwich.refs import Ref

from penstock_runner.git.remote import Remote
from penstock_runner.git.store import BareStore, FolderMissing, Wanted
from penstock_runner.git.transport import connected
from penstock_runner.git.trouble import GIT_EMPTY, GIT_REF_NOT_FOUND, GitTrouble

GIT_REJECTED = "GIT_REJECTED"
_TRIES = 3
_FILE, _FOLDER = 0o100644, 0o040000

Changes = Mapping[str, bytes | None]
Wish = Callable[[Mapping[str, bytes]], Changes]
"""From the files of the folder to those that are to change; None deletes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Whose commit it is."""

    name: str
    email: str
    at: datetime

    @property
    def line(self) -> bytes:
        """As Git writes it; a name cannot forge an address."""
        clean = [
            part.translate({ord(c): None for c in "<>\n\r\0"}) for part in (self.name, self.email)
        ]
        return f"{clean[0].strip()} <{clean[1].strip()}>".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit did to one file, in lines."""

    file: str
    additions: int
    deletions: int
    changes: int
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """The commit that is on the branch now, None when there was nothing to change."""

    commit: str | None
    changes: Sequence[Change] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What to commit: below `folder` of `branch`, which is made when it is not there."""

    branch: str
    folder: str
    wish: Wish
    message: str
    author: Author
    dry_run: bool = False
    kept: Callable[[str], bool] = field(default=lambda _path: True)


def push(remote: Remote, wanted: Push, scratch: Path) -> Pushed:
    """Commit and push; raises `GitTrouble`. `scratch` holds the objects meanwhile."""
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix="push-", dir=scratch))
        try:
            with BareStore(folder / "store") as store:
                done = _once(remote, wanted, store)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if done is not None:
            return done
    message = f"{remote.url}: branch {wanted.branch!r} changed {_TRIES} times meanwhile; try again"
    raise GitTrouble(GIT_REJECTED, message)


def _once(remote: Remote, wanted: Push, store: BareStore) -> Pushed | None:
    """One try; None when somebody else was faster."""
    head, exists = _head(remote, wanted.branch, store)
    files = _files(store, head, wanted)
    changes = {
        path: content
        for path, content in wanted.wish(files).items()
        if files.get(path) != content and (content is not None or path in files)
    }
    told = [_change(wanted.folder, path, files.get(path), new) for path, new in changes.items()]
    told.sort(key=lambda one: one.file)
    if not changes or wanted.dry_run:
        return Pushed(commit=None, changes=told)
    made = _Made(store.objects)
    prefix = f"{wanted.folder}/" if wanted.folder else ""
    root = store.commit(head).tree if head is not None else None
    tree = made.tree(root, {prefix + path: content for path, content in changes.items()})
    commit = made.commit(tree, head, wanted)
    if not _send(remote, wanted.branch, head if exists else None, commit, made.objects):
        return None
    return Pushed(commit=commit.id.decode(), changes=told)


def _head(remote: Remote, branch: str, store: BareStore) -> tuple[str | None, bool]:
    """The commit to build on, and whether the branch is there; a new one begins at HEAD."""
    try:
        return store.fetch(remote, Wanted(name=branch)).commit, True
    except GitTrouble as trouble:
        if trouble.code == GIT_EMPTY:
            return None, False
        if trouble.code != GIT_REF_NOT_FOUND:
            raise
    return store.fetch(remote, Wanted()).commit, False


def _files(store: BareStore, head: str | None, wanted: Push) -> dict[str, bytes]:
    if head is None:
        return {}
    try:
        listing = store.tree(head, wanted.folder)
    except FolderMissing:
        return {}
    return {one.path: store.read(one.blob) for one in listing.entries if wanted.kept(one.path)}


def _change(folder: str, path: str, old: bytes | None, new: bytes | None) -> Change:
    before, after = ((one or b"").decode("utf-8", "replace").splitlines() for one in (old, new))
    additions = deletions = changes = 0
    # Lines that were exchanged for as many others are changes, what is beyond that came or went.
    for kind, *place in difflib.SequenceMatcher(None, before, after).get_opcodes():
        grown = (place[3] - place[2]) - (place[1] - place[0])
        additions += max(grown, 0)
        deletions += max(-grown, 0)
        changes += place[3] - place[2] if kind == "replace" and grown == 0 else 0
    return Change(
        file=f"{folder}/{path}" if folder else path,
        additions=additions,
        deletions=deletions,
        changes=changes,
        action="ADDED" if old is None else "DELETED" if new is None else "UPDATED",
    )


class _Made:
    """The objects of a new commit."""

    def __init__(self, store: BaseObjectStore) -> None:
        self._store = store
        self.objects: list[ShaFile] = []

    def tree(self, old: ObjectID | None, changes: Changes) -> ObjectID:
        """The tree with these changes; an empty folder goes."""
        tree = self._changed(old, changes) or Tree()
        if not len(tree):
            self.objects.append(tree)
        return tree.id

    def _changed(self, old: ObjectID | None, changes: Changes) -> Tree | None:
        before = self._store[old] if old is not None else Tree()
        tree = Tree()
        if isinstance(before, Tree):
            for entry in before.iteritems():
                tree.add(entry.path, entry.mode, entry.sha)
        here, below = _parts(changes)
        for name, content in here.items():
            self._put(tree, name.encode(), content)
        for name, inside in below.items():
            raw = name.encode()
            mode, sha = tree[raw] if raw in tree else (_FOLDER, None)  # noqa: SIM401 - no `get`
            folder = self._changed(sha if stat.S_ISDIR(mode) else None, inside)
            if folder is not None:
                tree.add(raw, _FOLDER, folder.id)
            elif raw in tree:
                del tree[raw]
        if not len(tree):
            return None
        self.objects.append(tree)
        return tree

    def _put(self, tree: Tree, name: bytes, content: bytes | None) -> None:
        if content is None:
            if name in tree:
                del tree[name]
            return
        blob = Blob.from_string(content)
        self.objects.append(blob)
        mode = tree[name][0] if name in tree and stat.S_ISREG(tree[name][0]) else _FILE
        tree.add(name, mode, blob.id)

    def commit(self, tree: ObjectID, parent: str | None, wanted: Push) -> Commit:
        """The commit, not stored anywhere yet."""
        commit = Commit()
        commit.tree = tree
        commit.parents = [] if parent is None else [ObjectID(parent.encode())]
        commit.author = commit.committer = wanted.author.line
        commit.author_time = commit.commit_time = int(wanted.author.at.timestamp())
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = wanted.message.encode()
        self.objects.append(commit)
        return commit


def _parts(changes: Changes) -> tuple[dict[str, bytes | None], dict[str, dict[str, bytes | None]]]:
    here: dict[str, bytes | None] = {}
    below: dict[str, dict[str, bytes | None]] = {}
    for path, content in changes.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = content
        else:
            here[name] = content
    return here, below


def _send(
    remote: Remote, branch: str, old: str | None, commit: Commit, objects: Sequence[ShaFile]
) -> bool:
    """Move the branch; False when it is no longer where it was."""
    ref = Ref(f"refs/heads/{branch}".encode())
    moved = False

    def refs(known: dict[Ref, ObjectID]) -> dict[Ref, ObjectID]:
        nonlocal moved
        moved = known.get(ref) != (ObjectID(old.encode()) if old is not None else None)
        return {} if moved else {ref: commit.id}

    def pack(*_: object, **__: object) -> tuple[int, Iterator[UnpackedObject]]:
        return pack_objects_to_data([(one, None) for one in objects])

    with connected(remote) as (client, path):
        try:
            result = client.send_pack(path.encode(), refs, pack)
        except SendPackError as error:
            raise GitTrouble(GIT_REJECTED, f"{remote.url} refused the push: {error}") from None
    if moved:
        return False
    refused = (result.ref_status or {}).get(ref)
    if refused:
        message = f"{remote.url} refused branch {branch!r}: {refused}"
        raise GitTrouble(GIT_REJECTED, message)
    return True
