"""The bare store: objects of one remote, fetched shallow and read without a work tree.

`fetch` takes one commit the first time and only new ones afterwards. One fetcher a store at a time:
a lock file holds others back. The store is a folder that we made; one that is a symlink is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from dulwich.client import GitClient
from dulwich.object_store import BaseObjectStore, peel_sha
from dulwich.objects import Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from penstock_runner.flow.faults import Fault
from penstock_runner.git.checkout import write_files
from penstock_runner.git.history import (
    CommitInfo,
    Since,
    changed_between,
    commit_info,
    commits_since,
    last_touched,
)
from penstock_runner.git.names import Ignored, Patterns
from penstock_runner.git.receiving import receive
from penstock_runner.git.remote import Remote
from penstock_runner.git.transport import connected
from penstock_runner.git.tree import Entry, Listing, list_tree, text_of, tree_at
from penstock_runner.git.trouble import (
    GIT_CORRUPT,
    GIT_EMPTY,
    GIT_REF_NOT_FOUND,
    GitTrouble,
    message_for,
)
from penstock_runner.git.upkeep import LOCK, make, unlock

RefKind = Literal["branch", "tag", "commit"]
HEAD = "HEAD"
SEEN = b"refs/heads/seen"
MOST_PACKS = 50
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
IGNORE_FILES = (".penstockignore", ".kestraignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to read: a branch (`HEAD`: the remote's own), a tag (`v*`: the highest), a commit."""

    kind: RefKind = "branch"
    name: str = HEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a remote says: the commit, and the full name of the ref that points to it."""

    commit: str
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A commit that is now in the store; `new` is False when it was there before."""

    commit: str
    ref: str
    new: bool


def look(remote: Remote, wanted: Wanted) -> Seen:
    """Ask the remote where a ref points; no object is fetched."""
    with connected(remote) as (client, path):
        return _look(client, path, remote, wanted)


def remote_refs(
    remote: Remote, prefixes: Sequence[str] = ("refs/heads/", "refs/tags/")
) -> dict[str, str]:
    """The refs of a remote by full name, annotated tags as the commits they name."""
    with connected(remote) as (client, path):
        refs, _ = _refs(client, path, prefixes)
        return refs


class BareStore:
    """One remote's objects on disk."""

    def __init__(self, path: Path) -> None:
        make(path)
        self.path = path
        self._repo = Repo(str(path))
        self._objects = self._repo.object_store

    def close(self) -> None:
        """Let go of the files.

        Where reading one has failed, its bytes are still held by who was told so; they go later.
        """
        with contextlib.suppress(BufferError):
            self._repo.close()

    def reopen(self) -> None:
        """Open the files anew, in a process that was forked: both would move one position."""
        self._repo = Repo(str(self.path))
        self._objects = self._repo.object_store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def fetch(
        self,
        remote: Remote,
        wanted: Wanted | None = None,
        *,
        blob_limit: int | None = None,
        history: bool = False,
    ) -> Fetched:
        """Bring the wanted commit here: one commit deep at first, then what is new.

        Blobs over `blob_limit` are left out. `history` asks for all commits.
        """
        with self._locked(), connected(remote) as (client, path):
            seen = _look(client, path, remote, wanted or Wanted())
            if self.has(seen.commit):
                self._remember(seen.commit)
                return Fetched(commit=seen.commit, ref=seen.ref, new=False)
            first = Ref(SEEN) not in self._repo.refs
            receive(
                client,
                path,
                self._repo,
                seen.commit,
                ref=seen.ref,
                depth=1 if first and not history else None,
                blob_limit=blob_limit,
            )
            if not self.has(seen.commit):
                raise GitTrouble(GIT_CORRUPT, f"{remote.url} did not send commit {seen.commit}")
            self._remember(seen.commit)
        return Fetched(commit=seen.commit, ref=seen.ref, new=True)

    def _remember(self, commit: str) -> None:
        self._repo.refs[Ref(SEEN)] = ObjectID(commit.encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store's lock; the system lets go of it when a process dies.

        Other locks in the store are then those of the dead.
        """
        handle = os.open(self.path / LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            unlock(self.path)
            yield
        finally:
            os.close(handle)

    def has(self, sha: str) -> bool:
        """Whether an object is here."""
        return ObjectID(sha.encode()) in self._objects

    def refs(self) -> dict[str, str]:
        """The store's own refs."""
        found = self._repo.refs.as_dict()
        return {name.decode(): sha.decode() for name, sha in found.items()}

    def commit_info(self, commit: str) -> CommitInfo:
        """What a commit says of itself."""
        return commit_info(self.commit(commit))

    def commits_between(self, old: str | None, new: str) -> Since:
        """The commits that `new` has and `old` has not, newest first."""
        return commits_since(self._objects, old, new)

    def changed_paths(self, old: str | None, new: str) -> tuple[str, ...]:
        """Paths that differ between two commits; all when there is no old one."""
        before = self.commit(old).tree.decode() if old and self.has(old) else None
        return changed_between(self._objects, before, self.commit(new).tree.decode())

    def last_touched(self, since: Since, folder: str = "") -> dict[str, str]:
        """Path -> the newest commit of `since` that touched it."""
        return last_touched(self._objects, since, folder)

    def files(
        self,
        commit: str,
        folder: str = "",
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> Listing:
        """The files below a folder whose paths (relative to it) are included and not excluded.

        `.penstockignore` and `.kestraignore` in the folder leave out more. Raises `FolderMissing`.
        """
        whole = self.tree(commit, folder)
        return self.selected(whole, include=Patterns(include), exclude=Patterns(exclude))

    def tree(self, commit: str, folder: str = "") -> Listing:
        """Everything below a folder of a commit; raises `FolderMissing`."""
        tree = tree_at(self._objects, self.commit(commit).tree, folder)
        if tree is None:
            raise FolderMissing(folder, commit)
        return list_tree(self._objects, tree)

    def selected(
        self, listing: Listing, *, exclude: Patterns, include: Patterns | None = None
    ) -> Listing:
        """What patterns and ignore files leave of a listing; bad names are always told."""
        ignored = self._ignored(listing)

        def kept(path: str) -> bool:
            return (
                (not include or include.match(path))
                and not exclude.match(path)
                and not any(rules.match(path) for rules in ignored)
            )

        return Listing(
            entries=tuple(entry for entry in listing.entries if kept(entry.path)),
            links=tuple(link for link in listing.links if kept(link.path)),
            faults=tuple(
                fault for fault in listing.faults if fault.code == "BAD_PATH" or kept(fault.path)
            ),
        )

    def _ignored(self, listing: Listing) -> list[Ignored]:
        found = [entry for entry in listing.entries if entry.path in IGNORE_FILES]
        texts = (text_of(self._objects, entry, 65_536) for entry in found)
        return [Ignored(text) for text in texts if isinstance(text, str)]

    def read(self, blob: str) -> bytes:
        """The bytes of a blob; raises `KeyError` when it was left out for its size."""
        return bytes(self._objects[ObjectID(blob.encode())].as_raw_string())

    def read_text(self, entry: Entry, limit: int) -> str | Fault:
        """The text of a file, or the fault that keeps us from reading it."""
        return text_of(self._objects, entry, limit)

    def write_tree(self, commit: str, target: Path) -> int:
        """Write a copy of a commit below `target`, by the rules of `checkout`."""
        return write_files(self.tree(commit), self.read, target)

    @property
    def objects(self) -> BaseObjectStore:
        """The objects themselves."""
        return self._objects

    @property
    def crowded(self) -> bool:
        """Whether the store has so many packs that a fresh one is better."""
        return len(list(self._pack_folder.glob("*.pack"))) > MOST_PACKS

    @property
    def _pack_folder(self) -> Path:
        return self.path / "objects" / "pack"

    def commit(self, sha: str) -> Commit:
        """A commit that is here; raises `GitTrouble` for what is none."""
        try:
            _, found = peel_sha(self._objects, ObjectID(sha.encode()))
        except KeyError:
            raise GitTrouble(GIT_REF_NOT_FOUND, f"commit {sha} is not in the store") from None
        if not isinstance(found, Commit):
            raise GitTrouble(GIT_REF_NOT_FOUND, f"{sha} is no commit")
        return found


class FolderMissing(Exception):
    """The commit has no such folder."""

    def __init__(self, folder: str, commit: str) -> None:
        super().__init__(f"commit {commit[:7]} has no folder {folder!r}")
        self.folder = folder


def _look(client: GitClient, path: str, remote: Remote, wanted: Wanted) -> Seen:
    if wanted.kind == "commit":
        if not _SHA.fullmatch(wanted.name):
            raise GitTrouble(
                GIT_REF_NOT_FOUND, f"{wanted.name!r} is no full commit id (40 hex digits)"
            )
        return Seen(commit=wanted.name, ref=wanted.name)
    if wanted.kind == "branch" and wanted.name == HEAD:
        return _look_head(client, path, remote)
    stem = "refs/heads/" if wanted.kind == "branch" else "refs/tags/"
    full = wanted.name if wanted.name.startswith("refs/") else stem + wanted.name
    refs, _ = _refs(client, path, [full.partition("*")[0]])
    name = _highest(refs, full) if "*" in full else full
    if name is None or name not in refs:
        raise _missing(client, path, remote, wanted)
    return Seen(commit=refs[name], ref=name)


def _look_head(client: GitClient, path: str, remote: Remote) -> Seen:
    refs, links = _refs(client, path, [HEAD, "refs/heads/"])
    if HEAD in refs:
        return Seen(commit=refs[HEAD], ref=links.get(HEAD, HEAD))
    if not refs:
        raise GitTrouble(GIT_EMPTY, message_for(GIT_EMPTY, remote.url))
    raise _missing(client, path, remote, Wanted(name=links.get(HEAD, HEAD)))


def _refs(
    client: GitClient, path: str, prefixes: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Refs (tags peeled) and symbolic refs."""
    result = client.get_refs(path.encode(), ref_prefix=[prefix.encode() for prefix in prefixes])
    plain: dict[str, str] = {}
    peeled: dict[str, str] = {}
    for raw, sha in result.refs.items():
        name = raw.decode("utf-8", "replace")
        if sha is None:
            continue
        if name.endswith("^{}"):
            peeled[name[:-3]] = sha.decode()
        else:
            plain[name] = sha.decode()
    links = {
        name.decode("utf-8", "replace"): target.decode("utf-8", "replace")
        for name, target in (result.symrefs or {}).items()
    }
    return {**plain, **peeled}, links


def _highest(refs: dict[str, str], pattern: str) -> str | None:
    matching = Patterns([pattern])
    found = [name for name in refs if matching.match(name)]
    return max(found, key=_version, default=None)


def _version(name: str) -> tuple[tuple[int, ...], bool, str]:
    """Order of tags: by their numbers, and one with a suffix (`-rc1`) before the one without."""
    text = name.rpartition("/")[2]
    main, dash, _ = text.partition("-")
    return tuple(int(digits) for digits in re.findall(r"\d{1,18}", main)), not dash, text


def _missing(client: GitClient, path: str, remote: Remote, wanted: Wanted) -> GitTrouble:
    import difflib

    refs, _ = _refs(client, path, ["refs/heads/", "refs/tags/"])
    if not refs:
        return GitTrouble(GIT_EMPTY, message_for(GIT_EMPTY, remote.url))
    stem = "refs/heads/" if wanted.kind == "branch" else "refs/tags/"
    names = [name.removeprefix(stem) for name in refs if name.startswith(stem)]
    near = difflib.get_close_matches(wanted.name, names, n=5, cutoff=0.4) or sorted(names)[:5]
    hint = f" It has {', '.join(near)}." if near else ""
    message = (
        f"{remote.url} has no {wanted.kind} {wanted.name!r}.{hint} Set `ref` to one of its own."
    )
    return GitTrouble(GIT_REF_NOT_FOUND, message)
