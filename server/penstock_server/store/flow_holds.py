"""Flows of sources that a person has taken back to a revision, and keeps there."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from penstock_server.store.flow_rows import Hold, hold_of, hold_values
from penstock_server.store.schema import flows


def set_held(connection: Connection, names: Iterable[tuple[str, str]], hold: Hold | None) -> None:
    """Keep flows from syncs for a time, or let go of them."""
    for namespace, flow_id in names:
        connection.execute(
            update(flows)
            .where(flows.c.namespace == namespace, flows.c.id == flow_id)
            .values(held=hold_values(hold))
        )


def holds(connection: Connection, source_id: str) -> dict[tuple[str, str], Hold]:
    """The flows of a source that a person took back to a revision, also where that is over."""
    chosen = select(flows.c.namespace, flows.c.id, flows.c.held).where(
        flows.c.managed_by == source_id, flows.c.held.is_not(None), ~flows.c.deleted
    )
    found: dict[tuple[str, str], Hold] = {}
    for row in connection.execute(chosen):
        hold = hold_of(row.held)
        if hold is not None:
            found[row.namespace, row.id] = hold
    return found
