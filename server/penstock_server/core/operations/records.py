"""Operations of tasks on past executions and their logs: look up, count, purge."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from penstock_runner.engine.state import State
from penstock_runner.executor.ids import first_id
from penstock_runner.executor.messages import Outcome
from penstock_runner.executor.store import Write
from penstock_runner.flow.model import Level
from penstock_server.core.room import Answer, Operation, Room, instant
from penstock_server.store import logs as stored_logs
from penstock_server.store import retention
from penstock_server.store.engine import Tx
from penstock_server.store.executions import delete_executions
from penstock_server.store.queries.executions import counted, execution

PURGED_AT_ONCE = 100
LINES_AT_ONCE = 1_000

Arguments = Mapping[str, Any]


def get(room: Room, a: Arguments, answer: Answer) -> None:
    """The facts of an execution that messages about it tell."""
    with room.database.read() as connection:
        found = execution(connection, a["execution_id"])
    if found is None:
        answer.refuse(f"No execution found for execution id {a['execution_id']}", 404)
        return
    start, last = found.history[0][1], found.history[-1][1]
    failed = [run for run in found.runs.values() if run.state is State.FAILED]
    place = f"{found.namespace}/{found.flow_id}/{found.id}"
    answer.ok(
        {
            "id": found.id,
            "namespace": found.namespace,
            "flowId": found.flow_id,
            "state": found.state.value,
            "startDate": start.isoformat(),
            "duration": f"{(last - start).total_seconds():.1f} s",
            "failedTask": min(failed, key=lambda run: run.order).task_id if failed else None,
            "url": f"{room.settings.public_url}/executions/{place}",
        }
    )


def count(room: Room, a: Arguments, answer: Answer) -> None:
    """How many executions each flow, or each flow of a namespace, has had."""
    with room.database.read() as connection:
        found = counted(
            connection,
            flows=[(flow["namespace"], flow["flowId"]) for flow in a.get("flows") or ()],
            namespaces=a.get("namespaces") or (),
            states=a.get("states") or (),
            start=instant(a.get("start_date")),
            end=instant(a.get("end_date")),
        )
    answer.ok([{"namespace": n, "flowId": f, "count": number} for n, f, number in found])


def purge(room: Room, a: Arguments, answer: Answer) -> None:
    """Delete ended executions, a hundred a transaction, so that others come in between."""
    moment = instant(a["end_date"])
    if moment is None:
        answer.refuse("endDate is needed")
        return
    if not a.get("executions", True):
        answer.refuse("purgeExecution: false is not supported: purge the logs with PurgeLogs")
        return
    done = {"executionsCount": 0, "logsCount": 0, "metricsCount": 0, "storagesCount": 0}
    _purge_next(room, a, moment, done, answer)


def _purge_next(
    room: Room, a: Arguments, moment: datetime, done: dict[str, int], answer: Answer
) -> None:
    with room.database.read() as connection:
        ids = retention.ended_before(
            connection,
            moment,
            below=first_id(moment),
            limit=PURGED_AT_ONCE,
            namespace=a.get("namespace"),
            flow_id=a.get("flow_id"),
            states=a.get("states"),
            since=first_id(start) if (start := instant(a.get("start_date"))) else None,
        )
        gone = [found for found in (execution(connection, one) for one in ids) if found]
    if not gone:
        room.leftovers.when_through(lambda: answer.ok(done))
        return
    writes: list[Write] = [lambda tx: delete_executions(tx, ids)]
    if a.get("storage", True):
        writes.append(room.leftovers.noted(gone))

    def counted(files: int) -> None:
        done["storagesCount"] += files

    def after(outcome: Outcome) -> None:
        if outcome.error is not None:
            answer.fail(outcome.error)
            return
        done["executionsCount"] += len(gone)
        if a.get("storage", True):
            room.leftovers.gone(gone, counted)
        _purge_next(room, a, moment, done, answer)

    room.executor.transact(writes=writes, done=after)


def purge_logs(room: Room, a: Arguments, answer: Answer) -> None:
    """Delete old log lines of executions that have ended or not.

    Each transaction looks at a thousand lines, so that others come in between.
    """
    _purge_lines(room, a, None, 0, answer)


def _purge_lines(
    room: Room, a: Arguments, beyond: stored_logs.LineKey | None, before: int, answer: Answer
) -> None:
    removed = before
    until: stored_logs.LineKey | None = None

    def write(tx: Tx) -> None:
        nonlocal removed, until
        until = stored_logs.slice_end(tx.connection, beyond, LINES_AT_ONCE)
        removed = before + stored_logs.remove_between(
            tx.connection,
            start=instant(a.get("start_date")),
            end=instant(a["end_date"]),
            namespace=a.get("namespace"),
            flow_id=a.get("flow_id"),
            levels=[Level(level) for level in a.get("levels") or Level],
            beyond=beyond,
            until=until,
        )

    def after(outcome: Outcome) -> None:
        if outcome.error is not None:
            answer.fail(outcome.error)
        elif until is None:
            answer.ok(removed)
        else:
            _purge_lines(room, a, until, removed, answer)

    room.executor.transact(writes=[write], done=after)


OPERATIONS: Mapping[str, Operation] = {
    "executions.get": get,
    "executions.count": count,
    "executions.purge": purge,
    "logs.purge": purge_logs,
}
