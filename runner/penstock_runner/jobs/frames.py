"""Length-prefixed frames of JSON messages over a stream socket, many messages a frame.

A `Channel` never blocks: `send` only queues, `flush` writes what the socket takes, `receive` gives
the messages that have arrived. A queue over its limit raises `ChannelFull`, so that nobody's memory
grows because a reader is slow.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Any

import orjson

HEADER = struct.Struct(">I")
LONGEST = 256 * 1024 * 1024
READ = 1 << 18


class ChannelClosed(Exception):
    """The other side is gone."""


class ChannelFull(Exception):
    """More bytes wait to be sent than the limit allows."""


class Channel:
    """One side of a conversation."""

    def __init__(self, connection: socket.socket, *, limit: int = 128 * 1024 * 1024) -> None:
        connection.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self.socket = connection
        self._limit = limit
        self._waiting: list[Any] = []
        self._out = bytearray()
        self._in = bytearray()

    def fileno(self) -> int:
        """So that selectors take the channel itself."""
        return self.socket.fileno()

    def send(self, *messages: Any) -> None:
        """Queue messages; they leave with the next `flush`."""
        self._waiting.extend(messages)

    @property
    def pending(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._waiting or self._out)

    def flush(self) -> bool:
        """Write what the socket takes now; True when nothing is left."""
        if self._waiting:
            body = orjson.dumps(
                self._waiting, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
            )
            self._waiting.clear()
            if len(self._out) + len(body) > self._limit:
                raise ChannelFull(f"{len(self._out) + len(body)} bytes wait to be sent")
            self._out += HEADER.pack(len(body))
            self._out += body
        while self._out:
            try:
                sent = self.socket.send(memoryview(self._out)[: 1 << 20])
            except BlockingIOError:
                return False
            except OSError as gone:
                raise ChannelClosed from gone
            del self._out[:sent]
        return True

    def receive(self) -> list[Any]:
        """All messages that have arrived whole; raises `ChannelClosed` at the end of the stream."""
        closed = False
        while True:
            try:
                chunk = self.socket.recv(READ)
            except BlockingIOError:
                break
            except OSError:
                closed = True
                break
            if not chunk:
                closed = True
                break
            self._in += chunk
            if len(chunk) < READ:
                break
        messages = list(self._whole())
        if closed and not messages:
            raise ChannelClosed
        return messages

    def _whole(self) -> Iterable[Any]:
        start = 0
        while len(self._in) - start >= HEADER.size:
            (length,) = HEADER.unpack_from(self._in, start)
            if length > LONGEST:
                raise ChannelClosed(f"a frame of {length} bytes")
            end = start + HEADER.size + length
            if len(self._in) < end:
                break
            yield from orjson.loads(memoryview(self._in)[start + HEADER.size : end])
            start = end
        if start:
            del self._in[:start]

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def _plain(value: object) -> object:
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
