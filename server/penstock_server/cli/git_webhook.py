"""`penstock git webhook`: whether what a forge would send arrives and is believed."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from penstock_server.cli.connection import connected, connection_options, message_of
from penstock_server.cli.executions import format_option
from penstock_server.cli.exits import FAILED
from penstock_server.cli.screen import examples

API = "/api/v1/main/git/sources"
FORGES = ["github", "gitlab", "gitea", "forgejo", "bitbucket", "generic"]


@click.group()
def webhook() -> None:
    """The webhook of a source: try it."""


@webhook.command(epilog=examples("penstock git webhook test main --forge github"))
@click.argument("source_id", metavar="SOURCE")
@click.option("--forge", type=click.Choice(FORGES), help="Whose manner; that of the source's host.")
@format_option
@connection_options
def test(source_id: str, forge: str | None, form: str, **where: Any) -> None:
    """Send the service a push as a forge would, signed with the secret of the source.

    It goes to the address that forges use and has the source looked at; the service signs it, so no
    secret leaves it.

    Exit codes: 0 it was believed, 1 it was not, or the source hears no webhook, 3 the service
    cannot be reached, 4 not authorised, 5 the source has no secret.
    """
    connection = connected(**where)
    params = {"forge": forge} if forge else {}
    path = f"{API}/{quote(source_id, safe='')}/webhook/test"
    made = connection.asked("POST", path, params=params).json()
    anyone = frozenset({401, 403, 404, 409, 413, 415, 421})
    answer = connection.asked(
        "POST",
        made["path"],
        accepted=anyone,
        tries=1,
        content=made["body"].encode(),
        headers=made["headers"],
    )
    if form == "json":
        told = {"status": answer.status_code, "forge": made["forge"], "answer": answer.json()}
        click.echo(json.dumps(told, indent=2))
    elif answer.is_success:
        ignored = answer.json().get("ignored")
        what = f"ignored: {ignored}" if ignored else "the source is looked at"
        click.echo(f"{made['forge']} delivery to {made['path']}: {answer.status_code}, {what}")
    else:
        click.echo(f"penstock: {answer.status_code}: {message_of(answer)}", err=True)
    raise SystemExit(0 if answer.is_success else FAILED)
