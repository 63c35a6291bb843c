"""What the routes of Git sources share: a source that is there, and calls of core in a name."""

from __future__ import annotations

from typing import Any

from penstock_server.api.actors import actor
from penstock_server.api.context import WebContext
from penstock_server.api.problems import not_found
from penstock_server.store import queries

SYNC_SECONDS = 300.0


def known_source(connection: Any, source_id: str) -> dict[str, Any]:
    """The row of a source; an unknown one is a 404."""
    row = queries.source(connection, source_id)
    if row is None:
        raise not_found(f"there is no Git source '{source_id}'")
    return row


def call(context: WebContext, operation: str, source_id: str, **more: Any) -> dict[str, Any]:
    """Ask core for something about a source, in the name of who asks us."""
    answer: dict[str, Any] = context.client.call(
        operation, timeout=SYNC_SECONDS, source=source_id, actor=actor(context), **more
    )
    return answer
