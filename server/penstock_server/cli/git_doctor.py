"""`penstock git doctor`: what stands between a service and its repositories, and what to change."""

from __future__ import annotations

import json
from typing import Any

import click

from penstock_server.cli.connection import Connection, connected, connection_options
from penstock_server.cli.executions import format_option
from penstock_server.cli.exits import FAILED, FINE, USAGE, Stop
from penstock_server.cli.screen import examples, table

API = "/api/v1/git"
SIGNS = {"ok": "ok", "warning": "warn", "failed": "FAIL", "skipped": "-"}


@click.command(
    epilog=examples("penstock git doctor", "penstock git doctor main --format json"),
)
@click.argument("source", required=False)
@format_option
@connection_options
def doctor(source: str | None, form: str, **where: Any) -> None:
    """Check a Git source, or all: name, connection, certificate, access, branch, folder, webhook.

    The service itself does it, from where it runs and with its own secrets.

    Exit codes: 0 all is well, 1 something is wrong, 2 there is no such source, 3 the service
    cannot be reached, 4 not authorised.
    """
    connection = connected(**where)
    found = [_checked(connection, name) for name in _names(connection, source)]
    if form == "json":
        click.echo(json.dumps({"ok": all(one["ok"] for one in found), "sources": found}, indent=2))
    else:
        click.echo("\n\n".join(map(_shown, found)) or "there is no Git source")
    fine = all(one["ok"] for one in found)
    click.get_current_context().exit(FINE if fine else FAILED)


def _names(connection: Connection, source: str | None) -> list[str]:
    listed = connection.get(f"{API}/sources")
    names = [one["id"] for one in (listed if isinstance(listed, list) else listed["results"])]
    if source is None:
        return names
    if source not in names:
        known = ", ".join(names) or "none"
        raise Stop(f"{connection.server} has no Git source {source!r}; it has {known}", USAGE)
    return [source]


def _checked(connection: Connection, source: str) -> dict[str, Any]:
    answer = connection.asked("POST", f"{API}/sources/{source}/check", tries=1, timeout=180.0)
    found: dict[str, Any] = answer.json()
    return found


def _shown(found: dict[str, Any]) -> str:
    rows = [
        (SIGNS.get(one["status"], one["status"]), one["name"], one["message"])
        for one in found["checks"]
    ]
    return table(("", found["source"], found["url"]), rows, colour=0)
