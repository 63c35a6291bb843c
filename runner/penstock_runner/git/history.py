"""Commits as values: one, those between two, and the paths that changed.

A store is shallow, so a parent may be missing: a walk ends there and says nothing of what lies
beyond.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

from dulwich.diff_tree import tree_changes
from dulwich.object_store import BaseObjectStore
from dulwich.objects import Commit, ObjectID

from penstock_runner.git.tree import tree_at

MOST_COMMITS = 500
_SUBJECT = 200
_MESSAGE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitInfo:
    """What a commit says of itself. Texts are cut: subject 200 characters, message 4 KiB."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    author_time: datetime
    committer_time: datetime
    subject: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What lies between two commits: newest first; `rewritten` when the old one is no ancestor."""

    commits: tuple[CommitInfo, ...]
    rewritten: bool = False


def commit_info(commit: Commit) -> CommitInfo:
    """Read a commit object."""
    name, email = _person(commit.author)
    message = commit.message.decode("utf-8", "replace").strip()
    return CommitInfo(
        sha=commit.id.decode(),
        tree=commit.tree.decode(),
        parents=tuple(parent.decode() for parent in commit.parents),
        author_name=name,
        author_email=email,
        author_time=_instant(commit.author_time, commit.author_timezone),
        committer_time=_instant(commit.commit_time, commit.commit_timezone),
        subject=message.split("\n", 1)[0][:_SUBJECT],
        message=message[:_MESSAGE],
    )


def commits_since(store: BaseObjectStore, old: str | None, new: str) -> Since:
    """The commits that `new` has and `old` has not, at most 500."""
    if old == new:
        return Since(commits=())
    if old is None:
        return Since(commits=_some(store, [new]))
    before = set(_ids(store, old))
    found = [sha for sha in _ids(store, new) if sha not in before]
    return Since(commits=_some(store, found), rewritten=old not in set(_ids(store, new)))


def _some(store: BaseObjectStore, shas: list[str]) -> tuple[CommitInfo, ...]:
    return tuple(
        commit_info(commit)
        for sha in shas[:MOST_COMMITS]
        if isinstance(commit := store[_id(sha)], Commit)
    )


def _ids(store: BaseObjectStore, start: str) -> Iterator[str]:
    """The commit and its ancestors as far as the store has them, breadth first."""
    waiting, seen = [start], {start}
    while waiting:
        following: list[str] = []
        for sha in waiting:
            try:
                commit = store[_id(sha)]
            except KeyError:
                continue
            if not isinstance(commit, Commit):
                continue
            yield sha
            parents = [parent.decode() for parent in commit.parents]
            following += [parent for parent in parents if parent not in seen]
            seen.update(parents)
        waiting = following


def changed_between(
    store: BaseObjectStore, old_tree: str | None, new_tree: str, folder: str = ""
) -> tuple[str, ...]:
    """Paths below `folder` (relative to it) that differ between two trees, sorted."""
    old = tree_at(store, _id(old_tree), folder) if old_tree else None
    new = tree_at(store, _id(new_tree), folder)
    paths: set[str] = set()
    for change in tree_changes(store, old, new):
        for side in (change.old, change.new):
            if side is not None and side.path is not None:
                paths.add(side.path.decode("utf-8", "backslashreplace"))
    return tuple(sorted(paths))


def last_touched(store: BaseObjectStore, since: Since, folder: str) -> dict[str, str]:
    """Path -> the newest of these commits that touched it (each compared with its first parent)."""
    touched: dict[str, str] = {}
    for info in since.commits:
        parent = info.parents[0] if info.parents else None
        if parent is None or _id(parent) not in store:
            continue
        before = store[_id(parent)]
        if isinstance(before, Commit):
            for path in changed_between(store, before.tree.decode(), info.tree, folder):
                touched.setdefault(path, info.sha)
    return touched


def cut(info: CommitInfo) -> CommitInfo:
    """The commit without the tail of its message, for lists."""
    return replace(info, message=info.subject)


def _id(sha: str) -> ObjectID:
    return ObjectID(sha.encode())


def _person(raw: bytes) -> tuple[str, str]:
    text = raw.decode("utf-8", "replace")
    name, _, rest = text.partition("<")
    return name.strip()[:200], rest.partition(">")[0].strip()[:200]


def _instant(seconds: int, offset: int) -> datetime:
    """A moment of a commit; nonsense (year 60000, an offset of a week) becomes 1970 or UTC."""
    zone = timezone(timedelta(seconds=offset)) if abs(offset) < 86_400 else UTC
    try:
        return datetime.fromtimestamp(seconds, zone)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, UTC)
