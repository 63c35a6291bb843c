"""Operations that tasks ask for while they run on a runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock_runner.engine import events as e
from penstock_runner.engine.state import State
from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import Outcome, Refused
from penstock_runner.executor.resumes import first_paused, resume_outputs
from penstock_runner.expressions.environment import NoServices
from penstock_server.core.operations import makes
from penstock_server.core.operations.executions import running_children
from penstock_server.core.room import Answer, Operation, Room

ERROR_LINES = 100

Arguments = Mapping[str, Any]


def error_lines(room: Room, a: Arguments, answer: Answer) -> None:
    """The ERROR lines of an execution, for `errorLogs()`."""
    rows = room.store.error_lines(a["execution_id"], ERROR_LINES)
    answer.ok(
        [
            {
                "taskId": row.task_id,
                "taskRunId": row.taskrun_id,
                "message": row.message,
                "level": row.level,
                "timestamp": row.at.isoformat(),
            }
            for row in rows
        ]
    )


def resume(room: Room, a: Arguments, answer: Answer) -> None:
    """Resume a paused execution for the task that asks."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state is not State.PAUSED:
            raise Refused("The execution is not paused")
        key = room.settings.encryption_key
        outputs = resume_outputs(
            live,
            a.get("inputs") or {},
            render_typed=lambda source, variables: room.expressions.render_typed(
                source, variables, NoServices()
            ),
            encrypt=Cipher(key).encrypt if key else None,
        )
        return (e.Resumed(at=at, key=first_paused(live.execution()), outputs=outputs),)

    def done(outcome: Outcome) -> None:
        if outcome.error is None:
            answer.ok()
        elif isinstance(outcome.error, Refused) and outcome.error.status == 404:
            answer.refuse(f"No execution found for execution id {a['execution_id']}", 404)
        else:
            answer.fail(outcome.error)

    room.executor.tell_when(a["execution_id"], make, done)


def kill(room: Room, a: Arguments, answer: Answer) -> None:
    """Kill an execution for the task that asks; one that has ended is left as it is."""

    def done(outcome: Outcome) -> None:
        if outcome.error is None:
            answer.ok()
        else:
            answer.refuse(f"No execution found for execution id {a['execution_id']}", 404)

    # Whether it has ended or not, its children may run.
    killing = makes.kill({"cascade": True})
    room.executor.tell_when(a["execution_id"], killing, done)
    if a.get("propagate", True):
        for child in running_children(room, a["execution_id"]):
            room.executor.tell_when(child, killing)


def encrypt(room: Room, a: Arguments, answer: Answer) -> None:
    """A text as SECRET outputs are kept; None when there is no key."""
    key = room.settings.encryption_key
    answer.ok(Cipher(key).encrypt(str(a["text"])) if key else None)


OPERATIONS: Mapping[str, Operation] = {
    "logs.errors": error_lines,
    "executions.resume": resume,
    "executions.kill": kill,
    "encryption.encrypt": encrypt,
}
