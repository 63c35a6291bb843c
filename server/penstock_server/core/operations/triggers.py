"""Operations on triggers: fire a webhook, switch, unlock, backfill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.engine.state import TriggerOrigin
from penstock_runner.executor.messages import Outcome, Refused, Start
from penstock_server.core.operations.executions import START_QUEUE
from penstock_server.core.room import Answer, Operation, Room
from penstock_server.core.shapes import execution_to_json
from penstock_server.store.engine import Tx

Arguments = Mapping[str, Any]


def fire_webhook(room: Room, a: Arguments, answer: Answer) -> None:
    """Start the execution that a webhook call asks for; its key was checked by whoever asks."""
    if room.executor.waiting >= START_QUEUE:
        answer.refuse("too many starts are waiting; try again in a second", 503)
        return
    trigger = a["trigger"]
    if room.scheduler.switches.is_off((a["namespace"], a["flow_id"], trigger["id"])):
        answer.refuse(f"The trigger '{trigger['id']}' is disabled", 409)
        return
    start = Start(
        namespace=a["namespace"],
        flow_id=a["flow_id"],
        trigger=TriggerOrigin(
            id=trigger["id"], type=trigger["type"], variables=a.get("variables") or {}
        ),
        inputs=a.get("inputs"),
        origin="trigger",
        correlate=False,
    )

    def done(outcome: Outcome) -> None:
        if outcome.error is not None:
            answer.fail(outcome.error)
        else:
            answer.ok({"execution": execution_to_json(outcome.executions[0])})

    if a.get("wait"):
        room.executor.start_and_wait(start, done)
    else:
        room.executor.transact(starts=[start], done=done)


def change(room: Room, a: Arguments, answer: Answer) -> None:
    """Turn a trigger off or on, begin a backfill, or both; `anew` forgets its next date too."""

    def write(tx: Tx) -> None:
        disabled, backfill = a.get("disabled"), a.get("backfill")
        if disabled is not None:
            switch = room.triggers.switch_anew if a.get("anew") else room.triggers.switch
            switch(tx, _name(a), disabled=bool(disabled))
        if backfill is not None:
            room.triggers.backfill(tx, _name(a), backfill)

    room.write(answer, [write])


def toggle(room: Room, a: Arguments, answer: Answer) -> None:
    """The switch alone, as the Toggle task asks for it."""
    named = {
        "namespace": a["namespace"],
        "flow_id": a["flow_id"],
        "trigger_id": a["trigger"],
        "disabled": not a["enabled"],
    }
    change(room, named, answer)


def pause_backfill(room: Room, a: Arguments, answer: Answer) -> None:
    """Stop a backfill for now."""
    room.write(answer, [lambda tx: room.triggers.pause(tx, _name(a))])


def unpause_backfill(room: Room, a: Arguments, answer: Answer) -> None:
    """Go on with a backfill."""
    room.write(answer, [lambda tx: room.triggers.unpause(tx, _name(a))])


def delete_backfill(room: Room, a: Arguments, answer: Answer) -> None:
    """End a backfill before its end; the schedule goes on as before it."""
    room.write(answer, [lambda tx: room.triggers.end(tx, _name(a))])


def restart(room: Room, a: Arguments, answer: Answer) -> None:
    """Evaluate a trigger anew."""
    room.write(answer, [lambda tx: room.triggers.restart(tx, _name(a))])


def forget(room: Room, a: Arguments, answer: Answer) -> None:
    """Drop the state of a trigger; one that its flow still has begins anew."""
    try:
        flow = room.flows.get(a["namespace"], a["flow_id"]).flow
    except Refused:
        flow = None
    room.write(answer, [lambda tx: room.triggers.forget(tx, _name(a), flow)])


def unlock(room: Room, a: Arguments, answer: Answer) -> None:
    """Free a trigger from an execution that it waits for."""
    room.write(answer, [lambda tx: room.triggers.unlock(tx, _name(a))])


def _name(a: Arguments) -> tuple[str, str, str]:
    return (a["namespace"], a["flow_id"], a["trigger_id"])


OPERATIONS: Mapping[str, Operation] = {
    "webhook.fire": fire_webhook,
    "trigger.set": change,
    "triggers.toggle": toggle,
    "trigger.delete": forget,
    "trigger.unlock": unlock,
    "trigger.restart": restart,
    "backfill.pause": pause_backfill,
    "backfill.unpause": unpause_backfill,
    "backfill.delete": delete_backfill,
}
