"""Waiting for executions that a deploy has started."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from urllib.parse import quote

import click

from penstock_server.cli.connection import Connection
from penstock_server.cli.executions import API, ENDED
from penstock_server.cli.exits import FAILED, FINE, UNREACHABLE, Stop

GOOD = frozenset({"SUCCESS", "WARNING", "SKIPPED"})
EVERY_SECONDS = 0.5


def awaited(connection: Connection, ids: Sequence[str], seconds: float) -> int:
    """Wait until all have ended; the exit code says whether all went well."""
    until = time.monotonic() + seconds
    code = FINE
    for execution_id in ids:
        state, flow = _end_of(connection, execution_id, until)
        click.echo(f"{flow} {state} {execution_id}", err=True)
        if state not in GOOD:
            code = FAILED
    return code


def _end_of(connection: Connection, execution_id: str, until: float) -> tuple[str, str]:
    path = f"{API}/executions/{quote(execution_id, safe='')}"
    state = "not started yet"
    while time.monotonic() < until:
        # It is started right after the deploy, in a transaction of its own.
        answer = connection.asked("GET", path, accepted=frozenset({404}))
        if answer.status_code != 404:
            found = answer.json()
            state = str(found["state"]["current"])
            if state in ENDED:
                return state, f"{found['namespace']}.{found['flowId']}"
        threading.Event().wait(EVERY_SECONDS)
    raise Stop(
        f"the flows are live, but execution {execution_id} has not ended in time ({state});"
        " --timeout gives it longer",
        UNREACHABLE,
    )
