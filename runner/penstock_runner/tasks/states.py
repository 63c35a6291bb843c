"""The older state store: small values of a flow or namespace, kept in the key-value store.

A state has a name, and may be apart for each value of a loop; all of that is in its key.
"""

from __future__ import annotations

from penstock_runner.tasks import places
from penstock_runner.tasks.api import KeyValues, TaskFailed


class StateMissing(TaskFailed):
    """Nothing is stored under this state."""

    def __init__(self, key: str) -> None:
        super().__init__(f"State {key} not found")


class States:
    """The states of one flow, or of the whole namespace when `flow_id` is None."""

    def __init__(self, values: KeyValues, flow_id: str | None) -> None:
        self._values = values
        self._flow_id = flow_id

    def key(self, state: str, name: str | None, value: str | None) -> str:
        """The key in the key-value store."""
        return places.state_key(self._flow_id, state, name, value)

    def get(self, state: str, name: str | None, value: str | None) -> object:
        """What is stored; raises `StateMissing`."""
        key = self.key(state, name, value)
        entry = self._values.get(key)
        if entry is None:
            raise StateMissing(key)
        return entry.value

    def put(self, state: str, name: str | None, value: str | None, stored: object) -> str:
        """Store a value; its key."""
        key = self.key(state, name, value)
        self._values.put(key, stored)
        return key

    def delete(self, state: str, name: str | None, value: str | None) -> bool:
        """Whether there was something to delete."""
        return self._values.delete(self.key(state, name, value))
