"""The git process: looks at sources for core, each look in a child of its own.

It is single-threaded and never waits for a remote: a hung host, a huge pack or a file that takes
seconds to read only costs the child that met it, which has limits and a wall clock. Requests come
on a channel and answers go back on it; core sends again what a dead git process had under way.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import selectors
import shutil
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_runner.flow.catalogue import Catalogue
from penstock_runner.git.copies import clear_leftovers
from penstock_runner.git.trouble import GIT_CORRUPT, GIT_TIMEOUT, GIT_TOO_BIG, GitTrouble
from penstock_runner.git.upkeep import tidy
from penstock_runner.jobs.frames import Channel, ChannelClosed
from penstock_runner.tasks.storage import Storage
from penstock_server.sync.asked import TASK_STORES
from penstock_server.sync.errands import KINDS, run_errand
from penstock_server.sync.folding import folded
from penstock_server.sync.look import Message, failed
from penstock_server.sync.sharing import say_where, store_of

_GRACE_SECONDS = 2.0
_CPU_SECONDS = 300
_TASKS_KEPT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class LookerSettings:
    """Where stores lie, and how many looks run at once."""

    home: Path
    catalogue: Callable[[], Catalogue]
    storage: Storage | None = None
    at_once: int = 4
    per_host: int = 2


@dataclass(slots=True, kw_only=True)
class _Child:
    source: str
    store: str
    request: Mapping[str, Any]
    host: str
    pid: int
    channel: Channel
    deadline: float
    answered: bool = False


def run(channel: Channel, settings: LookerSettings) -> None:
    """Serve until the channel closes; then the children are ended."""
    Looker(channel, settings).run()


class Looker:
    """The loop of the git process."""

    def __init__(self, channel: Channel, settings: LookerSettings) -> None:
        self._channel = channel
        self._settings = settings
        self._catalogue = settings.catalogue()
        self._selector = selectors.DefaultSelector()
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._children: dict[int, _Child] = {}

    def run(self) -> None:
        """Serve until the channel closes."""
        stores = self._settings.home / "git"
        stores.mkdir(mode=0o700, parents=True, exist_ok=True)
        clear_leftovers(stores)
        forget_tasks(stores, _epoch_seconds(stores))
        for store in stores.iterdir():
            tidy(store, _epoch_seconds(stores))
        # What children need is loaded here: within their limits a library may not load any more.
        "localhost".encode("idna")
        # Children share the memory of this process; the collector would copy all of it.
        gc.collect()
        gc.freeze()
        self._selector.register(self._channel, selectors.EVENT_READ)
        try:
            while True:
                self._turn()
        except ChannelClosed:
            pass
        finally:
            for child in list(self._children.values()):
                self._kill(child)
                self._reap(child)
            self._selector.close()

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if key.fileobj is self._channel:
                for message in self._channel.receive():
                    if message.get("type") in KINDS:
                        self._take(message)
            else:
                self._read(self._children[key.fd])
        now = time.monotonic()
        for child in list(self._children.values()):
            if child.deadline <= now:
                self._late(child)
        self._start_waiting(now)
        self._flush()

    def _take(self, message: Mapping[str, Any]) -> None:
        """Core may ask twice for the same look, when it is not sure that the first got through."""
        running = [child.request for child in self._children.values() if not child.answered]
        asked = [*self._waiting, *running]
        if message not in asked:
            self._waiting.append(message)

    def _patience(self) -> float | None:
        if self._channel.pending:
            return 0.05
        if not self._children:
            return None
        nearest = min(child.deadline for child in self._children.values())
        return max(0.0, nearest - time.monotonic())

    def _flush(self) -> None:
        if self._channel.pending:
            self._channel.flush()

    def _start_waiting(self, now: float) -> None:
        """Start looks in the order they came; one a source, a few a host."""
        busy = {child.store for child in self._children.values()}
        for message in list(self._waiting):
            if len(self._children) >= self._settings.at_once:
                return
            source = message["source"]
            host = _host(source["url"])
            there = sum(child.host == host for child in self._children.values())
            if store_of(source) in busy or there >= self._settings.per_host:
                continue
            self._waiting.remove(message)
            busy.add(store_of(source))
            self._start(message, host, now)

    def _start(self, message: Mapping[str, Any], host: str, now: float) -> None:
        ours, theirs = socket.socketpair()
        source = message["source"]
        timeout = float(source.get("timeout") or 60)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._be_child(message, theirs, timeout)
        theirs.close()
        child = _Child(
            source=source["id"],
            store=store_of(source),
            request=message,
            host=host,
            pid=pid,
            channel=Channel(ours),
            deadline=now + timeout + _GRACE_SECONDS,
        )
        self._children[ours.fileno()] = child
        self._selector.register(child.channel, selectors.EVENT_READ)

    def _be_child(
        self, message: Mapping[str, Any], connection: socket.socket, timeout: float
    ) -> None:
        """Never returns: looks, answers, ends."""
        status = 1
        try:
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            # The wall clock goes on when the parent is gone.
            signal.alarm(int(timeout) + 1)
            self._channel.close()
            for child in self._children.values():
                child.channel.close()
            limit_resources(message["source"]["limits"])
            stores = self._settings.home / "git"
            store = stores / store_of(message["source"])
            say_where(stores, message["source"])
            channel = Channel(connection, limit=1 << 30)
            connection.setblocking(True)  # noqa: FBT003 - the standard library's own signature

            def tell(said: Message) -> None:
                channel.send(said)
                while not channel.flush():
                    pass

            storage = self._settings.storage
            tell(folded(run_errand(message, store, self._catalogue, storage, tell)))
            status = 0
        except BaseException:  # noqa: BLE001 - nothing of the parent's may run in the child
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)

    def _read(self, child: _Child) -> None:
        try:
            for message in child.channel.receive():
                child.answered = child.answered or message["type"] != "working"
                self._channel.send(message)
        except ChannelClosed:
            status = self._reap(child)
            if not child.answered:
                self._fail(child, _died(status))

    def _late(self, child: _Child) -> None:
        self._kill(child)
        self._reap(child)
        if not child.answered:
            message = (
                "the look took longer than `timeout`; raise it, or make the repository smaller"
            )
            self._fail(child, GitTrouble(GIT_TIMEOUT, message))

    def _fail(self, child: _Child, trouble: GitTrouble) -> None:
        answer = failed(child.source, trouble)
        self._channel.send({**answer, "errand": child.request["type"]})

    def _kill(self, child: _Child) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)

    def _reap(self, child: _Child) -> int:
        self._selector.unregister(child.channel)
        del self._children[child.channel.fileno()]
        child.channel.close()
        _, status = os.waitpid(child.pid, 0)
        return os.waitstatus_to_exitcode(status)


def forget_tasks(stores: Path, now: float) -> None:
    """Remove the stores of repositories that no Git task has asked for in a week."""
    for store in stores.glob(f"{TASK_STORES}*"):
        heads = store / "refs" / "heads"
        if not heads.is_dir() or heads.stat().st_mtime < now - _TASKS_KEPT_SECONDS:
            shutil.rmtree(store, ignore_errors=True)


def limit_resources(limits: Mapping[str, Any]) -> None:
    """Bound what this process may write, hold and compute."""
    for kind, value in (
        (resource.RLIMIT_FSIZE, limits["pack_bytes"]),
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        wanted = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        resource.setrlimit(kind, (wanted, hard))


def _died(status: int) -> GitTrouble:
    if status in (-signal.SIGALRM, -signal.SIGXCPU):
        return GitTrouble(GIT_TIMEOUT, "the look took longer than `timeout` allows; raise it")
    if status == -signal.SIGKILL:
        return GitTrouble(GIT_TOO_BIG, "the look was killed, likely for the memory it took")
    return GitTrouble(GIT_CORRUPT, f"the look ended without an answer (status {status})")


def _host(url: str) -> str:
    rest = url.rpartition("://")[2]
    return rest.partition("/")[0].rpartition("@")[2].partition(":")[0]


def _epoch_seconds(folder: Path) -> float:
    """The present moment as the file system of the stores counts it."""
    mark = folder / ".now"
    mark.touch()
    moment = mark.stat().st_mtime
    mark.unlink()
    return moment


__all__ = ["Looker", "LookerSettings", "Message", "limit_resources", "run"]
