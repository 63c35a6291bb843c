"""What happens when more is asked than can be answered: the rest is told so at once.

Requests wait for a thread. When too many wait already, one more goes to a few threads that do
nothing but refuse: 503, with the time after which to ask again. So what was accepted is answered
soon, and who is refused knows it before his own patience ends.
"""

from __future__ import annotations

import json
import resource
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

REFUSING = "refusing"
REFUSERS = 4
MOST_WAITING = 512
RETRY_AFTER_SECONDS = 1
MOST_CONNECTIONS = 8192
# What else has files open in this process: sockets to core, the store, static files, logs.
OTHER_FILES = 256
ALWAYS = ("/ping", "/health")

Application = Callable[..., Iterable[bytes]]


def shedding(application: Application) -> Application:
    """The application, with an answer of its own in threads that refuse."""

    def answer(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        refusing = threading.current_thread().name.startswith(REFUSING)
        if not refusing or str(environ.get("PATH_INFO", "")).startswith(ALWAYS):
            return application(environ, start_response)
        body = json.dumps({"message": "too much is asked at once; try again"}).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(RETRY_AFTER_SECONDS)),
        ]
        start_response("503 Service Unavailable", headers)
        return [body]

    return answer


def connections() -> int:
    """How many connections may be open: as many as the system lets this process have files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        soft = limit
    room = MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else soft - OTHER_FILES
    return max(min(MOST_CONNECTIONS, room), OTHER_FILES)
