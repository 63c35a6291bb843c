"""The head of one flow, read the short way: a start asks for nothing else of the store."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import Any

from penstock_server.store import bodies
from penstock_server.store.engine import Database

KEPT = 8
_HEAD = "SELECT revision, deleted, disabled, override FROM flows WHERE namespace = ? AND id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowHead:
    """Which revision of a flow is the latest, and whether it may start."""

    revision: int
    deleted: bool
    disabled: bool


class FlowHeads:
    """Reads heads on a few connections of its own; any thread may ask."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _HEAD if database.kind == "sqlite" else _HEAD.replace("?", "%s")
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue(KEPT)

    def find(self, namespace: str, flow_id: str) -> FlowHead | None:
        """The head as committed last; None when there never was such a flow."""
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
