"""`penstock watch`: the flow files of a folder go to a service each time they are saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from penstock_server.cli.changes import Changes
from penstock_server.cli.connection import Connection, connected, connection_options
from penstock_server.cli.deploy import Said, Wanted, deploy_files
from penstock_server.cli.exits import UNAUTHORISED, UNREACHABLE, Stop
from penstock_server.cli.screen import examples

AGAIN_SECONDS = 5.0
TIMEOUT = 300.0


@click.command(
    epilog=examples(
        "penstock watch flows --source me",
        "penstock watch flows --server http://127.0.0.1:8080 --namespace dev.ana",
    )
)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--source", default="me", show_default=True, help="Who owns the flows.")
@click.option("--namespace", metavar="NAMESPACE", help="All flows go there, whatever files say.")
@click.option(
    "--prune/--no-prune",
    default=True,
    help="A flow whose file is gone is deleted (not --no-prune).",
)
@click.option("--poll", is_flag=True, help="Look for changes; for folders of other machines.")
@click.option("--once", is_flag=True, hidden=True)
@connection_options
def command(
    path: Path,
    source: str,
    namespace: str | None,
    *,
    prune: bool,
    poll: bool,
    once: bool,
    **where: Any,
) -> None:
    """Send the flow files at PATH to a service, now and each time they change, until Ctrl-C.

    A change is sent when all has been quiet for 0.3 seconds: all flows are valid and applied, or
    nothing changes and the faults are told. Only flows of the same source are ever replaced or
    deleted, and no file is ever written.

    Exit codes: 2 wrong usage, 4 not authorised, 130 Ctrl-C.
    """
    connection = connected(**where)
    wanted = Wanted(
        source=source,
        namespace=namespace,
        prune=prune,
        dry_run=False,
        strict=False,
        confirm=None,
        timeout=TIMEOUT,
        via="watch",
    )
    changes = Changes(path, poll=poll)
    try:
        how = "looking for changes" if changes.polling else "waiting for changes"
        while True:
            reached = _sent(path, wanted, connection)
            if once:
                return
            click.echo(f"{how} in {path}, Ctrl-C ends it", err=True)
            changes.wait(None if reached else AGAIN_SECONDS)
    finally:
        changes.close()


def _sent(path: Path, wanted: Wanted, connection: Connection) -> bool:
    """Send all of it; whether the service could be reached. What is wrong with files is told."""
    environment = os.environ  # noqa: TID251 - what names the person
    said = Said(form="text", environment=environment, report=None, server=connection.server)
    try:
        deploy_files(path, wanted, connection, said)
    except Stop as stop:
        if stop.exit_code == UNAUTHORISED:
            raise
        stop.show()
        return stop.exit_code != UNREACHABLE
    return True
