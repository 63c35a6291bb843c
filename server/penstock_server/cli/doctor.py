"""`penstock doctor`: what is wrong with how a service here would be set up."""

from __future__ import annotations

import click

from penstock_server.cli.screen import examples
from penstock_server.cli.secrets import show


@click.group(epilog=examples("penstock doctor secrets --env-file .env_encoded"))
def command() -> None:
    """Look for what is wrong before a service starts; `git doctor` looks at repositories."""


command.add_command(show, "secrets")
