"""The head of one flow, read the short way: a start asks for nothing else of the store.

A head stays in memory while no flow changes (`FlowChanges`): reading it anew is half of the work of
a start, most of it threads that fight for the interpreter between the steps of the driver.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import Any

from penstock_server.store import bodies
from penstock_server.store.engine import Database
from penstock_server.store.flow_changes import FlowChanges

KEPT = 8
REMEMBERED = 5000
_HEAD = "SELECT revision, deleted, disabled, override FROM flows WHERE namespace = ? AND id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowHead:
    """Which revision of a flow is the latest, and whether it may start."""

    revision: int
    deleted: bool
    disabled: bool


class FlowHeads:
    """Reads heads on a few connections of its own; any thread may ask.

    Without `changes` nothing is kept in memory.
    """

    def __init__(self, database: Database, changes: FlowChanges | None = None) -> None:
        self._database = database
        self._changes = changes
        self._known: dict[tuple[str, str], tuple[int, FlowHead | None]] = {}
        self._sql = _HEAD if database.kind == "sqlite" else _HEAD.replace("?", "%s")
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue(KEPT)

    def find(self, namespace: str, flow_id: str) -> FlowHead | None:
        """The head as committed last; None when there never was such a flow."""
        if self._changes is None:
            return self._read(namespace, flow_id)
        count = self._changes.count
        known = self._known.get((namespace, flow_id))
        if known is not None and known[0] == count:
            return known[1]
        head = self._read(namespace, flow_id)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[(namespace, flow_id)] = (count, head)
        return head

    def _read(self, namespace: str, flow_id: str) -> FlowHead | None:
        try:
            raw = self._idle.get_nowait()
        except queue.Empty:
            raw = self._database.raw_reader()
        try:
            with self._database.explained():
                row = raw.execute(self._sql, (namespace, flow_id)).fetchone()
        except BaseException:
            raw.close()
            raise
        try:
            self._idle.put_nowait(raw)
        except queue.Full:
            raw.close()
        return None if row is None else _head(row)


def _head(row: Any) -> FlowHead:
    revision, deleted, disabled, override = row
    own = bodies.loads(override) if override else {}
    return FlowHead(
        revision=revision, deleted=bool(deleted), disabled=bool(own.get("disabled", disabled))
    )
