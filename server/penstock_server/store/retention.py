"""Deletes what is too old, a small batch at a time, so that other writes come in between.

Executions are ordered by their ids, and what began after a moment cannot have ended before it:
`below` (the first id that could be drawn at that moment) keeps the search from going over the whole
table.
"""

from __future__ import annotations

from collections.abc import Collection
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


def delete_ended(tx: Tx, moment: datetime, *, below: str, limit: int = 100) -> int:
    """Delete executions that ended before a moment, with all that is theirs; how many."""
    gone = ended_before(tx.connection, moment, below=below, limit=limit)
    delete_executions(tx, gone)
    return len(gone)


def delete_logs(tx: Tx, moment: datetime, *, below: str, limit: int = 5000) -> int:
    """Delete log lines older than a moment, of executions that began before it; how many."""
    place = tuple_(logs.c.execution_id, logs.c.n)
    old = (
        select(logs.c.execution_id, logs.c.n)
        .where(logs.c.execution_id < below, logs.c.at < moment)
        .order_by(logs.c.execution_id, logs.c.n)
        .limit(limit)
    )
    return tx.connection.execute(delete(logs).where(place.in_(old))).rowcount


def delete_keys(tx: Tx, moment: datetime, *, limit: int = 5000) -> int:
    """Forget idempotency keys used before a moment; how many."""
    old = select(idempotency.c.key).where(idempotency.c.created_at < moment).limit(limit)
    return tx.connection.execute(delete(idempotency).where(idempotency.c.key.in_(old))).rowcount
