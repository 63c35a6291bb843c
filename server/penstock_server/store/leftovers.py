"""Files of executions whose rows are gone: where they are, until they are gone, too."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, select

from penstock_server.store.schema import leftovers
from penstock_server.store.upserts import put


def note(connection: Connection, prefixes: Iterable[str], since: datetime) -> None:
    """What is below these prefixes of the storage is to be deleted."""
    put(connection, leftovers, [{"prefix": prefix, "since": since} for prefix in prefixes])


def oldest(connection: Connection, limit: int) -> list[str]:
    """Some of the prefixes, the oldest first."""
    columns = leftovers.c.since, leftovers.c.prefix
    return list(connection.scalars(select(leftovers.c.prefix).order_by(*columns).limit(limit)))


def forget(connection: Connection, prefixes: Collection[str]) -> None:
    """Nothing is below these prefixes any more."""
    connection.execute(delete(leftovers).where(leftovers.c.prefix.in_(prefixes)))
