"""Who changed what of Git sources, and when: rows that are written with the change itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from penstock_server.store import upserts
from penstock_server.store.schema import audit_events

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One change that a person, or the configuration, has made; no secret is in `details`."""

    id: str
    at: datetime
    action: str
    subject: str
    actor: str | None = None
    details: Mapping[str, Any] | None = None


def add(connection: Connection, event: AuditEvent) -> None:
    """Note a change."""
    values = upserts.values_of(event)
    actor = None if event.actor is None else event.actor[:_LONGEST_NAME]
    connection.execute(insert(audit_events).values({**values, "actor": actor}))


def page(
    connection: Connection, *, subject: str | None = None, offset: int = 0, limit: int = 25
) -> tuple[list[AuditEvent], int]:
    """The changes, newest first, and how many there are."""
    wanted = [audit_events.c.subject == subject] if subject is not None else []
    chosen = (
        select(audit_events)
        .where(*wanted)
        .order_by(audit_events.c.at.desc(), audit_events.c.id.desc())
        .offset(offset)
        .limit(limit)
    )
    total = connection.execute(select(func.count()).select_from(audit_events).where(*wanted))
    found = [AuditEvent(**row) for row in connection.execute(chosen).mappings()]
    return found, int(total.scalar_one())
