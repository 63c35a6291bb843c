"""`penstock namespace files update` and `penstock nsfiles upload`: files into a namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import click

from penstock_runner.git.names import Ignored
from penstock_server.cli.connection import connected, connection_options
from penstock_server.cli.exits import USAGE, Stop
from penstock_server.cli.older_flows import tenant_option
from penstock_server.cli.screen import counted, examples

API = "/api/v1/main/namespaces"
IGNORE_FILES = (".penstockignore", ".kestraignore")


@click.command(epilog=examples("penstock namespace files update company.team scripts/ /scripts"))
@click.argument("namespace")
@click.argument("from", type=click.Path(exists=True, path_type=Path))
@click.argument("to", default="/")
@click.option("--delete/--no-delete", default=False, help="Files below TO that are not sent go.")
@tenant_option
@connection_options
def update(namespace: str, to: str, *, delete: bool, **options: Any) -> None:
    """Put a file, or all files of a folder, into a namespace.

    What `.penstockignore` or `.kestraignore` in the folder mean stays out.

    Exit codes: 0 fine, 1 a file that cannot be taken, 3 the service cannot be reached, 4 not
    authorised, 5 a file belongs to a source.
    """
    place: Path = options.pop("from")
    _put(namespace, place, to, options, delete=delete)


@click.command(epilog=examples("penstock nsfiles upload company.team scripts/ /scripts"))
@click.argument("namespace")
@click.argument("from", type=click.Path(exists=True, path_type=Path))
@click.argument("to", default="/")
@click.option("--override", is_flag=True, expose_value=False, help="As always: files are replaced.")
@tenant_option
@connection_options
def upload(namespace: str, to: str, **options: Any) -> None:
    """Put a file, or all files of a folder, into a namespace.

    Exit codes: as of `penstock namespace files update`.
    """
    place: Path = options.pop("from")
    _put(namespace, place, to, options, delete=False)


def _put(namespace: str, place: Path, to: str, where: dict[str, Any], *, delete: bool) -> None:
    connection = connected(**where)
    path = f"{API}/{quote(namespace, safe='')}/files"
    folder = PurePosixPath("/") / to
    sent: set[str] = set()
    for file, name in _files(place):
        target = str(folder / name)
        content = _content(file)
        connection.asked(
            "POST", path, params={"path": target}, files={"fileContent": (file.name, content)}
        )
        click.echo(f"+ {namespace}{target}")
        sent.add(target)
    gone = 0
    if delete:
        below = str(folder).rstrip("/") + "/"
        there = connection.get(f"{path}/search", {"q": ""})
        for name in sorted(str(one) for one in there):
            if name.startswith(below) and name not in sent:
                connection.asked("DELETE", path, params={"path": name})
                click.echo(f"- {namespace}{name}")
                gone += 1
    more = f", {gone} deleted" if delete else ""
    click.echo(f"{counted(len(sent), 'file')} put{more} on {connection.server}", err=True)


def _files(place: Path) -> Iterator[tuple[Path, str]]:
    """Each file with its path below what was named; what Git keeps for itself is no file."""
    if place.is_file():
        yield place, place.name
        return
    lists = [place / name for name in IGNORE_FILES]
    rules = Ignored("\n".join(_content(one).decode() for one in lists if one.is_file()))
    for file in sorted(place.rglob("*")):
        name = file.relative_to(place).as_posix()
        own = ".git" in file.relative_to(place).parts or name in IGNORE_FILES
        if file.is_file() and not file.is_symlink() and not own and not rules.match(name):
            yield file, name


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Stop(f"{file} cannot be read: {error.strerror}", USAGE) from None
