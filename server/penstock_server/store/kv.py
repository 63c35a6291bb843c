"""The key-value store as rooms outside the executor read and write it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, select

from penstock_runner.tasks.api import KvEntry
from penstock_server.store import upserts
from penstock_server.store.schema import kv


def get(connection: Connection, namespace: str, key: str) -> KvEntry | None:
    """The entry as stored, expired or not."""
    row = connection.execute(
        select(kv).where(kv.c.namespace == namespace, kv.c.key == key)
    ).one_or_none()
    return None if row is None else entry_of(row)


def entries(connection: Connection, namespace: str) -> list[KvEntry]:
    """All entries of a namespace as stored, by key."""
    chosen = select(kv).where(kv.c.namespace == namespace).order_by(kv.c.key)
    return [entry_of(row) for row in connection.execute(chosen)]


def put(connection: Connection, namespace: str, entry: KvEntry) -> None:
    """Write an entry, over the one of its key."""
    row = {
        "namespace": namespace,
        "key": entry.key,
        "type": entry.type,
        "value": entry.value,
        "created_at": entry.created,
        "updated_at": entry.updated,
        "expires_at": entry.expires,
    }
    upserts.put(connection, kv, [row])


def remove(connection: Connection, namespace: str, key: str) -> bool:
    """Delete an entry; whether there was one."""
    gone = connection.execute(delete(kv).where(kv.c.namespace == namespace, kv.c.key == key))
    return bool(gone.rowcount)


def entry_of(row: Row[Any]) -> KvEntry:
    """The entry of a row."""
    return KvEntry(
        key=row.key,
        value=row.value,
        type=row.type,
        created=row.created_at,
        updated=row.updated_at,
        expires=row.expires_at,
    )
