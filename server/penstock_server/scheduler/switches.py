"""Which triggers people (or `stopAfter`) have switched off, at hand without a look at the store.

A webhook may be called a thousand times a second, so its switch is not read from its row each time:
core is the only writer, and forgets what it knows whenever it writes a switch.
"""

from __future__ import annotations

from typing import Any

from penstock_server.scheduler.rows import Name
from penstock_server.store import triggers


class Switches:
    """The triggers that are off."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._off: frozenset[Name] | None = None

    def changed(self) -> None:
        """A switch is about to be written."""
        self._off = None

    def is_off(self, name: Name) -> bool:
        """Whether a trigger is switched off."""
        if self._off is None:
            with self._database.read() as connection:
                self._off = frozenset(triggers.switched_off(connection))
        return name in self._off
