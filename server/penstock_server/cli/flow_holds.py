"""`penstock flow rollback` and `resume`: one flow taken back to a revision, and let go again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from penstock_server.cli.connection import connected, connection_options
from penstock_server.cli.executions import format_option
from penstock_server.cli.screen import examples

Json = Mapping[str, Any]


@click.command(
    epilog=examples(
        "penstock flow rollback company.team load --revision 7",
        "penstock flow rollback company.team load --revision 7 --until PT4H --reason 'slow'",
    )
)
@click.argument("namespace")
@click.argument("flow_id", metavar="ID")
@click.option("--revision", type=click.IntRange(min=1), required=True, help="The revision to run.")
@click.option("--until", metavar="WHEN", help="When it ends by itself: a moment, or PT4H from now.")
@click.option("--reason", metavar="TEXT", help="Why, for others to read.")
@format_option
@connection_options
def rollback(
    namespace: str,
    flow_id: str,
    revision: int,
    until: str | None,
    reason: str | None,
    form: str,
    **where: Any,
) -> None:
    """Give a flow the text of an earlier revision; syncs leave it alone until then.

    Exit codes: 0 fine, 1 the revision is not valid any more, 3 the service cannot be reached, 4 not
    authorised, 5 refused.
    """
    body = {"revision": revision, "until": until, "reason": reason}
    told = _asked(namespace, flow_id, "rollback", body, where)
    name = f"{namespace}.{flow_id}"
    line = f"{name} has the text of revision {revision} again, as revision {told['revision']}"
    if told.get("held"):
        end = f"until {told['until']}" if told.get("until") else "until `penstock flow resume`"
        line += f"; source {told['source']} leaves it alone {end}"
    click.echo(json.dumps(told, indent=2) if form == "json" else line)


@click.command(epilog=examples("penstock flow resume company.team load"))
@click.argument("namespace")
@click.argument("flow_id", metavar="ID")
@format_option
@connection_options
def resume(namespace: str, flow_id: str, form: str, **where: Any) -> None:
    """Let the repository have its flow again, from now on.

    Exit codes: 0 fine, 3 the service cannot be reached, 4 not authorised, 5 it is not held.
    """
    told = _asked(namespace, flow_id, "resume", {}, where)
    line = f"{namespace}.{flow_id} follows source {told['source']} again"
    click.echo(json.dumps(told, indent=2) if form == "json" else line)


def _asked(
    namespace: str, flow_id: str, verb: str, body: Json, where: Mapping[str, Any]
) -> dict[str, Any]:
    path = f"/api/v1/main/flows/{quote(namespace, safe='')}/{quote(flow_id, safe='')}/{verb}"
    given = {name: value for name, value in body.items() if value is not None}
    answer = connected(**where).asked("POST", path, tries=1, json=given)
    found: dict[str, Any] = answer.json()
    return found
