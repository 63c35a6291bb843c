"""`penstock plan`: what a deploy of a folder would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from penstock_server.cli import deploy
from penstock_server.cli.connection import connection_options
from penstock_server.cli.screen import examples


@click.command(epilog=examples("penstock plan flows", "penstock plan flows --prune --exit-code"))
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--namespace", metavar="NAMESPACE", help="All flows go there, whatever files say.")
@click.option("--source", default="ci", show_default=True, help="Who owns the flows.")
@click.option("--prune", is_flag=True, help="Delete flows of the same source that are not sent.")
@click.option("--strict", is_flag=True, help="Warnings block, too.")
@click.option("--exit-code", is_flag=True, help="10 when there are changes.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
)
@connection_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """What `penstock deploy PATH` would change on a service; nothing is changed.

    Exit codes: as of `penstock deploy --dry-run`.
    """
    more = {"dry_run": True, "wait": False, "confirm": None, "report_path": None}
    context.invoke(deploy.command, **options, **more, timeout=300.0)
