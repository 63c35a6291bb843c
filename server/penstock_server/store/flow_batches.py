"""Many flows of one commit: rows are made ready bit by bit, heads move in one short statement.

What was read to make the rows is remembered, and looked at again when they are written: somebody
may have changed a flow meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, tuple_

from penstock_server.store import flows as stored
from penstock_server.store.bulk import Bound, BulkInsert
from penstock_server.store.engine import Tx
from penstock_server.store.flow_rows import Head, Save, head_values, revision_values
from penstock_server.store.schema import flow_revisions, flows, to_micros
from penstock_server.store.staging import Staging

Name = tuple[str, str]
_REVISIONS = BulkInsert(flow_revisions)
_NEW_HEADS = BulkInsert(flows, over=True)
# What a person has switched stays as it is, also when that was just now.
_HEADS = BulkInsert(flows, over=True, keep=["override", "held"])
_CHUNK = 200
_FEW = 400
_DELETION = (
    "INSERT INTO flow_revisions (namespace, id, revision, source, digest, deleted, created_at,"
    " saved_by, saved_via, source_id, commit_sha, commit_author, commit_email, commit_time,"
    " commit_subject, git_ref, sync_run_id)"
    " SELECT r.namespace, r.id, r.revision + 1, r.source, r.digest,"
    " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
    " FROM flow_revisions r WHERE r.namespace = ? AND r.id = ? AND r.revision = ?"
)
_ALL = "SELECT namespace, id, revision, digest, managed_by, deleted FROM flows"
_GONE = (
    "UPDATE flows SET revision = revision + 1, deleted = ?, drifted = ?, updated_at = ?"
    " WHERE namespace = ? AND id = ?"
)


class Outdated(Exception):
    """A flow has changed since the rows were made ready; nothing of them is written."""

    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """As much of a head as tells whether it is still the same."""

    namespace: str
    id: str
    revision: int
    digest: str
    managed_by: str | None
    deleted: bool

    @property
    def name(self) -> Name:
        """Namespace and id."""
        return (self.namespace, self.id)


@dataclass(slots=True)
class ReadyFlows:
    """Rows to write, and what they were made from; `heads` are the flows as they will be."""

    heads: list[Head] = field(default_factory=list)
    gone: list[tuple[Any, ...]] = field(default_factory=list)
    _revisions: list[Bound] = field(default_factory=list)
    _new_rows: list[Bound] = field(default_factory=list)
    _rows: list[Bound] = field(default_factory=list)
    _before: dict[Name, Live | None] = field(default_factory=dict)

    @property
    def _bulks(self) -> list[tuple[BulkInsert, list[Bound]]]:
        return [
            (_REVISIONS, self._revisions),
            (_NEW_HEADS, self._new_rows),
            (_HEADS, self._rows),
        ]

    def save(self, connection: Connection, saves: Sequence[Save], now: datetime) -> None:
        """Make the rows of some texts ready."""
        before = stored.heads(connection, [(save.namespace, save.id) for save in saves])
        for save in saves:
            known = before.get((save.namespace, save.id))
            head = stored.next_head(save, known, now, drifted=False)
            self._before[save.namespace, save.id] = _live(known) if known is not None else None
            self.heads.append(head)
            if known is None or head.revision != known.revision:
                self._revisions.append(_REVISIONS.bound(revision_values(save, head, now)))
            if known is None or known.deleted:
                self._new_rows.append(_NEW_HEADS.bound(head_values(head)))
            elif head != known:
                self._rows.append(_HEADS.bound(head_values(head)))

    def delete(self, known: Live, save: Save, now: datetime) -> None:
        """Delete a flow: one more revision, a deleted one with the last text."""
        commit, at = save.commit, to_micros(now)
        origin: tuple[Any, ...] = (None,) * 8
        if commit is not None:
            time = to_micros(commit.time) if commit.time is not None else None
            names = (_cut(commit.author), _cut(commit.email), time, _cut(commit.subject))
            origin = (commit.source_id, commit.sha, *names, commit.ref, commit.run_id)
        self._before[known.name] = known
        self.gone.append((True, at, _cut(save.by), save.via, *origin, *known.name, known.revision))

    def expect(self, wanted: Mapping[Name, Live | None]) -> None:
        """Raise `Outdated` unless the flows were so when their rows were made ready."""
        for name, live in wanted.items():
            known = self._before.get(name)
            there = known if known is not None and not known.deleted else None
            if there != live:
                raise Outdated(f"flow {'.'.join(name)} was changed meanwhile")

    def stage(self, tx: Tx, staging: Staging) -> None:
        """Put the rows aside that are ready so far."""
        for bulk, rows in self._bulks:
            staging.put(tx, bulk, rows)
            rows.clear()

    def write(self, tx: Tx, staging: Staging) -> None:
        """Move all heads, unless one has moved since; then `Outdated`, and nothing is written."""
        present = _present(tx, self._before.keys())
        for name, before in self._before.items():
            if present.get(name) != (None if before is None else _body(before)):
                raise Outdated(f"flow {'.'.join(name)} was changed meanwhile")
        for bulk, rows in self._bulks:
            staging.write(tx, bulk, rows)
        tx.execute_many(_DELETION, self.gone)
        tx.execute_many(_GONE, [(True, False, row[1], *row[-3:-1]) for row in self.gone])


def _present(tx: Tx, names: Collection[Name]) -> dict[Name, tuple[Any, ...]]:
    """The flows of these names as they are now, as `_body` tells one."""
    if len(names) <= _FEW:
        return {one.name: _body(one) for one in lives(tx.connection, names=names)}
    # One walk over the table is faster than many questions.
    return {(row[0], row[1]): tuple(row[2:]) for row in tx.raw.execute(_ALL).fetchall()}


def _body(live: Live) -> tuple[Any, ...]:
    return (live.revision, live.digest, live.managed_by, live.deleted)


def lives(
    connection: Connection,
    *,
    managed_by: str | None = None,
    names: Collection[Name] | None = None,
) -> list[Live]:
    """What flows are now, deleted ones included: of a source that has them, or by name."""
    f = flows.c
    chosen = select(f.namespace, f.id, f.revision, f.digest, f.managed_by, f.deleted)
    if managed_by is not None:
        chosen = chosen.where(f.managed_by == managed_by, ~f.deleted)
    if names is None:
        return _lives(connection.execute(chosen).all())
    if len(names) > _FEW:
        # One walk over the table is faster than many questions.
        wanted = set(names)
        return [one for one in _lives(connection.execute(chosen).all()) if one.name in wanted]
    found: list[Live] = []
    listed = list(dict.fromkeys(names))
    for start in range(0, len(listed), _CHUNK):
        some = chosen.where(tuple_(f.namespace, f.id).in_(listed[start : start + _CHUNK]))
        found += _lives(connection.execute(some).all())
    return found


def _lives(rows: Iterable[Any]) -> list[Live]:
    return [
        Live(
            namespace=row[0],
            id=row[1],
            revision=row[2],
            digest=row[3],
            managed_by=row[4],
            deleted=row[5],
        )
        for row in rows
    ]


def _live(head: Head) -> Live:
    return Live(
        namespace=head.namespace,
        id=head.id,
        revision=head.revision,
        digest=head.digest,
        managed_by=head.managed_by,
        deleted=head.deleted,
    )


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:200]
