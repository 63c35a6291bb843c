"""Serves the WSGI application with gunicorn's threaded worker, in a process that is already ours.

gunicorn's own parent process is not used: ours forks, watches and restarts. The worker is given an
open listening socket, so several web processes can share one, and a restart refuses nobody.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.sock import TCPSocket
from gunicorn.workers.gthread import ThreadWorker

THREADS = 64
CONNECTIONS = 1000
GRACE_SECONDS = 2
KEEPALIVE_SECONDS = 15

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


def serve(wsgi: Callable[..., Any], listening: socket.socket, *, threads: int = THREADS) -> None:
    """Serve until SIGTERM; what is being answered then gets two seconds to end."""
    options: dict[str, object] = {
        "threads": threads,
        "worker_connections": CONNECTIONS,
        "keepalive": KEEPALIVE_SECONDS,
        "graceful_timeout": GRACE_SECONDS,
        "logger_class": _QuietLogger,
        "timeout": 0,
        "limit_request_field_size": 16_380,
    }
    application = _Application(wsgi, options)
    config = application.cfg
    worker = ThreadWorker(
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
