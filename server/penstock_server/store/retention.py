"""Deletes what is too old, a small batch at a time, so that other writes come in between.

Executions are ordered by their ids, and what began after a moment cannot have ended before it:
`below` (the first id that could be drawn at that moment) keeps the search from going over the whole
table.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, tuple_

from penstock_server.store.engine import Tx
from penstock_server.store.executions import delete_executions
from penstock_server.store.schema import executions, idempotency, logs


def ended_before(
    connection: Connection,
    moment: datetime,
    *,
    below: str,
    limit: int = 100,
    namespace: str | None = None,
    flow_id: str | None = None,
    states: Collection[str] | None = None,
    since: str | None = None,
) -> list[str]:
    """Ids of executions that ended before a moment, oldest first; a namespace has children.

    `since` is the first id that is looked at.
    """
    chosen = (
        select(executions.c.id)
        .where(executions.c.id < below, executions.c.ended_at < moment)
        .order_by(executions.c.id)
        .limit(limit)
    )
    if namespace is not None:
        inside = executions.c.namespace.startswith(f"{namespace}.", autoescape=True)
        chosen = chosen.where((executions.c.namespace == namespace) | inside)
    if since is not None:
        chosen = chosen.where(executions.c.id >= since)
    if flow_id is not None:
        chosen = chosen.where(executions.c.flow_id == flow_id)
    if states is not None:
        chosen = chosen.where(executions.c.state.in_(states))
    return list(connection.scalars(chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An execution that has ended, by what decides whether it is kept."""

    id: str
    namespace: str
    flow_id: str
    ended: datetime


def page(
    connection: Connection, *, after: str, below: str, limit: int
) -> tuple[list[Past], str | None]:
    """The ended ones of the next `limit` executions, and the id to go on after (None: no more).

    What is read is bounded, whatever there is: nothing is looked for by age.
    """
    columns = (executions.c.id, executions.c.namespace, executions.c.flow_id, executions.c.ended_at)
    chosen = (
        select(*columns)
        .where(executions.c.id > after, executions.c.id < below)
        .order_by(executions.c.id)
        .limit(limit)
    )
    found = connection.execute(chosen).all()
    ended = [
        Past(id=id_, namespace=namespace, flow_id=flow_id, ended=at)
        for id_, namespace, flow_id, at in found
        if at is not None
    ]
    return ended, found[-1].id if len(found) == limit else None


def delete_lines(tx: Tx, ids: Collection[str], *, limit: int) -> int:
    """Delete some log lines of executions, at most `limit`; how many."""
    place = tuple_(logs.c.execution_id, logs.c.n)
    some = select(logs.c.execution_id, logs.c.n).where(logs.c.execution_id.in_(ids)).limit(limit)
    return tx.connection.execute(delete(logs).where(place.in_(some))).rowcount


def delete_past(tx: Tx, past: Collection[Past]) -> int:
    """Delete executions with all that is theirs, unless they have gone on meanwhile; how many."""
    ends = select(executions.c.id, executions.c.ended_at)
    now = dict(
        tx.connection.execute(ends.where(executions.c.id.in_([one.id for one in past]))).all()
    )
    gone = [one.id for one in past if now.get(one.id) == one.ended]
    delete_executions(tx, gone)
    return len(gone)


def delete_keys(tx: Tx, moment: datetime, *, limit: int = 5000) -> int:
    """Forget idempotency keys used before a moment; how many."""
    old = select(idempotency.c.key).where(idempotency.c.created_at < moment).limit(limit)
    return tx.connection.execute(delete(idempotency).where(idempotency.c.key.in_(old))).rowcount
