"""The sockets that web processes serve: one each, all of the same address."""

from __future__ import annotations

import errno
import select
import socket
from collections import Counter
from contextlib import ExitStack

import pytest

from penstock_server.processes import listen


def test_connections_are_dealt_out_to_all_web_processes() -> None:
    with ExitStack() as opened:
        sockets = [opened.enter_context(one) for one in listen("127.0.0.1", 0, 3)]
        address = sockets[0].getsockname()
        assert [one.getsockname() for one in sockets] == [address] * 3
        clients = [opened.enter_context(socket.create_connection(address)) for _ in range(96)]
        taken: Counter[int] = Counter()
        while taken.total() < len(clients):
            ready, _, _ = select.select(sockets, [], [], 10)
            assert ready, f"only {taken.total()} of {len(clients)} connections have arrived"
            for one in ready:
                opened.enter_context(one.accept()[0])
                taken[one.fileno()] += 1
    assert len(taken) == 3


@pytest.mark.parametrize("count", [1, 3])
def test_an_address_that_another_service_has_is_refused(count: int) -> None:
    with ExitStack() as opened:
        first = [opened.enter_context(one) for one in listen("127.0.0.1", 0, count)]
        port = first[0].getsockname()[1]
        with pytest.raises(OSError, match="in use") as refused:
            listen("127.0.0.1", port, count)
    assert refused.value.errno == errno.EADDRINUSE
