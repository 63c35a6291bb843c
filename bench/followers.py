"""Many clients that follow the logs of tasks that never stop talking."""

from __future__ import annotations

import re
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Self

from bench import flows
from bench.client import API, Api, Wrong
from bench.service import Service

PATIENCE = 60.0
TALKERS = 4
TALK = f"""\
id: talk
namespace: {flows.NAMESPACE}
tasks:
  - id: talk
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {{type: {flows.CORE}.runner.Process}}
    commands: ['n=0; while :; do n=$((n+1)); echo "tick $n"; sleep 1; done']
"""
_TICK = re.compile(rb'"message": ?"tick (\d+)"')


@dataclass(slots=True, eq=False)
class _Follower:
    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)


class Followers:
    """So many connections that read live logs while the block runs; each must miss no line."""

    def __init__(self, service: Service, api: Api, count: int) -> None:
        self._service = service
        self._api = api
        self._count = count
        self._followers: list[_Follower] = []
        self._talking: list[str] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._api.add(TALK)
        self._talking = [self._api.start("talk")["id"] for _ in range(TALKERS)]
        until = time.monotonic() + PATIENCE
        while len(self._followers) < self._count:
            follower = self._following(self._talking[len(self._followers) % TALKERS])
            if follower is not None:
                self._followers.append(follower)
            elif time.monotonic() > until:
                raise Wrong(f"only {len(self._followers)} of {self._count} clients may follow")
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(PATIENCE)
        seconds = time.monotonic() - self._began
        for follower in self._followers:
            follower.socket.close()
        for execution_id in self._talking:
            self._api.call("DELETE", f"{API}/executions/{execution_id}/kill")
        for follower in self._followers:
            seen = [int(number) for number in _TICK.findall(follower.received)]
            # What a follower meets first is there already; then about one a second comes.
            if seen != list(range(1, len(seen) + 1)) or len(seen) < seconds / 2:
                raise Wrong(f"a follower saw {len(seen)} lines in {seconds:.0f} s: {seen[-5:]}")

    def _following(self, execution_id: str) -> _Follower | None:
        """A new follower; None when the process that was met has no place for one."""
        connection = socket.create_connection(("127.0.0.1", self._service.port), timeout=PATIENCE)
        path = f"{API}/logs/{execution_id}/follow"
        host = f"127.0.0.1:{self._service.port}"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        first = connection.recv(1 << 16)
        if first[9:12] != b"200":
            connection.close()
            if first[9:12] != b"503":
                raise Wrong(f"GET {path}: {first[:300]!r}")
            return None
        return _Follower(connection, bytearray(first))

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            for follower in self._followers:
                selector.register(follower.socket, selectors.EVENT_READ, follower)
            while not self._done.is_set():
                for key, _ in selector.select(0.2):
                    part = key.data.socket.recv(1 << 16)
                    if not part:
                        selector.unregister(key.data.socket)
                    key.data.received += part
