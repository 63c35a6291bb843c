"""`penstock server`: the whole service on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from penstock_server.cli.clean import handed_over
from penstock_server.cli.exits import UNREACHABLE, USAGE, Stop
from penstock_server.cli.log_lines import set_up
from penstock_server.cli.screen import counted, examples
from penstock_server.config import BadSettings, Told, read_env_file, read_settings


@click.command(
    epilog=examples(
        "penstock server --examples",
        "penstock server --port 9000 --home /var/lib/penstock --env-file .env_encoded",
    )
)
@click.option("--host", help="Address to listen on (PENSTOCK_HOST, 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (PENSTOCK_PORT, 8080).")
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Folder of the service (PENSTOCK_HOME, .penstock).",
)
@click.option("--database-url", help="Store (PENSTOCK_DATABASE_URL, SQLite in the home).")
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="File of NAME=value lines, SECRET_* among them.",
)
@click.option(
    "--examples",
    is_flag=True,
    default=None,
    help="Offer a local Git repository with example flows.",
)
@click.option(
    "--log-level", default="INFO", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
)
@click.option(
    "--log-format",
    default="text",
    type=click.Choice(["text", "json"]),
    show_default=True,
    help="json: one object a line.",
)
def command(env_file: Path | None, log_level: str, log_format: str, **options: Any) -> None:
    """Run the service until Ctrl-C.

    Exit codes: 0 stopped, 2 wrong settings or something in the way, 3 the store cannot be reached.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(given.get("home"), Path):
        given["home"] = str(given["home"])
    environment = dict(handed_over())
    set_up(log_level, log_format)
    try:
        if env_file is not None:
            environment.update(read_env_file(env_file))
        told = read_settings(given, environment=environment)
    except BadSettings as bad:
        raise Stop("\n".join(bad.faults), USAGE) from None
    for note in told.notes:
        click.echo(f"penstock: {note}", err=True)
    if told.secrets:
        click.echo(f"penstock: {counted(len(told.secrets), 'secret')}", err=True)
    sys.exit(_serve(told))


def _serve(told: Told) -> int:
    from penstock_server.app.faults import CannotStart
    from penstock_server.app.service import serve
    from penstock_server.store.faults import StoreUnavailable

    try:
        return serve(told, _say_ready)
    except CannotStart as reason:
        raise Stop(str(reason), USAGE) from None
    except BadSettings as bad:
        raise Stop("\n".join(bad.faults), USAGE) from None
    except StoreUnavailable as reason:
        elsewhere = "postgresql:" in told.settings.database
        raise Stop(str(reason), UNREACHABLE if elsewhere else USAGE) from None


def _say_ready(told: Told, port: int) -> None:
    settings = told.settings
    url = settings.url or f"http://{settings.host}:{port}"
    lines = [f"Penstock is running: {url}"]
    lines.extend(f"  {line}" for line in _next_steps(told))
    lines.append("  Ctrl-C stops it; what runs is taken up again at the next start.")
    click.echo("\n".join(lines))
    sys.stdout.flush()


def _next_steps(told: Told) -> list[str]:
    sources = [str(source.get("id")) for source in told.settings.git.sources]
    if not sources and not told.settings.examples:
        return [
            "No Git source yet: `penstock git add NAME URL` declares one, --examples brings some."
        ]
    steps: list[str] = []
    if told.settings.examples:
        home = told.settings.home
        steps.append(f"Push flows to it:   git clone {home}/examples.git my-flows && cd my-flows")
        steps.append("Then edit a flow, git commit, git push: it is live in two seconds.")
    if sources:
        steps.append(f"Git sources: {', '.join(sources)}")
    return steps
