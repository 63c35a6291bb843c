"""Git sources as stored: their state, their commits, and what each applied commit held."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select, update

from penstock_server.store import namespace_files, test_suites, upserts
from penstock_server.store.schema import flows, git_commits, git_sources, manifests

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """A source with all that is known of it; `config` is what its configuration says."""

    id: str
    url: str
    ref_kind: str
    ref: str
    config: Data
    config_digest: str
    origin: str
    updated_at: datetime
    path: str = ""
    enabled: bool = True
    pinned_commit: str | None = None
    pinned_by: str | None = None
    pinned_reason: str | None = None
    pinned_until: datetime | None = None
    observed_commit: str | None = None
    observed_at: datetime | None = None
    observed_ref: str | None = None
    applied_commit: str | None = None
    applied_at: datetime | None = None
    applied_run_id: str | None = None
    failed_commit: str | None = None
    next_poll_at: datetime | None = None
    failures: int = 0
    status: str = "Unknown"
    conditions: Sequence[Data] | None = None
    webhook_at: datetime | None = None
    behind: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GitCommit:
    """A commit that was looked at."""

    source_id: str
    sha: str
    parents: Sequence[str] = ()
    author_name: str | None = None
    author_email: str | None = None
    author_time: datetime | None = None
    committer_time: datetime | None = None
    subject: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that an applied commit held; an entry is plain data (key, path, blob ...).

    `entries` may be `packed` already when a manifest is written.
    """

    source_id: str
    commit_sha: str
    applied_at: datetime
    entries: Any


def put_source(connection: Connection, source: GitSource) -> None:
    """Write a source, over what was stored of it."""
    upserts.put(connection, git_sources, [upserts.values_of(source)])


def source(connection: Connection, source_id: str, *, for_update: bool = False) -> GitSource | None:
    """A source by its id; `for_update` keeps others from changing it until the transaction ends."""
    chosen = select(git_sources).where(git_sources.c.id == source_id)
    if for_update:
        chosen = chosen.with_for_update()  # SQLite has one writer anyway, and leaves it out
    row = connection.execute(chosen).mappings().one_or_none()
    return None if row is None else GitSource(**row)


def list_sources(connection: Connection) -> list[GitSource]:
    """All sources by id."""
    found = connection.execute(select(git_sources).order_by(git_sources.c.id)).mappings()
    return [GitSource(**row) for row in found]


def remove_source(connection: Connection, source_id: str, *, now: datetime) -> bool:
    """Forget a source; its flows stay and belong to nobody. Whether there was such a source."""
    connection.execute(
        update(flows)
        .where(flows.c.managed_by == source_id)
        .values(managed_by=None, drifted=False, updated_at=now)
    )
    namespace_files.set_free(connection, source_id)
    test_suites.set_free(connection, source_id)
    for table in (git_commits, manifests):
        connection.execute(delete(table).where(table.c.source_id == source_id))
    gone = connection.execute(delete(git_sources).where(git_sources.c.id == source_id))
    return bool(gone.rowcount)


def add_commits(connection: Connection, commits: Iterable[GitCommit]) -> None:
    """Remember commits; those that are known stay as they are."""
    upserts.add_all(connection, git_commits, [_commit_values(commit) for commit in commits])


def commit(connection: Connection, source_id: str, sha: str) -> GitCommit | None:
    """A commit that was remembered."""
    chosen = select(git_commits).where(
        git_commits.c.source_id == source_id, git_commits.c.sha == sha
    )
    row = connection.execute(chosen).mappings().one_or_none()
    return None if row is None else GitCommit(**{**row, "parents": tuple(row["parents"] or ())})


def commits_beginning(
    connection: Connection, source_id: str, beginning: str, *, limit: int = 5
) -> list[str]:
    """The remembered commits whose id begins so."""
    chosen = (
        select(git_commits.c.sha)
        .where(
            git_commits.c.source_id == source_id,
            git_commits.c.sha.startswith(beginning, autoescape=True),
        )
        .order_by(git_commits.c.sha)
        .limit(limit)
    )
    return list(connection.scalars(chosen))


def packed(entries: Sequence[Data]) -> str:
    """The entries of a manifest as they are stored."""
    return base64.b64encode(zlib.compress(orjson.dumps(list(entries)), 1)).decode()


def put_manifest(connection: Connection, manifest: Manifest, *, keep: int = 50) -> None:
    """Remember what an applied commit held, and of older ones the last `keep`."""
    entries = manifest.entries
    text = entries if isinstance(entries, str) else packed(entries)
    row = {**upserts.values_of(manifest), "entries": text}
    upserts.put(connection, manifests, [row])
    of_source = manifests.c.source_id == manifest.source_id
    latest = (
        select(manifests.c.commit_sha)
        .where(of_source)
        .order_by(manifests.c.applied_at.desc())
        .limit(keep)
    )
    kept = list(connection.scalars(latest))
    connection.execute(delete(manifests).where(of_source, manifests.c.commit_sha.not_in(kept)))


def manifest(connection: Connection, source_id: str, sha: str) -> Manifest | None:
    """What a commit held, when it was applied and is still remembered."""
    chosen = select(manifests).where(
        manifests.c.source_id == source_id, manifests.c.commit_sha == sha
    )
    row = connection.execute(chosen).mappings().one_or_none()
    if row is None:
        return None
    return Manifest(**{**row, "entries": _entries(row["entries"])})


def _entries(text: str) -> list[dict[str, Any]]:
    return list(orjson.loads(zlib.decompress(base64.b64decode(text))))


def file_contents(connection: Connection) -> set[str]:
    """The contents of namespace files that remembered commits had, by what they hold."""
    found: set[str] = set()
    for text in connection.scalars(select(manifests.c.entries)):
        for entry in _entries(text):
            if entry.get("file"):
                found.add(entry["file"]["sha256"])
    return found


def applied_commits(connection: Connection, source_id: str) -> list[tuple[str, datetime]]:
    """Commits that can be gone back to without the network, the last applied first."""
    chosen = (
        select(manifests.c.commit_sha, manifests.c.applied_at)
        .where(manifests.c.source_id == source_id)
        .order_by(manifests.c.applied_at.desc())
    )
    return [(sha, at) for sha, at in connection.execute(chosen)]


def _commit_values(commit_: GitCommit) -> dict[str, Any]:
    """A row; long subjects and messages are cut."""
    values = upserts.values_of(commit_)
    return {
        **values,
        "parents": list(commit_.parents),
        "author_name": _cut(commit_.author_name, 200),
        "author_email": _cut(commit_.author_email, 200),
        "subject": _cut(commit_.subject, 200),
        "message": _cut(commit_.message, 4096),
    }


def _cut(text: str | None, length: int) -> str | None:
    return None if text is None else text[:length]
