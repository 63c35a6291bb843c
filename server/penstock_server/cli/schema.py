"""`penstock schema`: the JSON Schema of flows, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from penstock_server.cli.exits import USAGE, Stop
from penstock_server.cli.screen import examples


@click.command(
    epilog=examples("penstock schema > flow.schema.json", "penstock schema -o flow.json")
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; stdout when not given.",
)
def command(output: Path | None) -> None:
    """Print the JSON Schema (draft 7) of the flow language, with all types of this installation.

    An editor takes it for a file that begins with `# yaml-language-server: $schema=PATH`.
    """
    from penstock_runner.flow.schema import flow_schema
    from penstock_runner.tasks.registry import Registry

    text = json.dumps(flow_schema(Registry()), indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise Stop(f"{output} cannot be written: {error.strerror}", USAGE) from None
