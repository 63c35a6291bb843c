"""Whether an attempt has been asked to stop, why, and what has to be told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

Reason = Literal["killed", "timeout"]


class Cancellation:
    """Set from another thread than the job's; every `stop` is called once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []
        self._forces: list[Callable[[], None]] = []
        self._reason: Reason | None = None
        self._forced = False

    @property
    def reason(self) -> Reason | None:
        """Why the attempt has to stop, None while it may go on."""
        return self._reason

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Call `stop` when the attempt is cancelled, at once when it already is."""
        with self._lock:
            if self._reason is None:
                self._stops.append(stop)
                return
        stop()

    def on_force(self, stop: Callable[[], None]) -> None:
        """Call `stop` when the attempt is to end without any grace, at once when it already is."""
        with self._lock:
            if not self._forced:
                self._forces.append(stop)
                return
        stop()

    def force(self) -> list[Exception]:
        """Leave the attempt no time. Gives what the stops raised."""
        with self._lock:
            self._forced = True
            stops, self._forces = self._forces, []
        return _call_all(stops)

    def cancel(self, reason: Reason) -> list[Exception]:
        """Ask the attempt to stop; the first reason stays. Gives what the stops raised."""
        with self._lock:
            if self._reason is None:
                self._reason = reason
            stops, self._stops = self._stops, []
        return _call_all(stops)


def _call_all(stops: list[Callable[[], None]]) -> list[Exception]:
    raised: list[Exception] = []
    for stop in stops:
        try:
            stop()
        except Exception as error:  # noqa: BLE001 - a task's own code, and all stops must be called
            raised.append(error)
    return raised
