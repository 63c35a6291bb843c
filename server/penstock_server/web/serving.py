"""Serves the WSGI application with gunicorn's threaded worker, in a process that is already ours.

gunicorn's own parent process is not used: ours forks, watches and restarts. The worker is given an
open listening socket, one for each web process, which outlives it: a restart refuses nobody.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.sock import TCPSocket
from gunicorn.workers.gthread import ThreadWorker

from penstock_server.web import shedding

THREADS = 64
GRACE_SECONDS = 2
KEEPALIVE_SECONDS = 15
HEADER_SECONDS = 3
BODY_SECONDS = 10
BODY_BYTES_PER_SECOND = 50_000

log = logging.getLogger(__name__)


class _Application(BaseApplication):  # type: ignore[misc]
    def __init__(self, wsgi: Callable[..., Any], options: dict[str, object]) -> None:
        self._wsgi = wsgi
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        return self._wsgi

    def wsgi(self) -> Callable[..., Any]:
        return self._wsgi


class _Listening(TCPSocket):  # type: ignore[misc]
    """Our own listening socket in the shape that the worker expects."""

    def __init__(self, conf: object, listening: socket.socket) -> None:
        super().__init__(listening.getsockname(), conf, log, fd=os.dup(listening.fileno()))


class _QuietLogger(Logger):  # type: ignore[misc]
    """No access log; the worker's own words go where ours go, but the small talk does not."""

    def setup(self, cfg: object) -> None:  # noqa: ARG002 - our logging is set up already
        self.error_log = logging.getLogger("penstock.web")
        self.access_log = logging.getLogger("penstock.access")

    def info(self, msg: str, *args: object, **kwargs: object) -> None:
        self.debug(msg, *args, **kwargs)


class _Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's worker with a deadline for each request to arrive, whole.

    Its threads read without a time-out, so a handful of clients that begin a request and fall
    silent (or send a byte now and then) would hold all of them.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self._arriving: dict[Any, float] = {}
        self._refusers = ThreadPoolExecutor(shedding.REFUSERS, shedding.REFUSING)

    def enqueue_req(self, conn: Any) -> None:
        """Have a request answered, or refused when too many wait already."""
        waiting = self.tpool._work_queue.qsize()  # noqa: SLF001 - the pool does not tell otherwise
        if waiting < shedding.MOST_WAITING:
            super().enqueue_req(conn)
            return
        refused = self._refusers.submit(self.handle, conn)
        refused.add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    def handle(self, conn: Any) -> Any:
        self._arriving[conn] = time.monotonic() + HEADER_SECONDS
        try:
            return super().handle(conn)
        finally:
            self._arriving.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        self._arriving[conn] = time.monotonic() + _body_seconds(dict(req.headers))
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Once a second, beside gunicorn's own time-outs: read no more from who is too slow.

        Only reading ends: the answer to a request that has arrived may take its time.
        """
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, deadline in list(self._arriving.items()) if deadline < now]:
            self._arriving.pop(conn, None)
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)


def _body_seconds(headers: dict[str, str]) -> float:
    length = headers.get("CONTENT-LENGTH", "0")
    return BODY_SECONDS + (int(length) if length.isdecimal() else 0) / BODY_BYTES_PER_SECOND


def serve(wsgi: Callable[..., Any], listening: socket.socket, *, threads: int = THREADS) -> None:
    """Serve until SIGTERM; what is being answered then gets two seconds to end."""
    options: dict[str, object] = {
        "threads": threads,
        "worker_connections": max(shedding.connections(), threads * 2),
        "keepalive": KEEPALIVE_SECONDS,
        "graceful_timeout": GRACE_SECONDS,
        "logger_class": _QuietLogger,
        "timeout": 0,
        "limit_request_field_size": 16_380,
    }
    application = _Application(shedding.shedding(wsgi), options)
    config = application.cfg
    worker = _Worker(
        1,
        os.getppid(),
        [_Listening(config, listening)],
        application,
        0,
        config,
        _QuietLogger(config),
    )
    worker.pid = os.getpid()
    worker.init_process()
