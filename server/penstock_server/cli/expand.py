"""`penstock expand`: a flow file as the service reads it, with what it includes in its place."""

from __future__ import annotations

from pathlib import Path

import click

from penstock_runner.flow.faults import Fault
from penstock_server.cli.exits import FAILED, USAGE, Stop
from penstock_server.cli.screen import examples


@click.command(epilog=examples("penstock expand flows/load.yml | penstock validate /dev/stdin"))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Print a flow file with the text of all its `[[> FILE]]`.

    Files are looked for beside it and above, as far as its checkout goes.

    Exit codes: 0 fine, 1 an include that cannot be had, 2 wrong usage.
    """
    click.echo(expanded(file), nl=False)


def expanded(file: Path) -> str:
    """The text of a file without includes; what is wrong with one ends the verb."""
    from penstock_runner.flow import report
    from penstock_server.sync.includes import expand

    root = root_of(file)

    def read(path: str) -> str | Fault | None:
        return _text(root / path) if (root / path).is_file() else None

    found = expand(_text(file), file.resolve().relative_to(root).as_posix(), read)
    if found.faults:
        raise Stop(report.text(list(found.faults)).rstrip(), FAILED)
    return found.text


def root_of(file: Path) -> Path:
    """The folder that a file may include from: its checkout, else its own folder."""
    folder = file.resolve().parent
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"{file} cannot be read: {error}", USAGE) from None
