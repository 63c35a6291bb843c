"""Taking one flow back to a revision, also one that a repository keeps: for a time, or for good.

A flow of nobody simply gets the old text as a new revision. One of a Git source is held besides:
syncs leave it alone, and say so, until the time is over; then the next one gives it the text of its
repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock_runner.executor.messages import Refused
from penstock_server.core.operations.flows import differs_from_git, parsed_flow, save_of
from penstock_server.core.room import Answer, Operation, Room, instant
from penstock_server.store import audits
from penstock_server.store import flows as stored_flows
from penstock_server.store.engine import Tx

Arguments = Mapping[str, Any]


def rollback(room: Room, a: Arguments, answer: Answer) -> None:
    """Give a flow the text of an earlier revision, and hold one that a source keeps."""
    namespace, flow_id, number = a["namespace"], a["id"], int(a["revision"])
    now, until = room.clock.now(), instant(a.get("until"))
    if until is not None and until <= now:
        raise Refused(f"`until` is {until.isoformat()}, which has passed: give a later moment")
    told: dict[str, Any] = {}

    def write(tx: Tx) -> None:
        before = _head(tx, namespace, flow_id)
        text = _text(tx, namespace, flow_id, number)
        flow = parsed_flow(text)
        owned = before.managed_by is not None
        if owned:
            hold = stored_flows.Hold(
                revision=number, at=now, by=a.get("by"), until=until, reason=a.get("reason")
            )
            stored_flows.set_held(tx.connection, [(namespace, flow_id)], hold)
        head = stored_flows.save_revision(
            tx.connection,
            save_of(flow, text, a, by=a.get("by")),
            now=now,
            drifted=owned and differs_from_git(tx, flow, text),
        )
        room.scheduler.flow_saved(tx, flow, now)
        details = {"revision": number, "until": a.get("until"), "reason": a.get("reason")}
        _note(room, tx, "flow.rolledBack", a, details)
        told.update(namespace=namespace, id=flow_id, revision=head.revision, owner=head.managed_by)

    def value() -> dict[str, Any]:
        owner = told.pop("owner")
        if owner is not None:
            room.sync.edited(owner)
        return {**told, "source": owner, "held": owner is not None, "until": a.get("until")}

    room.write(answer, [write], changed_flows=[(namespace, flow_id)], value=value)


def resume(room: Room, a: Arguments, answer: Answer) -> None:
    """Let the repository have its flow again, from the next sync on, which begins at once."""
    namespace, flow_id = a["namespace"], a["id"]
    owners: list[str] = []

    def write(tx: Tx) -> None:
        before = _head(tx, namespace, flow_id)
        if before.held is None or before.managed_by is None:
            raise Refused(f"{namespace}.{flow_id} is not held at a revision", status=409)
        over = replace(before.held, until=room.clock.now())
        stored_flows.set_held(tx.connection, [(namespace, flow_id)], over)
        _note(room, tx, "flow.resumed", a, {"revision": before.held.revision})
        owners.append(before.managed_by)

    def value() -> dict[str, Any]:
        for owner in owners:
            room.sync.released(owner, a.get("by"))
        return {"namespace": namespace, "id": flow_id, "source": owners[0], "held": False}

    room.write(answer, [write], value=value)


def _head(tx: Tx, namespace: str, flow_id: str) -> stored_flows.Head:
    head = stored_flows.head(tx.connection, namespace, flow_id)
    if head is None or head.deleted:
        raise Refused("Not Found", status=404)
    return head


def _text(tx: Tx, namespace: str, flow_id: str, number: int) -> str:
    found = stored_flows.revision(tx.connection, namespace, flow_id, number)
    if found is None or found.deleted:
        raise Refused(f"{namespace}.{flow_id} has no revision {number} to go back to", status=404)
    return found.source


def _note(room: Room, tx: Tx, action: str, a: Arguments, details: Mapping[str, Any]) -> None:
    event = audits.AuditEvent(
        id=room.executor.new_id(),
        at=room.clock.now(),
        action=action,
        subject=f"{a['namespace']}.{a['id']}",
        actor=a.get("by"),
        details=details,
    )
    audits.add(tx.connection, event)


OPERATIONS: Mapping[str, Operation] = {"flow.rollback": rollback, "flow.resume": resume}
