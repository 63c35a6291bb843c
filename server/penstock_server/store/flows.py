"""Flows and their revisions: heads in `flows`, every text ever saved in `flow_revisions`.

A save makes a revision only if the text differs or the flow was deleted; a deletion is a revision
too, and numbering goes on after it. Functions take the connection of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select, tuple_, update

from penstock_runner.executor.store import StoredFlow
from penstock_server.store import upserts
from penstock_server.store.flow_holds import holds, set_held
from penstock_server.store.flow_rows import (
    Commit,
    Head,
    Hold,
    Override,
    Revision,
    Save,
    commit_of,
    digest,
    git_data,
    head_of,
    head_values,
    override_of,
    override_values,
    revision_of,
    revision_values,
)
from penstock_server.store.schema import flow_revisions, flows

__all__ = [
    "Commit",
    "Head",
    "Hold",
    "Override",
    "Revision",
    "Save",
    "digest",
    "drifted",
    "head",
    "heads",
    "holds",
    "last_of_git",
    "list_heads",
    "mark_deleted",
    "mentioning",
    "next_head",
    "revision",
    "revisions",
    "save_revision",
    "save_revisions",
    "set_held",
    "set_managed",
    "set_override",
    "sources",
    "stored",
    "texts",
]

_CHUNK = 200


def save_revision(
    connection: Connection, save: Save, *, now: datetime, drifted: bool = False
) -> Head:
    """Store the text unless it is the latest already; the head as it is then."""
    [saved] = save_revisions(connection, [save], now=now, drifted=drifted)
    return saved


def save_revisions(
    connection: Connection, saves: Sequence[Save], *, now: datetime, drifted: bool = False
) -> list[Head]:
    """Store many texts, each once, in a few statements; the heads in the order of the texts.

    A commit makes its source the owner of the flow; without one the owner stays, and `drifted`
    says whether the text now differs from what the owner has.
    """
    before = heads(connection, [(save.namespace, save.id) for save in saves])
    after = [
        next_head(save, before.get((save.namespace, save.id)), now, drifted=drifted)
        for save in saves
    ]
    _insert_revisions(
        connection,
        [
            revision_values(save, head, now)
            for save, head in zip(saves, after, strict=True)
            if head.revision != _revision(before.get((save.namespace, save.id)))
        ],
    )
    changed = [head for head in after if head != before.get((head.namespace, head.id))]
    upserts.put(connection, flows, [head_values(head) for head in changed])
    return after


def mark_deleted(
    connection: Connection,
    names: Collection[tuple[str, str]],
    *,
    now: datetime,
    by: str | None = None,
    via: str = "api",
    commit: Commit | None = None,
) -> list[Head]:
    """Delete flows: each gets one more revision, a deleted one with the last text."""
    found = [head for head in heads(connection, names).values() if not head.deleted]
    sources = _sources(connection, found)
    gone = [_changed(head, revision=head.revision + 1, deleted=True, updated=now) for head in found]
    saves = [
        Save(
            namespace=head.namespace,
            id=head.id,
            source=sources[head.namespace, head.id],
            by=by,
            via=via,
            commit=commit,
        )
        for head in gone
    ]
    _insert_revisions(
        connection,
        [revision_values(save, head, now) for save, head in zip(saves, gone, strict=True)],
    )
    upserts.put(connection, flows, [head_values(head) for head in gone])
    return gone


def set_override(
    connection: Connection,
    namespace: str,
    flow_id: str,
    override: Override | None,
    *,
    now: datetime,
) -> bool:
    """Set or remove a person's override; whether there is such a flow."""
    changed = connection.execute(
        update(flows)
        .where(flows.c.namespace == namespace, flows.c.id == flow_id, ~flows.c.deleted)
        .values(override=override_values(override), updated_at=now)
    )
    return bool(changed.rowcount)


def set_managed(
    connection: Connection,
    names: Iterable[tuple[str, str]],
    source_id: str | None,
    *,
    now: datetime,
) -> None:
    """Make a Git source the owner of flows, or nobody; they no longer differ from it."""
    for namespace, flow_id in names:
        connection.execute(
            update(flows)
            .where(flows.c.namespace == namespace, flows.c.id == flow_id)
            .values(managed_by=source_id, drifted=False, updated_at=now)
        )


def head(connection: Connection, namespace: str, flow_id: str) -> Head | None:
    """What the flow is now, also when deleted."""
    return heads(connection, [(namespace, flow_id)]).get((namespace, flow_id))


def heads(
    connection: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Head]:
    """The heads of these flows; unknown ones are left out."""
    wanted = list(dict.fromkeys(names))
    found = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        for row in connection.execute(
            select(flows).where(tuple_(flows.c.namespace, flows.c.id).in_(chunk))
        ):
            found[row.namespace, row.id] = head_of(row)
    return found


def list_heads(
    connection: Connection,
    *,
    namespace: str | None = None,
    managed_by: str | None = None,
    deleted: bool = False,
) -> list[Head]:
    """Heads by name: of one namespace with its children, or of one Git source, or all."""
    chosen = select(flows).order_by(flows.c.namespace, flows.c.id)
    if not deleted:
        chosen = chosen.where(~flows.c.deleted)
    if namespace is not None:
        chosen = chosen.where(
            (flows.c.namespace == namespace)
            | flows.c.namespace.startswith(namespace + ".", autoescape=True)
        )
    if managed_by is not None:
        chosen = chosen.where(flows.c.managed_by == managed_by)
    return [head_of(row) for row in connection.execute(chosen)]


def revision(
    connection: Connection, namespace: str, flow_id: str, number: int | None = None
) -> Revision | None:
    """One revision, the latest when no number is given, deleted or not."""
    wanted = () if number is None else (flow_revisions.c.revision == number,)
    return _latest(connection, namespace, flow_id, *wanted)


def revisions(connection: Connection, namespace: str, flow_id: str) -> list[Revision]:
    """All revisions of a flow, oldest first."""
    chosen = (
        select(flow_revisions)
        .where(flow_revisions.c.namespace == namespace, flow_revisions.c.id == flow_id)
        .order_by(flow_revisions.c.revision)
    )
    return [revision_of(row) for row in connection.execute(chosen)]


def sources(
    connection: Connection, *, namespace: str | None = None, managed_by: str | None = None
) -> dict[tuple[str, str], str]:
    """The latest texts of all flows, of a namespace with its children, or of a Git source."""
    return _sources(connection, list_heads(connection, namespace=namespace, managed_by=managed_by))


def drifted(connection: Connection, source_id: str) -> set[tuple[str, str]]:
    """The flows of a source that somebody has edited here."""
    chosen = select(flows.c.namespace, flows.c.id).where(
        flows.c.managed_by == source_id, flows.c.drifted, ~flows.c.deleted
    )
    return {(row.namespace, row.id) for row in connection.execute(chosen)}


def last_of_git(connection: Connection, namespace: str, flow_id: str) -> Revision | None:
    """The latest revision that came from a commit."""
    return _latest(connection, namespace, flow_id, flow_revisions.c.commit_sha.is_not(None))


def mentioning(
    connection: Connection, name: tuple[str, str], *, limit: int
) -> list[tuple[str, str]]:
    """Other flows whose latest text holds the namespace and the id of a flow, at most some.

    It is a search in texts: who is found may mean something else by them.
    """
    r = flow_revisions.c
    namespace, flow_id = name
    chosen = (
        select(r.namespace, r.id)
        .join(flows, and_(flows.c.namespace == r.namespace, flows.c.id == r.id))
        .where(
            r.revision == flows.c.revision,
            ~flows.c.deleted,
            r.source.contains(namespace, autoescape=True),
            r.source.contains(flow_id, autoescape=True),
            (r.namespace != namespace) | (r.id != flow_id),
        )
        .order_by(r.namespace, r.id)
        .limit(limit)
    )
    return [(row.namespace, row.id) for row in connection.execute(chosen)]


def texts(
    connection: Connection, wanted: Collection[tuple[str, str, int]]
) -> dict[tuple[str, str, int], str]:
    """The texts of these revisions (namespace, id, number)."""
    r = flow_revisions.c
    names = list(dict.fromkeys(wanted))
    found: dict[tuple[str, str, int], str] = {}
    for start in range(0, len(names), _CHUNK):
        chosen = select(r.namespace, r.id, r.revision, r.source).where(
            tuple_(r.namespace, r.id, r.revision).in_(names[start : start + _CHUNK])
        )
        for row in connection.execute(chosen):
            found[row.namespace, row.id, row.revision] = row.source
    return found


def stored(
    connection: Connection, namespace: str, flow_id: str, number: int | None
) -> StoredFlow | None:
    """A revision as the executor wants it, the latest when None; a deleted flow has no latest."""
    r = flow_revisions.c
    chosen = (
        select(
            flow_revisions,
            flows.c.override,
            flows.c.disabled,
            flows.c.deleted.label("head_deleted"),
        )
        .join(flows, and_(flows.c.namespace == r.namespace, flows.c.id == r.id))
        .where(r.namespace == namespace, r.id == flow_id)
        .where(r.revision == (flows.c.revision if number is None else number))
    )
    row = connection.execute(chosen).one_or_none()
    if row is None or (number is None and row.head_deleted):
        return None
    override = override_of(row.override)
    return StoredFlow(
        namespace=namespace,
        id=flow_id,
        revision=row.revision,
        source=row.source,
        deleted=row.deleted,
        disabled=row.disabled if override is None else override.disabled,
        git=git_data(commit_of(row)),
    )


def next_head(save: Save, before: Head | None, now: datetime, *, drifted: bool) -> Head:
    """The flow as it is once a text is saved over what it was before."""
    new_digest = digest(save.source)
    owner = before.managed_by if before is not None else None
    if save.commit is not None and save.owned:
        owner = save.commit.source_id
    same = before is not None and not before.deleted and before.digest == new_digest
    after = Head(
        namespace=save.namespace,
        id=save.id,
        revision=_revision(before) + (0 if same else 1),
        deleted=False,
        disabled=save.disabled,
        override=before.override if before is not None and not before.deleted else None,
        held=before.held if before is not None and not before.deleted else None,
        description=save.description,
        labels=save.labels,
        managed_by=owner,
        drifted=drifted and save.commit is None and owner is not None,
        digest=new_digest,
        updated=now,
    )
    if before is not None and same and _changed(after, updated=before.updated) == before:
        return before
    return after


def _latest(
    connection: Connection, namespace: str, flow_id: str, *wanted: ColumnElement[bool]
) -> Revision | None:
    chosen = (
        select(flow_revisions)
        .where(flow_revisions.c.namespace == namespace, flow_revisions.c.id == flow_id, *wanted)
        .order_by(flow_revisions.c.revision.desc())
        .limit(1)
    )
    row = connection.execute(chosen).one_or_none()
    return None if row is None else revision_of(row)


def _revision(before: Head | None) -> int:
    return before.revision if before is not None else 0


def _changed(before: Head, **changes: Any) -> Head:
    values = {name: getattr(before, name) for name in Head.__dataclass_fields__}
    return Head(**{**values, **changes})


def _insert_revisions(connection: Connection, values: list[dict[str, Any]]) -> None:
    if values:
        connection.execute(insert(flow_revisions), values)


def _sources(connection: Connection, found: Sequence[Head]) -> dict[tuple[str, str], str]:
    names = [(head_.namespace, head_.id, head_.revision) for head_ in found]
    return {name[:2]: source for name, source in texts(connection, names).items()}
