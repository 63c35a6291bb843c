"""Git sources that people declare by the API: their settings as they were given.

What proves who we are to a host is encrypted before it comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from penstock_server.store import upserts
from penstock_server.store.schema import declared_sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One declared source."""

    id: str
    settings: Mapping[str, Any]
    updated_at: datetime
    updated_by: str | None = None


def put(connection: Connection, declared: Declared) -> None:
    """Write one, over what was declared of that name."""
    upserts.put(connection, declared_sources, [upserts.values_of(declared)])


def remove(connection: Connection, source_id: str) -> None:
    """Forget one."""
    connection.execute(delete(declared_sources).where(declared_sources.c.id == source_id))


def listed(connection: Connection) -> list[Declared]:
    """All of them by id."""
    rows = connection.execute(select(declared_sources).order_by(declared_sources.c.id)).mappings()
    return [Declared(**row) for row in rows]
