"""The conversation of the web process with core, against a core of a few lines."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.live import wait_for

from penstock_runner.jobs.frames import Channel, ChannelClosed
from penstock_server.core.client import CoreClient, CoreGone, CoreRefused

Message = dict[str, Any]
Reply = Callable[[Message], list[Message]]


class SmallCore:
    """Answers calls as it is told to; `go` hangs up on whoever is connected."""

    def __init__(self, path: Path, reply: Reply) -> None:
        self.seen: list[Message] = []
        self._reply = reply
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        channel = Channel(connection)
        connection.setblocking(True)
        try:
            while True:
                connection.recv(1, socket.MSG_PEEK)
                connection.setblocking(False)
                for message in channel.receive():
                    self.seen.append(message)
                    channel.send(*self._reply(message))
                connection.setblocking(True)
                while not channel.flush():
                    pass
        except (ChannelClosed, OSError):
            pass
        finally:
            connection.close()

    def go(self) -> None:
        present, self._connections = self._connections, []
        for one in present:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.go()


def echo(message: Message) -> list[Message]:
    if message["type"] != "call":
        return []
    return [{"type": "answer", "call": message["call"], "value": message["arguments"]}]


def silent(message: Message) -> list[Message]:
    return []


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Reply], tuple[SmallCore, CoreClient]]]:
    made: list[Any] = []

    def begin(reply: Reply) -> tuple[SmallCore, CoreClient]:
        core = SmallCore(tmp_path / "core.sock", reply)
        client = CoreClient(tmp_path / "core.sock")
        made.extend((client, core))
        wait_for(lambda: client.connected, bool)
        return core, client

    yield begin
    for one in made:
        one.close()


Start = Callable[[Reply], tuple[SmallCore, CoreClient]]


def test_every_one_of_many_calls_gets_its_own_answer(start: Start) -> None:
    _, client = start(echo)

    def ask(number: int) -> bool:
        answer: Message = client.call("echo", timeout=10, number=number, text="x" * (number % 5000))
        return answer["number"] == number

    with ThreadPoolExecutor(24) as threads:
        assert all(threads.map(ask, range(3000)))


def test_calls_and_followers_at_the_same_moment_do_not_hold_each_other_up(start: Start) -> None:
    core, client = start(echo)

    def ask(number: int) -> bool:
        with client.follow(f"execution{number % 3}"):
            answer: Message = client.call("echo", timeout=3, number=number)
        return answer["number"] == number

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(1500)))
    follows = [m["type"] for m in core.seen if m["type"] != "call"]
    assert follows.count("follow") == follows.count("unfollow")


def test_whoever_waits_is_told_when_core_goes_away_and_the_next_call_reaches_its_successor(
    start: Start,
) -> None:
    core, client = start(lambda message: echo(message) if "number" in str(message) else [])
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(client.call, "never", timeout=30) for _ in range(4)]
        wait_for(lambda: [m for m in core.seen if m["type"] == "call"], lambda seen: len(seen) == 4)
        core.go()
        for one in waiting:
            with pytest.raises(CoreGone, match="went away"):
                one.result(10)

    def again() -> Any:
        try:
            return client.call("echo", timeout=5, number=1)
        except CoreGone:
            return None

    assert wait_for(again, bool) == {"number": 1}


def test_no_answer_in_time_is_a_core_that_is_gone_and_a_late_answer_is_nobodys(
    start: Start,
) -> None:
    _, client = start(silent)
    with pytest.raises(CoreGone, match="no answer to slow"):
        client.call("slow", timeout=0.05)


def test_without_core_a_call_says_that_the_service_is_starting(tmp_path: Path) -> None:
    client = CoreClient(tmp_path / "nobody.sock")
    try:
        with pytest.raises(CoreGone, match="is starting"):
            client.call("echo", timeout=5)
    finally:
        client.close()


def test_a_refusal_keeps_its_status_and_details(start: Start) -> None:
    def refuse(message: Message) -> list[Message]:
        if message["type"] != "call":
            return []
        known = {"error": "no such flow", "status": 404, "details": {"id": "x"}}
        return [{"type": "answer", "call": message["call"], **known}]

    _, client = start(refuse)
    with pytest.raises(CoreRefused, match="no such flow") as refused:
        client.call("start")
    assert (refused.value.status, refused.value.details) == (404, {"id": "x"})


def test_a_follower_gets_what_its_topic_brings_and_hears_of_a_loss(start: Start) -> None:
    def live(message: Message) -> list[Message]:
        if message["type"] != "follow":
            return []
        return [{"type": "state", "topic": message["topic"], "state": "RUNNING"}]

    core, client = start(live)
    with client.follow("x1") as following:
        assert following.next(10) == {"type": "state", "topic": "x1", "state": "RUNNING"}
        core.go()
        assert following.next(10) == {"type": "lost"}
        assert following.next(10) == {"type": "state", "topic": "x1", "state": "RUNNING"}
