"""Starting what a push has asked for: exactly once, also when the service dies between.

The asking is a row of the outbox, written with the commit that is applied. Starting an execution
and removing the row are one transaction, so nothing is lost and nothing runs twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from penstock_runner.engine.state import TriggerOrigin
from penstock_runner.executor.messages import Outcome, Start, Starter
from penstock_server.store import syncs
from penstock_server.sync.desired import PUSH

log = logging.getLogger(__name__)

KIND = "push"
_AT_ONCE = 200


def put_starts(
    tx: Any, source_id: str, commit: str, starts: Iterable[Start], now: datetime
) -> list[str]:
    """Ask for executions; a flow that this commit has started before is left out. Gives the ids."""
    asked = [start for start in starts if _first_time(tx, source_id, commit, start)]
    rows = [syncs.Outgoing(kind=KIND, body=_data(start), next_at=now) for start in asked]
    syncs.add_outgoing(tx.connection, rows)
    return [start.id or "" for start in asked]


def _first_time(tx: Any, source_id: str, commit: str, start: Start) -> bool:
    fire = syncs.PushFire(
        namespace=start.namespace,
        flow_id=start.flow_id,
        trigger_id=start.trigger.id if start.trigger is not None else "",
        source_id=source_id,
        commit_sha=commit,
        execution_id=start.id or "",
    )
    return syncs.add_push_fire(tx.connection, fire)


class PushStarts:
    """Carries out what stands in the outbox."""

    def __init__(self, starter: Starter, read: Callable[[], Any]) -> None:
        self._starter = starter
        self._read = read
        self._under_way: set[int] = set()
        # A service that died may have left some.
        self._some = True

    def asked(self) -> None:
        """There may be something in the outbox."""
        self._some = True

    def tick(self, now: datetime) -> None:
        """Start what is asked for."""
        if not self._some:
            return
        with self._read() as connection:
            mine = syncs.due_outgoing(connection, now, _AT_ONCE, kind=KIND)
        self._some = len(mine) == _AT_ONCE
        for one in mine:
            if one.id not in self._under_way:
                self._under_way.add(one.id)
                self._start(one)

    def _start(self, asked: syncs.Outgoing) -> None:
        start = _start_of(asked.body)
        name = f"{start.namespace}.{start.flow_id}"

        def told(tx: Any) -> None:
            syncs.remove_outgoing(tx.connection, asked.id)

        def done(outcome: Outcome) -> None:
            self._under_way.discard(asked.id)
            if outcome.error is not None:
                # The flow cannot start; asking again would not help.
                log.warning("push did not start %s: %s", name, outcome.error)
                self._starter.transact(writes=[told])

        self._starter.transact(writes=[told], starts=[start], done=done)


def _data(start: Start) -> dict[str, Any]:
    return {
        "namespace": start.namespace,
        "flow_id": start.flow_id,
        "inputs": dict(start.inputs or {}),
        "labels": dict(start.labels),
        "trigger_id": start.trigger.id if start.trigger is not None else "",
        "variables": dict(start.trigger.variables) if start.trigger is not None else {},
        "id": start.id,
    }


def _start_of(data: Any) -> Start:
    return Start(
        namespace=data["namespace"],
        flow_id=data["flow_id"],
        inputs=data["inputs"],
        resolve=True,
        labels=data["labels"],
        trigger=TriggerOrigin(id=data["trigger_id"], type=PUSH, variables=data["variables"]),
        origin="push",
        id=data["id"],
    )
