"""Operations on triggers: fire a webhook, switch, unlock, backfill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock_runner.engine.state import TriggerOrigin
from penstock_runner.executor.messages import Outcome, Refused, Start
from penstock_server.core.operations.executions import START_QUEUE
from penstock_server.core.room import Answer, Operation, Room
from penstock_server.core.shapes import execution_to_json
from penstock_server.store import triggers as stored_triggers
from penstock_server.store.engine import Tx

Arguments = Mapping[str, Any]


def fire_webhook(room: Room, a: Arguments, answer: Answer) -> None:
    """Start the execution that a webhook call asks for; its key was checked by whoever asks."""
    if room.executor.waiting >= START_QUEUE:
        answer.refuse("too many starts are waiting; try again in a second", 503)
        return
    trigger = a["trigger"]
    start = Start(
        namespace=a["namespace"],
        flow_id=a["flow_id"],
        trigger=TriggerOrigin(
            id=trigger["id"], type=trigger["type"], variables=a.get("variables") or {}
        ),
        inputs=a.get("inputs"),
        origin="trigger",
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


def switch(room: Room, a: Arguments, answer: Answer) -> None:
    """Turn a trigger off or on; its next date is kept."""
    name = (a["namespace"], a["flow_id"], a["trigger_id"])

    def write(tx: Tx) -> None:
        found = stored_triggers.get(tx.connection, *name)
        if found is None:
            raise Refused(f"Flow {name[1]} has no trigger {name[2]}", status=404)
        changed = replace(found, disabled=bool(a["disabled"]), updated_at=room.clock.now())
        stored_triggers.put(tx.connection, [changed])

    room.write(answer, [write])


def toggle(room: Room, a: Arguments, answer: Answer) -> None:
    """The same, as the Toggle task asks for it."""
    named = {
        "namespace": a["namespace"],
        "flow_id": a["flow_id"],
        "trigger_id": a["trigger"],
        "disabled": not a["enabled"],
    }
    switch(room, named, answer)


def unlock(room: Room, a: Arguments, answer: Answer) -> None:
    """Free a trigger from an execution that it waits for."""
    name = (a["namespace"], a["flow_id"], a["trigger_id"])

    def write(tx: Tx) -> None:
        found = stored_triggers.get(tx.connection, *name)
        if found is None:
            raise Refused(f"Flow {name[1]} has no trigger {name[2]}", status=404)
        if found.execution_id is None:
            raise Refused("Illegal state: Trigger is not locked", status=409)
        stored_triggers.unlock(tx.connection, found.execution_id)

    room.write(answer, [write])


OPERATIONS: Mapping[str, Operation] = {
    "webhook.fire": fire_webhook,
    "trigger.set": switch,
    "triggers.toggle": toggle,
    "trigger.unlock": unlock,
}
