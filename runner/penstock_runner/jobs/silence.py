"""A command that says nothing for too long is stopped: the `idleTimeout` of its task."""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock_runner.taskrunners.api import Sink


class Listening:
    """Hands on what a command says, and ends its attempt when it says nothing for `seconds`."""

    def __init__(self, sink: Sink, seconds: float, stop: Callable[[], None]) -> None:
        self._sink = sink
        self._seconds = seconds
        self._stop = stop
        self._heard = time.monotonic()

    def feed(self, stream: str, chunk: bytes) -> None:
        """Bytes as they came."""
        self._heard = time.monotonic()
        self._sink.feed(stream, chunk)

    def quiet(self) -> None:
        """Nothing came for a second."""
        self._sink.quiet()
        if time.monotonic() - self._heard >= self._seconds:
            self._stop()

    def note(self, text: str) -> None:
        """Something that is no output of the command."""
        self._sink.note(text)

    def close(self) -> None:
        """Nothing will come any more."""
        self._sink.close()
