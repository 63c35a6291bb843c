"""Operations on executions: start, stop, pause, go on, do again, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock_runner.engine import events as e
from penstock_runner.engine.marks import unmarkable
from penstock_runner.engine.state import REQUEST, Execution, RunKey, State, TriggerOrigin
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import Done, Outcome, Refused, Start
from penstock_runner.executor.resumes import first_paused
from penstock_server.core.room import Answer, Operation, Room, instant
from penstock_server.core.shapes import execution_to_json
from penstock_server.store.queries.executions import unended_children

START_QUEUE = 5000

Arguments = Mapping[str, Any]
Make = Callable[[Live, datetime], Sequence[e.Event]]


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


def _with_execution(answer: Answer) -> Done:
    def done(outcome: Outcome) -> None:
        if outcome.error is not None:
            answer.fail(outcome.error)
        else:
            answer.ok({"execution": execution_to_json(outcome.executions[0])})

    return done


def _tell(room: Room, a: Arguments, answer: Answer, make: Make) -> None:
    room.executor.tell_when(a["id"], make, done=_with_execution(answer))


def kill(room: Room, a: Arguments, answer: Answer) -> None:
    """Kill an execution, and with `cascade` those that it started."""
    cascade = a.get("cascade", True)

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state.terminal:
            if not cascade:
                raise Refused(
                    "Illegal state: Execution is already finished, can't kill it", status=409
                )
            return ()
        return (e.KillRequested(at=at),)

    _tell(room, a, answer, make)
    if cascade:
        for child in _running_children(room, a["id"]):
            room.executor.tell_when(child, _kill_if_running)


def _kill_if_running(live: Live, at: datetime) -> Sequence[e.Event]:
    return () if live.state.terminal else (e.KillRequested(at=at),)


def _running_children(room: Room, execution_id: str) -> list[str]:
    found: list[str] = []
    with room.database.read() as connection:
        level = [execution_id]
        while level:
            level = unended_children(connection, level)
            level = [child for child in level if child not in found]
            found.extend(level)
    return found


def pause(room: Room, a: Arguments, answer: Answer) -> None:
    """Pause a running execution."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state not in (State.RUNNING, State.KILLING):
            raise Refused("Illegal argument: The execution is not running")
        return (e.PauseRequested(at=at),)

    _tell(room, a, answer, make)


def resume(room: Room, a: Arguments, answer: Answer) -> None:
    """Let a paused execution go on, with what its Pause task asked for."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state is not State.PAUSED:
            raise Refused(f"Execution '{live.id}' is not paused, can't resume it", status=409)
        key = first_paused(live.execution())
        return (e.Resumed(at=at, key=key, outputs=a.get("inputs")),)

    _tell(room, a, answer, make)


def restart(room: Room, a: Arguments, answer: Answer) -> None:
    """Run again what failed."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if not (live.state.terminal or live.state is State.PAUSED):
            raise Refused(
                "Execution must be terminated to be restarted, "
                f"current state is '{live.state.value}' !",
                status=409,
            )
        if not any(run.state in (State.FAILED, State.PAUSED) for run in live.fold.runs.values()):
            raise Refused("No task found to restart execution from!")
        return (e.RestartRequested(at=at),)

    _tell(room, a, answer, make)


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
    request = Start(
        namespace=old.namespace,
        flow_id=old.flow_id,
        revision=a.get("revision") or old.flow_revision,
        inputs=old.inputs,
        labels=dict(old.labels),
        trigger=old.trigger,
        variables=old.variables,
        origin="replay",
        replay_of=old,
        replay_from=key,
    )
    room.executor.transact(starts=[request], done=_with_execution(answer))


def mark(room: Room, a: Arguments, answer: Answer) -> None:
    """Give a task run another state and run what follows it again."""
    state = State(a["state"])

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        for run in live.fold.runs.values():
            if taskrun_id(live.id, run.key) == a["taskrun_id"]:
                reason = unmarkable(live.fold.plan, live.fold.head, run, state)
                if reason is not None:
                    raise Refused(reason)
                return (e.TaskRunMarked(at=at, key=run.key, state=state),)
        raise Refused("No task found to restart execution from!")

    _tell(room, a, answer, make)


def status(room: Room, a: Arguments, answer: Answer) -> None:
    """Give an ended execution another end state."""
    wanted = State(a["status"])

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if not live.state.terminal:
            raise Refused("You can only change the status of a terminated execution.")
        if not wanted.terminal:
            raise Refused("You can only change the status of an execution to a terminal state.")
        return (e.StatusChanged(at=at, state=wanted),)

    _tell(room, a, answer, make)


def labels(room: Room, a: Arguments, answer: Answer) -> None:
    """Put labels on an ended execution."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if not live.state.terminal:
            raise Refused("The execution is not terminated", status=400)
        return (e.LabelsSet(at=at, labels=dict(a["labels"])),)

    _tell(room, a, answer, make)


def force(room: Room, a: Arguments, answer: Answer) -> None:
    """Let a waiting execution run now."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state.terminal:
            raise Refused("Only non terminated executions can be forced run.")
        return (e.Forced(at=at),)

    _tell(room, a, answer, make)


def unqueue(room: Room, a: Arguments, answer: Answer) -> None:
    """Let a queued execution run regardless of the limit."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state is not State.QUEUED:
            raise Refused("Only QUEUED execution can be unqueued")
        return (e.Forced(at=at),)

    _tell(room, a, answer, make)


def delete(room: Room, a: Arguments, answer: Answer) -> None:
    """Delete an execution with all that belongs to it."""

    def done(outcome: Outcome) -> None:
        if outcome.error is not None:
            answer.fail(outcome.error)
            return
        if a.get("storage", True):
            _delete_files(room, outcome.executions[0])
        answer.ok()

    keep = [name for name in ("logs", "metrics") if not a.get(name, True)]
    room.executor.remove(a["id"], done, keep=keep)


def _delete_files(room: Room, execution: Execution) -> None:
    from penstock_runner.tasks.places import execution_prefix

    prefix = execution_prefix(execution.namespace, execution.flow_id, execution.id)
    room.storage.delete_below(prefix)


OPERATIONS: Mapping[str, Operation] = {
    "execution.start": start,
    "execution.kill": kill,
    "execution.pause": pause,
    "execution.resume": resume,
    "execution.restart": restart,
    "execution.replay": replay,
    "execution.mark": mark,
    "execution.status": status,
    "execution.labels": labels,
    "execution.force": force,
    "execution.unqueue": unqueue,
    "execution.delete": delete,
}
