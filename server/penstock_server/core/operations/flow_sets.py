"""Saving many flows in one transaction, by the planner that commits go through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock_runner.flow.model import Flow
from penstock_server.core.operations.flows import (
    differs_from_git,
    owner_refusal,
    parsed_flow,
    save_of,
)
from penstock_server.core.room import Answer, Operation, Room
from penstock_server.store import flows as stored_flows
from penstock_server.store.engine import Tx
from penstock_server.sync.plan import SAVED, Action, Item, Key
from penstock_server.sync.sets import plan_for_set

Arguments = Mapping[str, Any]


@dataclass(slots=True)
class _Told:
    """What became of the flows, for the answer."""

    saved: dict[Key, int] = field(default_factory=dict)
    gone: list[Key] = field(default_factory=list)
    refused: dict[Key, str] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)


def save_many(room: Room, a: Arguments, answer: Answer) -> None:
    """Store flows at once; in the namespaces of `clear` all others are deleted.

    One that may not be changed refuses all, unless `skip` says that it is only to be named.
    """
    flows = [parsed_flow(source) for source in a["sources"]]
    texts = {
        (flow.namespace, flow.id): source for flow, source in zip(flows, a["sources"], strict=True)
    }
    told = _Told()

    def write(tx: Tx) -> None:
        cleared = a.get("clear") or ()
        decided = plan_for_set(tx.connection, texts, cleared=cleared, edits=room.sync.edits)
        for item in decided.of(Action.CONFLICT):
            _refuse(room, tx, item, a, told)
        _save(room, tx, flows, texts, decided.of(*SAVED), a, told)
        told.saved.update(
            (one.key, one.live.revision) for one in decided.of(Action.UNCHANGED) if one.live
        )
        _delete(room, tx, [item.key for item in decided.of(Action.PRUNED)], a, told)

    def value() -> dict[str, Any]:
        for owner in told.owners:
            room.sync.edited(owner)
        room.flows.forget(told.gone)
        return {
            "saved": [
                {"namespace": key[0], "id": key[1], "revision": told.saved[key]}
                for key in texts
                if key in told.saved
            ],
            "deleted": [list(key) for key in told.gone],
            "refused": [[*key, why] for key, why in told.refused.items()],
        }

    room.write(answer, [write], changed_flows=list(texts), value=value)


def _refuse(room: Room, tx: Tx, item: Item, a: Arguments, told: _Told) -> None:
    before = stored_flows.head(tx.connection, item.namespace, item.id)
    if before is None:
        return
    why = owner_refusal(room, tx, before, a, "change")
    if why is not None and not a.get("skip"):
        raise why
    told.refused[item.key] = str(why)


def _save(
    room: Room,
    tx: Tx,
    flows: Sequence[Flow],
    texts: Mapping[Key, str],
    items: Sequence[Item],
    a: Arguments,
    told: _Told,
) -> None:
    now = room.clock.now()
    wanted = {item.key for item in items}
    saving = [flow for flow in flows if (flow.namespace, flow.id) in wanted]
    before = stored_flows.heads(tx.connection, list(wanted))
    edited: dict[bool, list[stored_flows.Save]] = {True: [], False: []}
    for flow in saving:
        key = (flow.namespace, flow.id)
        known = before.get(key)
        owner = known.managed_by if known is not None and not known.deleted else None
        told.owners |= {owner} if owner is not None else set()
        drifts = owner is not None and differs_from_git(tx, flow, texts[key])
        edited[drifts].append(save_of(flow, texts[key], a, by=a.get("saved_by")))
    for drifted, saves in edited.items():
        heads = stored_flows.save_revisions(tx.connection, saves, now=now, drifted=drifted)
        told.saved.update(((head.namespace, head.id), head.revision) for head in heads)
    room.scheduler.flows_saved(tx, saving, now)


def _delete(room: Room, tx: Tx, names: list[Key], a: Arguments, told: _Told) -> None:
    now = room.clock.now()
    stored_flows.mark_deleted(tx.connection, names, now=now, by=a.get("saved_by"))
    room.scheduler.flows_deleted(tx, names)
    told.gone[:] = names


OPERATIONS: Mapping[str, Operation] = {"flow.save_many": save_many}
