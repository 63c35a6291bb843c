"""The loop of the core process.

One thread that reads what has arrived, lets the executor drain it, writes.

Everything is a message on a Unix socket or a moment that has come. While a transaction is being
written, messages wait in the sockets, and the next batch takes them all: that is what group commit
needs, and no lock is needed anywhere. Nothing here may block but the store.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from penstock_runner.executor.dispatch import RunnerSeat
from penstock_runner.jobs.frames import Channel, ChannelClosed, ChannelFull
from penstock_runner.jobs.protocol import Report
from penstock_server.core.followers import Followers
from penstock_server.core.operations import (
    executions,
    files,
    flow_holds,
    flow_sets,
    flows,
    git,
    git_tasks,
    logs,
    many,
    records,
    tasks,
    templates,
    triggers,
    values,
)
from penstock_server.core.peers import Peer
from penstock_server.core.room import Answer, Operation, Room
from penstock_server.store import runners as stored_runners
from penstock_server.store.engine import Tx

LONGEST_WAIT = 1.0
RUNNERS_LEAVE = 10.0
SEEN_EVERY = timedelta(seconds=15)

log = logging.getLogger(__name__)

OPERATIONS: Mapping[str, Operation] = {
    **executions.OPERATIONS,
    **files.OPERATIONS,
    **flow_sets.OPERATIONS,
    **flows.OPERATIONS,
    **flow_holds.OPERATIONS,
    **git.OPERATIONS,
    **git_tasks.OPERATIONS,
    **logs.OPERATIONS,
    **many.OPERATIONS,
    **records.OPERATIONS,
    **tasks.OPERATIONS,
    **templates.OPERATIONS,
    **triggers.OPERATIONS,
    **values.OPERATIONS,
}


class CoreLoop:
    """Serves the sockets and the moments of one core process."""

    def __init__(
        self,
        room: Room,
        listening: socket.socket,
        followers: Followers,
        read_again: Callable[[], None] = lambda: None,
    ) -> None:
        self._room = room
        self._read_again = read_again
        self._asked_again = False
        self._listening = listening
        self._followers = followers
        self._peers: dict[int, Peer] = {}
        self._git: Peer | None = None
        self._for_git: list[dict[str, Any]] = []
        self._patience: float | None = None
        self._parent = os.getppid()
        self._joined: dict[str, datetime] = {}
        self._selector = selectors.DefaultSelector()
        self._activities: list[tuple[str, Callable[[datetime], datetime | None]]] = [
            ("scheduler", room.scheduler.tick),
            ("sync", room.sync.tick),
            ("runners", self._note_runners),
            ("retention", room.retention.tick),
            ("leftovers", room.leftovers.tick),
        ]
        self._next: dict[str, datetime | None] = {}
        self._lease = room.settings.runner.lease

    def stop(self) -> None:
        """End the loop after the present batch, and once the runners have left.

        The parent stops them before core; who stops all processes at once makes them leave, too.
        """
        self._patience = time.monotonic() + (RUNNERS_LEAVE if os.getppid() == self._parent else 0)

    def ask_again(self) -> None:
        """Have the sources of the configuration read again, with the next turn."""
        self._asked_again = True

    def send_to_git(self, message: dict[str, Any]) -> None:
        """Send to the git process, now or when it is back."""
        if self._git is None:
            self._for_git.append(message)
        else:
            self._git.channel.send(message)

    def run(self) -> None:
        """Serve until stopped."""
        self._listening.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._selector.register(self._listening, selectors.EVENT_READ)
        woken = self._wake_on_signals()
        recovered = self._room.executor.recover()
        if recovered:
            log.info("taking up %d executions that were under way", recovered)
        while not self._stopped():
            self._turn(woken)
            if self._room.database.deposed:
                log.error("another service leads the store by now; this one stands by")
                raise SystemExit(1)
        self._finish()

    def _stopped(self) -> bool:
        if self._patience is None:
            return False
        runners = any(peer.runner is not None for peer in self._peers.values())
        return not runners or time.monotonic() > self._patience

    def _wake_on_signals(self) -> socket.socket:
        waking, woken = socket.socketpair()
        for end in (waking, woken):
            end.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
        self._waking = waking
        self._selector.register(woken, selectors.EVENT_READ)
        return woken

    def _turn(self, woken: socket.socket) -> None:
        for key, events in self._selector.select(self._wait()):
            if key.fileobj is self._listening:
                self._accept()
            elif key.fileobj is woken:
                woken.recv(4096)
            elif events & selectors.EVENT_READ:
                self._read(key.data)
        if self._asked_again:
            self._asked_again = False
            self._read_again()
        self._tick()
        self._room.executor.drain()
        self._flush()

    def _wait(self) -> float:
        executor = self._room.executor
        if executor.busy:
            return 0.0
        moments = [executor.next_wake(), *self._next.values()]
        known = [moment for moment in moments if moment is not None]
        if not known:
            return LONGEST_WAIT
        wait = (min(known) - self._room.clock.now()).total_seconds()
        return min(max(wait, 0.0), LONGEST_WAIT)

    def _tick(self) -> None:
        now = self._room.clock.now()
        for name, tick in self._activities:
            due = self._next.get(name)
            if due is not None and due > now:
                continue
            try:
                self._next[name] = tick(now)
            except Exception:
                log.exception("%s: a tick failed; it is tried again", name)
                self._next[name] = None

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                return
            peer = Peer(Channel(connection))
            self._peers[peer.channel.fileno()] = peer
            self._selector.register(peer.channel, selectors.EVENT_READ, peer)

    def _read(self, peer: Peer) -> None:
        try:
            messages = peer.channel.receive()
        except ChannelClosed:
            self._leave(peer)
            return
        peer.heard = time.monotonic()
        for message in messages:
            if message["type"] == "beat":
                continue  # that it was heard is all it says
            try:
                self._take(peer, message)
            except Exception:
                log.exception("a message of type %s was not understood", message.get("type"))

    def _take(self, peer: Peer, message: dict[str, Any]) -> None:
        executor = self._room.executor
        match message["type"]:
            case "call":
                self._call(peer, message)
            case "logs":
                executor.lines(_job(message), message["lines"], message.get("task_id"))
            case "started":
                executor.started(_job(message), datetime.fromisoformat(message["at"]))
            case "returned":
                executor.returned(_job(message))
            case "leaving" | "escalated" as said if peer.runner is not None:
                self._said(peer.runner, said)
            case "report":
                report = Report.from_wire(message)
                if not self._room.scheduler.reported(report):
                    executor.report(report)
            case "follow":
                self._followers.follow(peer.channel, message["topic"])
            case "unfollow":
                self._followers.unfollow(peer.channel, message["topic"])
            case "hello":
                self._hello(peer, message)
            case _ if peer.git:
                self._room.sync.receive(message)
            case other:
                log.warning("nobody takes messages of type %s", other)

    def _said(self, runner: str, said: str) -> None:
        """What a runner says of itself in one word."""
        if said == "leaving":
            self._room.executor.runner_leaving(runner)
        else:
            self._room.sync.measures.count("kill_escalations")

    def _call(self, peer: Peer, message: dict[str, Any]) -> None:
        answer = Answer(peer.channel.send, message["call"])
        operation = OPERATIONS.get(message["operation"])
        if operation is None:
            answer.refuse(f"there is no operation {message['operation']}", 501)
            return
        arguments = dict(message.get("arguments") or {})
        if peer.runner is not None:
            caller = {k: message.get(k) for k in ("execution_id", "namespace", "flow_id")}
            arguments = {**caller, **arguments, "_task": True, "_caller": caller["namespace"]}
        try:
            operation(self._room, arguments, answer)
        except Exception as fault:
            if getattr(fault, "status", None) is None:
                log.exception("operation %s failed", message["operation"])
            answer.fail(fault)

    def _hello(self, peer: Peer, message: dict[str, Any]) -> None:
        if message.get("git"):
            peer.git = True
            self._git = peer
            waiting, self._for_git = self._for_git, []
            peer.channel.send(*waiting)
            self._room.sync.git_process_restarted()
        elif message.get("runner"):
            peer.runner = message["runner"]
            peer.pid = message.get("pid")
            seat = RunnerSeat(
                name=message["runner"],
                slots=message["slots"],
                labels=frozenset(message.get("labels", ())),
                namespaces=tuple(message.get("namespaces", ())),
                protected=bool(message.get("protected")),
                send=peer.channel.send,
            )
            self._room.executor.runner_joined(seat)
            self._joined.pop(message["runner"], None)
            self._next["runners"] = None

    def _leave(self, peer: Peer) -> None:
        self._selector.unregister(peer.channel)
        self._peers.pop(peer.channel.fileno(), None)
        peer.channel.close()
        self._followers.leave(peer.channel)
        if peer.runner is not None:
            if not self._room.executor.dispatch.is_leaving(peer.runner):
                log.warning("the runner %s is gone; its jobs are started again", peer.runner)
            self._room.executor.runner_left(peer.runner)
        if peer is self._git:
            self._git = None

    def _flush(self) -> None:
        for peer in list(self._peers.values()):
            if not peer.channel.pending:
                continue
            try:
                done = peer.channel.flush()
            except (ChannelClosed, ChannelFull):
                self._leave(peer)
                continue
            wanted = selectors.EVENT_READ | (0 if done else selectors.EVENT_WRITE)
            self._selector.modify(peer.channel, wanted, peer)

    def _note_runners(self, now: datetime) -> datetime | None:
        """Keep the list of runners that the page shows, and give up those that hang."""
        for peer in list(self._peers.values()):
            if peer.hangs(time.monotonic(), self._lease.total_seconds()):
                self._give_up(peer)
        self._room.executor.look_at_waiting()
        rows = [
            stored_runners.RunnerRow(
                name=seat.name,
                labels=tuple(sorted(seat.labels)),
                namespaces=seat.namespaces,
                protected=seat.protected,
                slots=seat.slots,
                busy=len(seat.busy),
                started_at=self._joined.setdefault(seat.name, now),
                seen_at=now,
            )
            for seat in self._room.executor.dispatch.seats
        ]

        def write(tx: Tx) -> None:
            for row in rows:
                stored_runners.put(tx.connection, row)

        if rows:
            self._room.executor.transact(writes=[write])
        return now + min(SEEN_EVERY, self._lease / 4)

    def _give_up(self, peer: Peer) -> None:
        """End a runner that hangs: only then may its jobs be started again elsewhere."""
        log.error("the runner %s was not heard of for %s: it is killed", peer.runner, self._lease)
        peer.kill()
        self._leave(peer)

    def _finish(self) -> None:
        """Write what has already arrived, then close: a stop loses nothing that was taken."""
        until = time.monotonic() + 5
        while self._room.executor.busy and time.monotonic() < until:
            self._room.executor.drain()
        self._room.leftovers.close()
        self._flush()
        for peer in self._peers.values():
            peer.channel.close()
        self._listening.close()


def _job(message: Mapping[str, Any]) -> tuple[str, str, int]:
    return (message["execution_id"], message["key"], message["attempt"])


def listen(path: Path) -> socket.socket:
    """Core's socket, for our own user alone; a socket left over by a dead core is replaced."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(128)
    return listening
