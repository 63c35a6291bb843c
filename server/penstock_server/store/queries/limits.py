"""How many executions of flows run now, for those who look at limits."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from penstock_server.store.schema import executions

RUNNING = ("CREATED", "RUNNING", "PAUSED", "RETRYING", "KILLING", "RESTARTED")


def running_by_flow(connection: Connection) -> dict[tuple[str, str], int]:
    """The executions that have a slot and have not ended, by the name of their flow."""
    query = (
        select(executions.c.namespace, executions.c.flow_id, func.count().label("n"))
        .where(executions.c.ended_at.is_(None), executions.c.state.in_(RUNNING))
        .group_by(executions.c.namespace, executions.c.flow_id)
    )
    return {(row.namespace, row.flow_id): row.n for row in connection.execute(query)}
