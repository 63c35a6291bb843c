"""Triggers of flows that are switched off: their dates wait where the search for due ones is blind.

The date is kept in the row's body, so that looking for what is due stays a look into an index
however many flows are off, and comes back into its column when the flow is on again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from penstock_server.scheduler.rows import Name, name_of
from penstock_server.store import triggers
from penstock_server.store.triggers import TriggerState

_AT_ONCE = 20
_BODY = "parked"


class Parking:
    """Remembers which triggers are parked, and which of them may be on again."""

    def __init__(self) -> None:
        self._parked: dict[tuple[str, str], set[Name]] = {}
        self._maybe_on: deque[Name] = deque()

    def parked(self, state: TriggerState) -> TriggerState:
        """The row of a trigger that cannot fire now."""
        self._remember(name_of(state))
        if state.next_date is None:
            return state
        body = {**(state.body or {}), _BODY: state.next_date.isoformat()}
        return replace(state, next_date=None, body=body)

    def found(self, state: TriggerState) -> bool:
        """Whether a row read after a stop is parked; then it is looked at soon."""
        if _BODY not in (state.body or {}):
            return False
        self._remember(name_of(state))
        self._maybe_on.append(name_of(state))
        return True

    def flow_switched(self, namespace: str, flow_id: str) -> None:
        """A flow may be on that was off."""
        self._maybe_on.extend(sorted(self._parked.get((namespace, flow_id), ())))

    def to_look_at(self) -> Iterator[Name]:
        """Some of those that may be on again."""
        for _ in range(min(_AT_ONCE, len(self._maybe_on))):
            yield self._maybe_on.popleft()

    def let_go(self, name: Name) -> None:
        """The trigger is no longer parked."""
        self._parked.get(name[:2], set()).discard(name)

    def _remember(self, name: Name) -> None:
        self._parked.setdefault(name[:2], set()).add(name)


def unpark(name: Name, tx: Any) -> None:
    """Give a parked trigger its date back."""
    state = triggers.get(tx.connection, *name)
    if state is None or _BODY not in (state.body or {}):
        return
    body = dict(state.body or {})
    date = datetime.fromisoformat(body.pop(_BODY))
    if state.next_date is None:
        state = replace(state, next_date=date)
    triggers.put(tx.connection, [replace(state, body=body or None)])
