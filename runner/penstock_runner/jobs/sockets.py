"""The sockets of a supervisor: which are read, which wait to be written, and when to hold back.

While core is slow to read, workers are not heard, so that floods stay where they arise.
"""

from __future__ import annotations

import contextlib
import selectors
import socket

from penstock_runner.jobs.crew import Crew, Seat
from penstock_runner.jobs.frames import Channel, ChannelClosed


class Sockets:
    """Waits on core, the workers and a socket that signals write to."""

    def __init__(self, core: Channel, wake: socket.socket) -> None:
        self._core = core
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake, selectors.EVENT_READ, None)
        self._selector.register(core, selectors.EVENT_READ, core)
        self._paused = False

    def ready(self, timeout: float | None) -> list[Channel | Seat | None]:
        """Who has something to read: core, workers, or None for the signals."""
        return [
            key.data
            for key, events in self._selector.select(timeout)
            if events & selectors.EVENT_READ
        ]

    def write(self, crew: Crew) -> None:
        """Write what waits, as far as the sockets take it."""
        for seat in crew:
            if seat.channel.pending:
                with contextlib.suppress(ChannelClosed):
                    seat.channel.flush()
                self.listen(seat)
        written = self._core.flush()
        if written == self._paused:
            self._pause(crew, paused=not written)

    def listen(self, seat: Seat) -> None:
        """Wait for what a worker says, and until it takes what could not be written at once."""
        wanted = 0 if self._paused else selectors.EVENT_READ
        if seat.channel.pending:
            wanted |= selectors.EVENT_WRITE
        if wanted == seat.listening or seat.closed:
            return
        if not wanted:
            self._selector.unregister(seat.channel)
        elif not seat.listening:
            self._selector.register(seat.channel, wanted, seat)
        else:
            self._selector.modify(seat.channel, wanted, seat)
        seat.listening = wanted

    def forget(self, seat: Seat) -> None:
        """Never look at this worker's socket again."""
        if seat.listening:
            self._selector.unregister(seat.channel)
            seat.listening = 0
        seat.closed = True

    def close(self) -> None:
        """Stop waiting on anything."""
        self._selector.close()

    def _pause(self, crew: Crew, *, paused: bool) -> None:
        self._paused = paused
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if paused else 0)
        self._selector.modify(self._core, wanted, self._core)
        for seat in crew:
            self.listen(seat)
