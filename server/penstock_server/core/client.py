"""How the web process talks to core: calls that are answered after the commit, and live followers.

One connection a process, one reader thread; any thread may call. Nothing waits for ever: a call has
a time-out, a follower's queue a limit, after which the follower is told to read the store again.

Threads that call at the same moment do not wait for one another: each leaves its message, and the
one that is sending takes all of them along. So whoever lets go of the lock must look again for what
was left meanwhile: `_send`, or the reader before it sleeps.
"""

from __future__ import annotations

import itertools
import queue
import selectors
import socket
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from penstock_runner.jobs.frames import Channel, ChannelClosed, ChannelFull

FOLLOWER_QUEUE = 2000
RECONNECT_SECONDS = 0.05
WENT_AWAY = "the service went away before it answered; look before you try again"


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


class _Call:
    """A call under way; its thread waits on a lock, which costs less than a `Future`."""

    __slots__ = ("_error", "_lock", "_value")

    def __init__(self) -> None:
        self._value: Any = None
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def end(self, value: Any = None, error: Exception | None = None) -> None:
        """The answer is there; called once, by whoever took the call from those that wait."""
        self._value, self._error = value, error
        self._lock.release()

    def result(self, timeout: float) -> Any:
        """The answer; raises what it failed with, or `TimeoutError`."""
        if not self._lock.acquire(timeout=timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value


class CoreClient:
    """The web process's side of the conversation with core."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Call] = {}
        self._outgoing: deque[dict[str, Any]] = deque()
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
        answer = _Call()
        if self._channel is None:
            raise CoreGone("the service is starting; try again in a moment")
        self._waiting[number] = answer
        self._send({"type": "call", "call": number, "operation": operation, "arguments": arguments})
        try:
            return answer.result(timeout)
        except TimeoutError:
            raise CoreGone(f"no answer to {operation} within {timeout:g} s") from None
        finally:
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
        if not self._thread.is_alive():
            self._wake.close()
            self._woken.close()

    def add(self, following: Following) -> None:
        """Called by `Following` when it begins."""
        with self._lock:
            first = following.topic not in self._followers
            self._followers.setdefault(following.topic, set()).add(following)
            if first:
                self._outgoing.append({"type": "follow", "topic": following.topic})
        self._send()

    def remove(self, following: Following) -> None:
        """Called by `Following` when it ends."""
        with self._lock:
            rest = self._followers.get(following.topic, set())
            rest.discard(following)
            if not rest and self._followers.pop(following.topic, None) is not None:
                self._outgoing.append({"type": "unfollow", "topic": following.topic})
        self._send()

    def _send(self, *messages: dict[str, Any]) -> None:
        """Send messages, or leave them to the thread that is sending: it looks again when done."""
        self._outgoing.extend(messages)
        while self._outgoing and self._lock.acquire(blocking=False):
            try:
                if not self._flush():
                    self._poke()
            finally:
                self._lock.release()

    def _flush(self) -> bool:
        """Send what waits, with the lock held; False when the reader must see to the rest."""
        channel = self._channel
        taken = []
        while self._outgoing:
            taken.append(self._outgoing.popleft())
        if channel is None:
            self._refuse(taken, CoreGone("the service is starting; try again in a moment"))
            return True
        channel.send(*taken)
        try:
            return channel.flush()
        except ChannelFull:
            self._refuse(taken, CoreBusy("too much waits to be sent; try again in a moment"))
            return True
        except ChannelClosed:
            return False

    def _refuse(self, messages: Iterable[Mapping[str, Any]], error: Exception) -> None:
        for message in messages:
            call = self._waiting.pop(message.get("call", 0), None)
            if call is not None:
                call.end(error=error)

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
            self._flush()
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
            wanted = selectors.EVENT_READ
            while not self._closed:
                before, wanted = wanted, _wanted(done=self._flush_all(channel))
                if wanted != before:
                    selector.modify(channel, wanted)
                ready = selector.select(timeout=5)
                for key, events in ready:
                    if key.fileobj is self._woken:
                        self._woken.recv(4096)
                    elif events & selectors.EVENT_READ:
                        for message in channel.receive():
                            self._take(message)

    def _flush_all(self, channel: Channel) -> bool:
        """Send what the socket takes; True when nothing is left, neither then nor meanwhile."""
        with self._lock:
            self._flush()
            done = channel.flush()
        while self._outgoing:
            with self._lock:
                done = self._flush()
        return done

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "answer":
            answer = self._waiting.pop(message["call"], None)
            if answer is not None:
                answer.end(message.get("value"), _fault(message) if "error" in message else None)
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
            everyone = [f for group in self._followers.values() for f in group]
            while self._waiting:
                _, answer = self._waiting.popitem()
                answer.end(error=CoreGone(WENT_AWAY))
        self._send()
        for following in everyone:
            following.put({"type": "lost"})


def _wanted(*, done: bool) -> int:
    return selectors.EVENT_READ | (0 if done else selectors.EVENT_WRITE)


def _fault(message: Mapping[str, Any]) -> Exception:
    if message.get("status") == 503:
        return CoreBusy(message["error"])
    return CoreRefused(message["error"], message.get("status", 500), message.get("details"))
