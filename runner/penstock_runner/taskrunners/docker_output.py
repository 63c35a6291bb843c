"""Follows a container to its end: all of its output in order, and its exit code.

The connection to a daemon may break while the container runs on. Then its log is read again from
the start, and of each stream as much is skipped as has come before: nothing is missing and nothing
comes twice. A container that an earlier runner started is read in the same way, with nothing to
skip.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from penstock_runner.taskrunners.api import SetupFailed, Sink
from penstock_runner.taskrunners.docker_client import UNREACHABLE, missing, refused, words

QUIET_SECONDS = 1.0
PULSE_SECONDS = 30.0
PROMPT_SECONDS = 2.0
WAIT_SECONDS = 30.0
AT_ONCE_SECONDS = 0.1
PAUSE_SECONDS = 0.5
CHUNKS_AHEAD = 64
STREAMS = ("stdout", "stderr")

Chunk = tuple[str, bytes] | Exception | None


class OutputLost(Exception):
    """The daemon keeps no log of the container that could be read."""


class Follower:
    """The output of one container; `patience` is how long its daemon may be out of reach."""

    def __init__(
        self, container: Any, sink: Sink, *, stopped: threading.Event, patience: float
    ) -> None:
        self._container = container
        self._sink = sink
        self._stopped = stopped
        self._patience = patience
        self._received = dict.fromkeys(STREAMS, 0)
        self._readable = True

    def follow(self, attached: Iterable[tuple[bytes | None, bytes | None]] | None) -> int:
        """Hand on what is attached, or the log from its start, to the end: the exit code."""
        if attached is not None:
            self._drain([_frames(attached)])
            began = time.monotonic()
            code = self._code(PROMPT_SECONDS)
            if code is not None:
                if time.monotonic() - began > AT_ONCE_SECONDS:
                    self._read_log()  # it ran on: the connection broke, perhaps
                return code
        while True:
            self._reach()
            before = dict(self._received)
            self._read_log()
            still = before == self._received
            code = self._code(WAIT_SECONDS if still else PROMPT_SECONDS)
            if code is not None:
                self._read_log()  # what came between the end of the log and that of the container
                return code

    def _read_log(self) -> None:
        if not self._readable:
            return
        try:
            self._drain([self._logged(stream) for stream in STREAMS], strict=True)
        except OutputLost as lost:
            self._readable = False
            self._sink.note(
                "The log of the container cannot be read from its daemon, so that some of its "
                f"output may be missing here: {lost}"
            )

    def _logged(self, stream: str) -> Callable[[Callable[[Chunk], None]], None]:
        """Reads one stream of the log, without what has come before."""
        skipped = self._received[stream]

        def read(put: Callable[[Chunk], None]) -> None:
            left = skipped
            asked = {name: name == stream for name in STREAMS}
            for part in self._container.logs(stream=True, follow=True, **asked):
                if left < len(part):
                    put((stream, part[left:]))
                left = max(0, left - len(part))

        return read

    def _drain(
        self, sources: list[Callable[[Callable[[Chunk], None]], None]], *, strict: bool = False
    ) -> None:
        """Hand on what the sources give until all have ended; threads read, so silence is seen."""
        chunks: queue.Queue[Chunk] = queue.Queue(maxsize=CHUNKS_AHEAD)
        for source in sources:
            threading.Thread(
                target=_read, args=(source, chunks), daemon=True, name="docker-output"
            ).start()
        open_ends = len(sources)
        pulse = time.monotonic() + PULSE_SECONDS
        while open_ends:
            try:
                chunk = chunks.get(timeout=QUIET_SECONDS)
            except queue.Empty:
                self._sink.quiet()
                if time.monotonic() >= pulse:
                    if not self._runs():
                        return  # the connection is dead, or the daemon has nothing more to say
                    pulse = time.monotonic() + PULSE_SECONDS
                continue
            pulse = time.monotonic() + PULSE_SECONDS
            if isinstance(chunk, tuple):
                stream, part = chunk
                self._received[stream] += len(part)
                self._sink.feed(stream, part)
                continue
            if strict and isinstance(chunk, Exception) and refused(chunk) and not missing(chunk):
                raise OutputLost(words(chunk))
            open_ends -= 1

    def _code(self, seconds: float) -> int | None:
        """The exit code, None while the container runs or its daemon is out of reach."""
        try:
            return int(self._container.wait(timeout=seconds)["StatusCode"])
        except UNREACHABLE as error:
            if missing(error):
                raise SetupFailed(
                    f"The container {self._container.short_id} was removed by somebody else"
                ) from None
            return None

    def _runs(self) -> bool:
        try:
            state: Mapping[str, Any] = self._container.client.api.inspect_container(
                self._container.id
            )["State"]
        except UNREACHABLE:
            return False
        return bool(state.get("Running"))

    def _reach(self) -> None:
        """Wait until the daemon answers again."""
        until = time.monotonic() + self._patience
        while True:
            try:
                self._container.reload()
            except UNREACHABLE as error:
                if missing(error):
                    raise SetupFailed(
                        f"The container {self._container.short_id} was removed by somebody else"
                    ) from None
                if time.monotonic() >= until or self._stopped.is_set():
                    raise SetupFailed(
                        f"The Docker daemon does not answer since {self._patience:g} seconds, so "
                        f"the container {self._container.short_id} may still run: see to the "
                        f"daemon, then remove the container ({words(error)})"
                    ) from None
                threading.Event().wait(PAUSE_SECONDS)
            else:
                return


def _frames(
    attached: Iterable[tuple[bytes | None, bytes | None]],
) -> Callable[[Callable[[Chunk], None]], None]:
    def read(put: Callable[[Chunk], None]) -> None:
        for chunk in attached:
            for stream, part in zip(STREAMS, chunk, strict=True):
                if part:
                    put((stream, part))

    return read


def _read(source: Callable[[Callable[[Chunk], None]], None], chunks: queue.Queue[Chunk]) -> None:
    try:
        source(chunks.put)
        chunks.put(None)
    except (*UNREACHABLE, OSError) as error:
        chunks.put(error)
