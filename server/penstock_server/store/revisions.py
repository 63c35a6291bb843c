"""Taking single revisions out of the history of a flow."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, select

from penstock_server.store.schema import executions, flow_revisions


def used(
    connection: Connection, namespace: str, flow_id: str, revisions: Collection[int]
) -> list[int]:
    """Those of the revisions that executions have run with."""
    query = (
        select(executions.c.flow_revision)
        .where(
            executions.c.namespace == namespace,
            executions.c.flow_id == flow_id,
            executions.c.flow_revision.in_(list(revisions)),
        )
        .distinct()
    )
    return sorted(connection.scalars(query))


def remove(connection: Connection, namespace: str, flow_id: str, revisions: Collection[int]) -> int:
    """Delete the revisions; how many there were."""
    gone = delete(flow_revisions).where(
        flow_revisions.c.namespace == namespace,
        flow_revisions.c.id == flow_id,
        flow_revisions.c.revision.in_(list(revisions)),
    )
    return int(connection.execute(gone).rowcount)
