"""Operations on log lines: reading them for tasks, deleting them for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.flow.model import Level
from penstock_server.core.room import Answer, Operation, Room
from penstock_server.core.shapes import log_to_json
from penstock_server.store import logs as stored_logs
from penstock_server.store.engine import Tx

LEVELS = list(Level)
FETCHED = 100_000

Arguments = Mapping[str, Any]


def fetch(room: Room, a: Arguments, answer: Answer) -> None:
    """The lines of an execution from a level up, for the task that asks."""
    lowest = LEVELS.index(Level(a.get("level") or "INFO"))
    tasks = a.get("task_ids")
    with room.database.read() as connection:
        rows = stored_logs.after(connection, a["execution_id"], 0, limit=FETCHED)
    answer.ok(
        [
            log_to_json(row)
            for row in rows
            if LEVELS.index(Level(row.level)) >= lowest and (not tasks or row.task_id in tasks)
        ]
    )


def delete(room: Room, a: Arguments, answer: Answer) -> None:
    """Delete lines of an execution, or of all executions of a flow."""
    lowest = a.get("min_level")
    levels = None if lowest is None else LEVELS[LEVELS.index(Level(lowest)) :]

    def write(tx: Tx) -> None:
        if a.get("_task") is None and a.get("execution_id"):
            stored_logs.remove(
                tx.connection,
                a["execution_id"],
                levels=levels,
                task_id=a.get("task_id"),
                taskrun_id=a.get("taskrun_id"),
                attempt=a.get("attempt"),
            )
        elif a.get("namespace") and a.get("flow_id"):
            stored_logs.remove_of_flow(tx.connection, a["namespace"], a["flow_id"])

    room.write(answer, [write])


OPERATIONS: Mapping[str, Operation] = {
    "logs.fetch": fetch,
    "logs.delete": delete,
}
