"""How the web process talks to core: calls that are answered after the commit, and live followers.

One connection a process, one reader thread; any thread may call. Nothing waits for ever: a call has
a time-out, a follower's queue a limit, after which the follower is told to read the store again.
"""

from __future__ import annotations

import itertools
import queue
import selectors
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from penstock_runner.jobs.frames import Channel, ChannelClosed

FOLLOWER_QUEUE = 2000
RECONNECT_SECONDS = 0.05


class CoreRefused(Exception):
    """Core says no; `status` is the HTTP status that fits, `details` what belongs to the answer."""

    def __init__(self, message: str, status: int, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.details = dict(details or {})


class CoreBusy(Exception):
    """Core's queue is full; try again after `retry_after` seconds."""

    retry_after = 1


class CoreGone(Exception):
    """Core does not answer: it is starting again, or stuck."""


class Following:
    """Live messages about one execution (or all, for `*`); a context manager.

    `next` gives a message, or None when nothing came in time. A message `{"type": "lost"}` means
    that messages were dropped, because the reader was slow or core was away: read the store again.
    """

    def __init__(self, client: CoreClient, topic: str) -> None:
        self._client = client
        self.topic = topic
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue(FOLLOWER_QUEUE)
        self._lost = False

    def put(self, message: dict[str, Any]) -> None:
        """Take a message from the reader thread."""
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            self._lost = True

    def next(self, timeout: float) -> dict[str, Any] | None:
        """The next message, None after `timeout` seconds without one."""
        if self._lost:
            self._lost = False
            while not self._queue.empty():
                self._queue.get_nowait()
            return {"type": "lost"}
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def __enter__(self) -> Self:
        self._client.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.remove(self)


class CoreClient:
    """The web process's side of the conversation with core."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._followers: dict[str, set[Following]] = {}
        self._channel: Channel | None = None
        self._closed = False
        self._stop = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._thread = threading.Thread(target=self._read, name="core-client", daemon=True)
        self._thread.start()

    def call(self, operation: str, *, timeout: float = 30, **arguments: Any) -> Any:
        """Ask core to do `operation`; the answer comes after its commit.

        Raises `CoreRefused`, `CoreBusy` or `CoreGone`.
        """
        number = next(self._numbers)
        answer: Future[Any] = Future()
        with self._lock:
            if self._channel is None:
                raise CoreGone("the service is starting; try again in a moment")
            self._waiting[number] = answer
            self._channel.send(
                {"type": "call", "call": number, "operation": operation, "arguments": arguments}
            )
            self._flush()
        try:
            return answer.result(timeout)
        except FutureTimeout:
            raise CoreGone(f"no answer to {operation} within {timeout:g} s") from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def follow(self, topic: str) -> Following:
        """Live messages about an execution id, or about all executions for `*`."""
        return Following(self, topic)

    @property
    def connected(self) -> bool:
        """Whether core is there."""
        return self._channel is not None

    def close(self) -> None:
        """Stop the reader and close the connection."""
        self._closed = True
        self._stop.set()
        self._poke()
        self._thread.join(timeout=2)

    def add(self, following: Following) -> None:
        """Called by `Following` when it begins."""
        with self._lock:
            first = following.topic not in self._followers
            self._followers.setdefault(following.topic, set()).add(following)
            if first and self._channel is not None:
                self._channel.send({"type": "follow", "topic": following.topic})
                self._flush()

    def remove(self, following: Following) -> None:
        """Called by `Following` when it ends."""
        with self._lock:
            rest = self._followers.get(following.topic, set())
            rest.discard(following)
            if rest or self._followers.pop(following.topic, None) is None:
                return
            if self._channel is not None:
                self._channel.send({"type": "unfollow", "topic": following.topic})
                self._flush()

    def _flush(self) -> None:
        if self._channel is None:
            return
        try:
            if not self._channel.flush():
                self._poke()
        except ChannelClosed:
            self._poke()

    def _poke(self) -> None:
        try:
            self._wake.send(b"x")
        except (BlockingIOError, OSError):
            return

    def _read(self) -> None:
        while not self._closed:
            channel = self._connect()
            if channel is None:
                self._stop.wait(RECONNECT_SECONDS)
                continue
            try:
                self._serve(channel)
            except ChannelClosed:
                pass
            finally:
                self._lose(channel)

    def _connect(self) -> Channel | None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            return None
        channel = Channel(connection)
        with self._lock:
            channel.send({"type": "hello", "web": True})
            for topic in self._followers:
                channel.send({"type": "follow", "topic": topic})
            self._channel = channel
            self._flush()
        return channel

    def _serve(self, channel: Channel) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._closed:
                with self._lock:
                    done = channel.flush()
                selector.modify(
                    channel, selectors.EVENT_READ | (0 if done else selectors.EVENT_WRITE)
                )
                ready = selector.select(timeout=5)
                for key, events in ready:
                    if key.fileobj is self._woken:
                        self._woken.recv(4096)
                    elif events & selectors.EVENT_READ:
                        for message in channel.receive():
                            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "answer":
            with self._lock:
                answer = self._waiting.get(message["call"])
            if answer is None or answer.done():
                return
            if "error" in message:
                answer.set_exception(_fault(message))
            else:
                answer.set_result(message.get("value"))
            return
        topic = message.get("topic", "")
        with self._lock:
            followers = tuple(self._followers.get(topic, ()))
        for following in followers:
            following.put(message)

    def _lose(self, channel: Channel) -> None:
        with self._lock:
            self._channel = None
            channel.close()
            waiting, self._waiting = self._waiting, {}
            everyone = [f for group in self._followers.values() for f in group]
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(
                    CoreGone("the service went away before it answered; look before you try again")
                )
        for following in everyone:
            following.put({"type": "lost"})


def _fault(message: Mapping[str, Any]) -> Exception:
    if message.get("status") == 503:
        return CoreBusy(message["error"])
    return CoreRefused(message["error"], message.get("status", 500), message.get("details"))
