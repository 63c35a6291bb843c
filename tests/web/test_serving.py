"""Clients that begin a request and fall silent do not keep others from being served."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any
from urllib.request import urlopen

import pytest
from tests.live import wait_for

from penstock_server.web import serving, shedding

THREADS = 2
WAITING = 8
PATIENCE = 60
GATE = multiprocessing.get_context("fork").Event()


def _app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/slow":
        GATE.wait(PATIENCE)
    start_response("200 OK", [("Content-Length", str(len(body) + 4))])
    return [b"pong" + body]


def _serve(listening: socket.socket) -> None:
    serving.BODY_SECONDS = 1
    shedding.MOST_WAITING = WAITING
    serving.serve(_app, listening, threads=THREADS)


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(listening,), daemon=True
        )
        process.start()
        yield listening.getsockname()
        process.terminate()
        process.join(PATIENCE)


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n", id="half the headers"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", id="half the body"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", id="half a chunk"
        ),
    ],
)
def test_silent_clients_do_not_hold_all_threads(address: tuple[str, int], beginning: bytes) -> None:
    silent = [socket.create_connection(address, timeout=PATIENCE) for _ in range(THREADS * 2)]
    try:
        for client in silent:
            client.sendall(beginning)
        with urlopen(f"http://127.0.0.1:{address[1]}/", timeout=PATIENCE) as answer:
            assert answer.read() == b"pong"
    finally:
        for client in silent:
            client.close()


def test_a_body_that_arrives_is_read_whole(address: tuple[str, int]) -> None:
    sent = b"x" * 1_000_000
    with urlopen(f"http://127.0.0.1:{address[1]}/", data=sent, timeout=PATIENCE) as answer:
        assert answer.read() == b"pong" + sent


def _answered(client: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received and (part := client.recv(1 << 16)):
        received += part
    return received


def test_when_too_many_wait_the_next_is_refused_at_once_and_those_who_wait_are_answered(
    address: tuple[str, int],
) -> None:
    GATE.clear()
    asked = [socket.create_connection(address, timeout=PATIENCE) for _ in range(THREADS + WAITING)]
    try:
        for client in asked:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        refused = wait_for(
            partial(_get, address, "/other"), lambda told: told.startswith(b"HTTP/1.1 503")
        )
        assert b"\r\nRetry-After: 1\r\n" in refused
        assert _get(address, "/ping").startswith(b"HTTP/1.1 200")
        GATE.set()
        for client in asked:
            assert _answered(client).startswith(b"HTTP/1.1 200")
    finally:
        GATE.set()
        for client in asked:
            client.close()


def _get(address: tuple[str, int], path: str) -> bytes:
    with socket.create_connection(address, timeout=0.5) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        try:
            return _answered(client)
        except TimeoutError:
            # It waits in line before the queue is full.
            return b""
