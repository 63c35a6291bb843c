"""Operations on flows: save, delete, switch on and off. Texts were checked by whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.executor.messages import Refused
from penstock_runner.executor.store import Write
from penstock_runner.flow.flow_rules import renamed
from penstock_runner.flow.model import Flow
from penstock_runner.flow.parse import parse_flow
from penstock_server.core.room import Answer, Operation, Room
from penstock_server.store import audits, revisions
from penstock_server.store import flows as stored_flows
from penstock_server.store.engine import Tx

Arguments = Mapping[str, Any]
Saved = dict[str, Any]


def save(room: Room, a: Arguments, answer: Answer) -> None:
    """Store the text of a flow as its latest revision."""
    flow = parsed_flow(a["source"])
    saved: Saved = {}
    name = (flow.namespace, flow.id)
    owners: set[str] = set()
    write = _saving(room, flow, a, saved, owners)

    def value() -> Saved:
        for owner in owners:
            room.sync.edited(owner)
        return saved

    room.write(answer, [write], changed_flows=[name], value=value)


def parsed_flow(source: str) -> Flow:
    """The flow of a text; raises `Refused` when it is none."""
    parsed = parse_flow(source)
    # What a trigger does may come from the flow's defaults.
    flow = parsed.effective or parsed.flow
    if flow is None:
        raise Refused(f"Invalid entity: {'; '.join(str(fault) for fault in parsed.faults)}")
    return flow


def _saving(room: Room, flow: Flow, a: Arguments, saved: Saved, owners: set[str]) -> Write:
    """The write of one flow; `saved` says what it became, `owners` whose flow was edited."""

    def write(tx: Tx) -> None:
        before = stored_flows.head(tx.connection, flow.namespace, flow.id)
        _check(flow, before, a)
        owned = before is not None and not before.deleted and before.managed_by is not None
        if before is not None and owned:
            _check_owner(room, tx, before, a, "change")
        head = stored_flows.save_revision(
            tx.connection,
            save_of(flow, a["source"], a, by=a.get("saved_by")),
            now=room.clock.now(),
            drifted=owned and differs_from_git(tx, flow, a["source"]),
        )
        room.scheduler.flow_saved(tx, flow, room.clock.now())
        if owned:
            owners.add(head.managed_by or "")
        saved.update(namespace=head.namespace, id=head.id, revision=head.revision)

    return write


def save_of(flow: Flow, text: str, a: Arguments, *, by: str | None) -> stored_flows.Save:
    """The text of a flow as a person saves it."""
    return stored_flows.Save(
        namespace=flow.namespace,
        id=flow.id,
        source=text,
        disabled=flow.disabled,
        description=flow.description,
        labels=dict(flow.labels),
        by=by,
        via=a.get("via", "api"),
    )


def _check(flow: Flow, before: stored_flows.Head | None, a: Arguments) -> None:
    exists = before is not None and not before.deleted
    mode = a.get("mode", "upsert")
    if mode == "create" and exists:
        raise Refused("Flow id already exists")
    if mode == "update":
        now = {"id": flow.id, "namespace": flow.namespace}
        for _, message in renamed({name: a.get(name) or now[name] for name in now}, now):
            raise Refused(message)
        if not exists:
            raise Refused("Not Found", status=404)
    if before is None:
        return
    expected = a.get("expected_revision")
    if expected is not None and exists and before.revision != expected:
        raise Refused(
            f"{flow.namespace}.{flow.id} is at revision {before.revision}, not {expected}: "
            "somebody has saved it since you read it",
            status=409,
        )


def _check_owner(room: Room, tx: Tx, before: stored_flows.Head, a: Arguments, doing: str) -> None:
    refusal = owner_refusal(room, tx, before, a, doing)
    if refusal is not None:
        raise refusal


def owner_refusal(
    room: Room, tx: Tx, before: stored_flows.Head, a: Arguments, doing: str
) -> Refused | None:
    """A flow of a Git source is changed in Git, unless its source lets people edit it here."""
    owner = before.managed_by or ""
    if a.get("via", "api") not in ("api", "ui"):
        return None
    if doing == "change" and room.sync.edits(owner) == "allow":
        return None
    known = stored_flows.last_of_git(tx.connection, before.namespace, before.id)
    commit = known.commit if known is not None else None
    place = f" {commit.path} (commit {commit.sha[:7]})" if commit and commit.path else ""
    return Refused(
        f"MANAGED_BY_GIT: {before.namespace}.{before.id} is kept in step with the Git source "
        f"'{owner}': {doing} the file{place} there and push it",
        status=409,
    )


def differs_from_git(tx: Tx, flow: Flow, source: str) -> bool:
    """Whether a text is not the one that the last commit has brought."""
    known = stored_flows.last_of_git(tx.connection, flow.namespace, flow.id)
    return known is None or known.digest != stored_flows.digest(source)


def delete(room: Room, a: Arguments, answer: Answer) -> None:
    """Delete a flow; its history stays."""
    namespace, flow_id = a["namespace"], a["id"]

    def write(tx: Tx) -> None:
        now = room.clock.now()
        before = stored_flows.head(tx.connection, namespace, flow_id)
        if before is None or before.deleted:
            raise Refused("Not Found", status=404)
        if before.managed_by is not None:
            _check_owner(room, tx, before, a, "delete")
        stored_flows.mark_deleted(tx.connection, [(namespace, flow_id)], now=now, by=a.get("by"))
        room.scheduler.flow_deleted(tx, namespace, flow_id)

    room.write(answer, [write], changed_flows=[(namespace, flow_id)])


def delete_revisions(room: Room, a: Arguments, answer: Answer) -> None:
    """Take revisions out of the history of a flow: not its latest, and none that was run."""
    namespace, flow_id, numbers = a["namespace"], a["id"], [int(one) for one in a["revisions"]]

    def write(tx: Tx) -> None:
        head = stored_flows.head(tx.connection, namespace, flow_id)
        if head is None:
            raise Refused("Not Found", status=404)
        if head.managed_by is not None:
            _check_owner(room, tx, head, a, "delete")
        if head.revision in numbers:
            raise Refused(f"Illegal state: revision {head.revision} is the latest", status=409)
        run = revisions.used(tx.connection, namespace, flow_id, numbers)
        if run:
            raise Refused(
                f"Illegal state: there are executions of revision {run[0]}: delete them first",
                status=409,
            )
        revisions.remove(tx.connection, namespace, flow_id, numbers)

    room.write(answer, [write], changed_flows=[(namespace, flow_id)])


def disable(room: Room, a: Arguments, answer: Answer) -> None:
    """Switch a flow off or on without touching its text."""
    namespace, flow_id = a["namespace"], a["id"]

    def write(tx: Tx) -> None:
        now = room.clock.now()
        override = stored_flows.Override(disabled=bool(a["disabled"]), by=a.get("by"), at=now)
        if not stored_flows.set_override(tx.connection, namespace, flow_id, override, now=now):
            raise Refused("Not Found", status=404)
        room.scheduler.flow_switched(namespace, flow_id)
        event = audits.AuditEvent(
            id=room.executor.new_id(),
            at=now,
            action="flow.disabled" if override.disabled else "flow.enabled",
            subject=f"{namespace}.{flow_id}",
            actor=override.by,
        )
        audits.add(tx.connection, event)

    room.write(answer, [write], changed_flows=[(namespace, flow_id)])


OPERATIONS: Mapping[str, Operation] = {
    "flow.save": save,
    "flow.delete": delete,
    "flow.delete_revisions": delete_revisions,
    "flow.disable": disable,
}
