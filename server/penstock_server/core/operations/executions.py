"""Operations on executions: start, stop, pause, go on, do again, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock_runner.engine.state import REQUEST, Execution, RunKey, TriggerOrigin
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.inbox import Remove
from penstock_runner.executor.messages import Done, Outcome, Refused, Start
from penstock_runner.flow.labels import REPLAY, RESTARTED
from penstock_server.core.operations import makes
from penstock_server.core.operations.makes import Arguments, Make
from penstock_server.core.room import Answer, Operation, Room, instant
from penstock_server.core.shapes import execution_to_json
from penstock_server.store.queries.executions import unended_children

START_QUEUE = 5000


def start(room: Room, a: Arguments, answer: Answer) -> None:
    """Start an execution with inputs that are resolved already."""
    if room.executor.waiting >= START_QUEUE:
        answer.refuse("too many starts are waiting; try again in a second", 503)
        return
    trigger = a.get("trigger")
    request = Start(
        namespace=a["namespace"],
        flow_id=a["flow_id"],
        revision=a.get("revision"),
        inputs=a.get("inputs"),
        labels=dict(a.get("labels") or ()),
        schedule_date=instant(a.get("schedule_date")),
        idempotency_key=a.get("idempotency_key"),
        trigger=TriggerOrigin(**trigger) if trigger else None,
        origin=a.get("origin", "api"),
        id=a.get("id"),
        facts={REQUEST: a["asked"]} if a.get("asked") else {},
    )
    if a.get("wait"):
        room.executor.start_and_wait(request, _with_execution(answer))
    else:
        room.executor.transact(starts=[request], done=_with_execution(answer))


def checks(room: Room, a: Arguments, answer: Answer) -> None:
    """The checks that a start with these inputs would not pass."""
    request = Start(
        namespace=a["namespace"],
        flow_id=a["flow_id"],
        revision=a.get("revision"),
        inputs=a.get("inputs"),
        labels=dict(a.get("labels") or ()),
    )
    try:
        failed = room.executor.failed_checks(request)
    except Refused as refused:
        answer.fail(refused)
        return
    shown = ("message", "style", "behavior")
    answer.ok([{name: getattr(one, name) for name in shown} for one in failed])


def _with_execution(answer: Answer) -> Done:
    def done(outcome: Outcome) -> None:
        if outcome.error is not None:
            answer.fail(outcome.error)
        else:
            answer.ok({"execution": execution_to_json(outcome.executions[0])})

    return done


def _telling(maker: Callable[[Arguments], Make]) -> Operation:
    """An operation that only moves the execution it names."""

    def operation(room: Room, a: Arguments, answer: Answer) -> None:
        room.executor.tell_when(a["id"], maker(a), done=_with_execution(answer))

    return operation


def kill(room: Room, a: Arguments, answer: Answer) -> None:
    """Kill an execution, and with `cascade` those that it started."""
    room.executor.tell_when(a["id"], makes.kill(a), done=_with_execution(answer))
    if a.get("cascade", True):
        for child in running_children(room, a["id"]):
            room.executor.tell_when(child, makes.kill({"cascade": True}))


def running_children(room: Room, execution_id: str) -> list[str]:
    """All that an execution has started, directly or not, and that has not ended."""
    found: list[str] = []
    with room.database.read() as connection:
        level = [execution_id]
        while level:
            level = unended_children(connection, level)
            level = [child for child in level if child not in found]
            found.extend(level)
    return found


def replay(room: Room, a: Arguments, answer: Answer) -> None:
    """A new execution that does an old one again, from the beginning or from a task run."""
    old = room.store.load([a["id"]]).get(a["id"])
    if old is None:
        answer.refuse("Not Found", 404)
        return
    key: RunKey | None = None
    if a.get("taskrun_id"):
        keys = [k for k in old.runs if taskrun_id(old.id, k) == a["taskrun_id"]]
        if not keys:
            answer.refuse(f"No task found to replay from: there is no task run {a['taskrun_id']}")
            return
        key = keys[0]
    request = once_more(old, revision=a.get("revision"), key=key)
    room.executor.transact(starts=[request], done=_with_execution(answer))


def once_more(old: Execution, *, revision: int | None = None, key: RunKey | None = None) -> Start:
    """The start that does an execution again."""
    return Start(
        namespace=old.namespace,
        flow_id=old.flow_id,
        revision=revision or old.flow_revision,
        inputs=old.inputs,
        labels={k: v for k, v in old.labels.items() if k != RESTARTED} | {REPLAY: "true"},
        trigger=old.trigger,
        variables=old.variables,
        origin="replay",
        replay_of=old,
        replay_from=key,
    )


def delete(room: Room, a: Arguments, answer: Answer) -> None:
    """Delete an execution with all that belongs to it."""

    def done(outcome: Outcome) -> None:
        if outcome.error is not None:
            answer.fail(outcome.error)
            return
        if a.get("storage", True):
            room.leftovers.gone(outcome.executions)
        answer.ok()

    room.executor.remove(removal(room, a["id"], a, done))


def removal(room: Room, execution_id: str, a: Arguments, done: Done | None = None) -> Remove:
    """How an execution is deleted, and what is kept of it."""
    files = a.get("storage", True)
    return Remove(
        execution_id=execution_id,
        keep=frozenset(name for name in ("logs", "metrics") if not a.get(name, True)),
        also=(lambda execution: room.leftovers.noted([execution])) if files else None,
        done=done,
    )


OPERATIONS: Mapping[str, Operation] = {
    "execution.start": start,
    "execution.checks": checks,
    "execution.kill": kill,
    "execution.pause": _telling(makes.pause),
    "execution.resume": _telling(makes.resume),
    "execution.restart": _telling(makes.restart),
    "execution.replay": replay,
    "execution.mark": _telling(makes.mark),
    "execution.status": _telling(makes.status),
    "execution.labels": _telling(makes.labels),
    "execution.force": _telling(makes.force),
    "execution.unqueue": _telling(makes.unqueue),
    "execution.delete": delete,
}
