"""Flows and revisions as values, and as rows of their tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Where in Git a revision comes from."""

    source_id: str
    sha: str
    author: str | None = None
    email: str | None = None
    time: datetime | None = None
    subject: str | None = None
    path: str | None = None
    blob: str | None = None
    ref: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """A text to store as the latest revision of a flow, with what its head says of it.

    `owned` says that the source of the commit keeps the flow from now on.
    """

    namespace: str
    id: str
    source: str
    disabled: bool = False
    description: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    by: str | None = None
    via: str = "api"
    commit: Commit | None = None
    owned: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A person's word on a flow that outlives syncs."""

    disabled: bool
    by: str | None = None
    at: datetime | None = None
    until: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A flow of a source that a person has taken back to a revision: syncs leave it alone.

    Once `until` has passed, the next sync gives it the text of its repository.
    """

    revision: int
    at: datetime
    by: str | None = None
    until: datetime | None = None
    reason: str | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it is not over."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a flow is now."""

    namespace: str
    id: str
    revision: int
    deleted: bool
    disabled: bool
    override: Override | None
    description: str | None
    labels: Mapping[str, str]
    managed_by: str | None
    drifted: bool
    digest: str
    updated: datetime
    held: Hold | None = None

    @property
    def enabled(self) -> bool:
        """Whether executions may start: a person's override goes before the text."""
        return not (self.override.disabled if self.override is not None else self.disabled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One text of a flow, and how it came."""

    namespace: str
    id: str
    revision: int
    source: str
    digest: str
    deleted: bool
    created: datetime
    by: str | None
    via: str
    commit: Commit | None


def digest(source: str) -> str:
    """What makes two texts equal: line ends and blanks at the end of the file do not count."""
    plain = source.replace("\r\n", "\n").rstrip()
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def head_values(head_: Head) -> dict[str, Any]:
    """The head as a row of `flows`."""
    return {
        "namespace": head_.namespace,
        "id": head_.id,
        "revision": head_.revision,
        "deleted": head_.deleted,
        "disabled": head_.disabled,
        "override": override_values(head_.override),
        "held": hold_values(head_.held),
        "description": head_.description,
        "labels": dict(head_.labels),
        "managed_by": head_.managed_by,
        "drifted": head_.drifted,
        "digest": head_.digest,
        "updated_at": head_.updated,
    }


def revision_values(save: Save, head_: Head, now: datetime) -> dict[str, Any]:
    """The text as a row of `flow_revisions`."""
    commit = save.commit
    return {
        "namespace": save.namespace,
        "id": save.id,
        "revision": head_.revision,
        "source": save.source,
        "digest": head_.digest,
        "deleted": head_.deleted,
        "created_at": now,
        "saved_by": _cut(save.by),
        "saved_via": save.via,
        "source_id": commit.source_id if commit else None,
        "commit_sha": commit.sha if commit else None,
        "commit_author": _cut(commit.author) if commit else None,
        "commit_email": _cut(commit.email) if commit else None,
        "commit_time": commit.time if commit else None,
        "commit_subject": _cut(commit.subject) if commit else None,
        "git_path": commit.path if commit else None,
        "git_blob": commit.blob if commit else None,
        "git_ref": commit.ref if commit else None,
        "sync_run_id": commit.run_id if commit else None,
    }


def head_of(row: Row[Any]) -> Head:
    """The head of a row of `flows`."""
    return Head(
        namespace=row.namespace,
        id=row.id,
        revision=row.revision,
        deleted=row.deleted,
        disabled=row.disabled,
        override=override_of(row.override),
        description=row.description,
        labels=row.labels or {},
        managed_by=row.managed_by,
        drifted=row.drifted,
        digest=row.digest,
        updated=row.updated_at,
        held=hold_of(row.held),
    )


def revision_of(row: Row[Any]) -> Revision:
    """The revision of a row of `flow_revisions`."""
    return Revision(
        namespace=row.namespace,
        id=row.id,
        revision=row.revision,
        source=row.source,
        digest=row.digest,
        deleted=row.deleted,
        created=row.created_at,
        by=row.saved_by,
        via=row.saved_via,
        commit=commit_of(row),
    )


def commit_of(row: Row[Any]) -> Commit | None:
    """Where the revision of a row comes from."""
    if row.commit_sha is None or row.source_id is None:
        return None
    return Commit(
        source_id=row.source_id,
        sha=row.commit_sha,
        author=row.commit_author,
        email=row.commit_email,
        time=row.commit_time,
        subject=row.commit_subject,
        path=row.git_path,
        blob=row.git_blob,
        ref=row.git_ref,
        run_id=row.sync_run_id,
    )


def git_data(commit: Commit | None) -> dict[str, Any] | None:
    """The commit as plain data, for expressions and labels."""
    if commit is None:
        return None
    return {
        "source": commit.source_id,
        "commit": commit.sha,
        "author": commit.author,
        "email": commit.email,
        "time": commit.time.isoformat() if commit.time is not None else None,
        "subject": commit.subject,
        "path": commit.path,
        "blob": commit.blob,
        "ref": commit.ref,
        "run": commit.run_id,
    }


def override_of(values: Mapping[str, Any] | None) -> Override | None:
    """The override of a stored map."""
    if values is None:
        return None
    return Override(
        disabled=values["disabled"],
        by=values.get("by"),
        at=_instant(values.get("at")),
        until=_instant(values.get("until")),
        reason=values.get("reason"),
    )


def override_values(override: Override | None) -> dict[str, Any] | None:
    """The override as a map to store."""
    if override is None:
        return None
    return {name: getattr(override, name) for name in Override.__dataclass_fields__}


def hold_of(values: Mapping[str, Any] | None) -> Hold | None:
    """The hold of a stored map."""
    if values is None:
        return None
    return Hold(
        revision=values["revision"],
        at=datetime.fromisoformat(values["at"]),
        by=values.get("by"),
        until=_instant(values.get("until")),
        reason=values.get("reason"),
    )


def hold_values(hold: Hold | None) -> dict[str, Any] | None:
    """The hold as a map to store."""
    if hold is None:
        return None
    return {name: getattr(hold, name) for name in Hold.__dataclass_fields__}


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:200]


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
