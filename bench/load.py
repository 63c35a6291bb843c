"""Generates load from processes of its own, over connections that ask again once answered.

`python -m bench.load` reads an order as JSON on its input and writes what came back as JSON. It
parses no more of an answer than it must: it shares the machine with what is being measured.
"""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

TIMEOUT = 120.0
REFUSED = "503"
PACE = 0.002
# A service lets go of connections that are silent for long.
KEPT = 5.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb'"id": ?"([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one process asks. `{n}` in the body becomes the number of the request.

    `count` requests are sent, or as many as fit into `seconds` when that is more than 0; `rate` is
    the most of them in a second. With `refusals` a 503 that says when to try again is an answer.
    """

    port: int
    path: str
    body: str = ""
    count: int = 0
    seconds: float = 0.0
    connections: int = 8
    first: int = 0
    start_at: float = 0.0
    rate: float = 0.0
    refusals: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came back: the ids of the executions, and how long each answer took, in seconds."""

    ids: tuple[str, ...]
    latencies: tuple[float, ...]
    begun: float
    ended: float
    refused: int = 0


@dataclass(slots=True, eq=False)
class _Line:
    """One connection with its request under way."""

    socket: socket.socket
    sent: float = 0.0
    received: bytes = b""


def generate(orders: Sequence[Order]) -> Answered:
    """Carry out orders, each in its own process, all at the same moment."""
    start_at = time.monotonic() + 0.3
    command = [sys.executable, "-S", "-m", "bench.load"]
    with contextlib.ExitStack() as stack:
        processes = []
        for order in orders:
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            stack.callback(process.kill)
            assert process.stdin is not None
            process.stdin.write(json.dumps({**asdict(order), "start_at": start_at}).encode())
            process.stdin.close()
            processes.append(process)
        found = [json.loads(process.stdout.read() or b"null") for process in processes]  # type: ignore[union-attr]
    if None in found:
        raise RuntimeError("a load generator failed; what it said is above")
    return Answered(
        ids=tuple(one for part in found for one in part["ids"]),
        latencies=tuple(one for part in found for one in part["latencies"]),
        begun=min(part["begun"] for part in found),
        ended=max(part["ended"] for part in found),
        refused=sum(part["refused"] for part in found),
    )


def spread(
    port: int,
    path: str,
    *,
    count: int = 0,
    seconds: float = 0.0,
    connections: int = 32,
    processes: int = 2,
    body: str = "",
    first: int = 0,
    rate: float = 0.0,
    refusals: bool = False,
) -> list[Order]:
    """One load as orders for several processes; the numbers of their requests never meet."""
    return [
        Order(
            port=port,
            path=path,
            body=body,
            count=count // processes + (1 if n < count % processes else 0),
            seconds=seconds,
            connections=max(connections // processes, 1),
            first=first + n * 10_000_000,
            rate=rate / processes,
            refusals=refusals,
        )
        for n in range(processes)
    ]


def carry_out(order: Order) -> dict[str, object]:
    """Ask until the order is done; raises on an answer that it does not take."""
    time.sleep(max(order.start_at - time.monotonic(), 0.0))
    numbers = _numbers(order)
    ids: list[str] = []
    latencies: list[float] = []
    refused = 0
    begun = time.monotonic()
    idle: list[_Line | None] = [None] * order.connections
    under_way = 0
    with selectors.DefaultSelector() as selector:
        while True:
            while idle and _may_ask(order, begun, len(latencies) + under_way):
                line = _asked(idle.pop(), order, numbers)
                if line is not None:
                    selector.register(line.socket, selectors.EVENT_READ, line)
                    under_way += 1
            if not idle and not under_way:
                break
            ready = selector.select(PACE if idle else TIMEOUT)
            if not ready and not idle:
                raise TimeoutError(f"no answer within {TIMEOUT:g} s; {len(ids)} came before")
            for key, _ in ready:
                answer = _receive(key.data, refusals=order.refusals)
                if answer is None:
                    continue
                selector.unregister(key.data.socket)
                under_way -= 1
                latencies.append(time.monotonic() - key.data.sent)
                idle.append(key.data)
                if answer == REFUSED:
                    refused += 1
                else:
                    ids.append(answer)
    ended = time.monotonic()
    return {"ids": ids, "latencies": latencies, "begun": begun, "ended": ended, "refused": refused}


def _asked(line: _Line | None, order: Order, numbers: Iterator[int]) -> _Line | None:
    """A line with the next request under way; None, with the line closed, when there is none."""
    number = next(numbers, None)
    stale = line is not None and time.monotonic() - line.sent > KEPT
    if line is not None and (number is None or stale):
        line.socket.close()
    if number is None:
        return None
    if line is None or stale:
        line = _Line(socket.create_connection(("127.0.0.1", order.port), timeout=TIMEOUT))
    _ask(line, order, number)
    return line


def _may_ask(order: Order, begun: float, asked: int) -> bool:
    """Whether the next request is due; at the end of its time an order closes its connections."""
    if not order.rate:
        return True
    passed = time.monotonic() - begun
    return asked < passed * order.rate or passed > order.seconds + 0.1


def _numbers(order: Order) -> Iterator[int]:
    until = time.monotonic() + order.seconds
    n = 0
    while (n < order.count) if not order.seconds else (time.monotonic() < until):
        yield order.first + n
        n += 1


def _ask(line: _Line, order: Order, number: int) -> None:
    body = order.body.replace("{n}", str(number)).encode()
    head = (
        f"POST {order.path} HTTP/1.1\r\nHost: 127.0.0.1:{order.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    line.sent = time.monotonic()
    line.socket.sendall(head.encode() + body)


def _receive(line: _Line, *, refusals: bool = False) -> str | None:
    """The id in the answer once it is whole, or `REFUSED`."""
    part = line.socket.recv(1 << 18)
    if not part:
        raise ConnectionError(f"the service closed the connection: {line.received[:300]!r}")
    line.received += part
    end = line.received.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = _LENGTH.search(line.received, 0, end + 2)
    if length is None or len(line.received) < end + 4 + int(length[1]):
        return None
    whole, line.received = line.received, b""
    if refusals and whole[9:12] == b"503" and b"\r\nretry-after:" in whole.lower():
        return REFUSED
    if whole[9:10] != b"2":
        raise RuntimeError(f"the service answered {whole[:600]!r}")
    found = _ID.search(whole, end)
    return found[1].decode() if found else ""


if __name__ == "__main__":
    print(json.dumps(carry_out(Order(**json.loads(sys.stdin.read())))))
