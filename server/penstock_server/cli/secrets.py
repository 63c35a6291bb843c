"""`penstock secrets`: raw values and whole files become the lines that the service reads."""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

import click

from penstock_server.cli.clean import handed_over
from penstock_server.cli.exits import FAILED, FINE, USAGE, Stop
from penstock_server.cli.screen import counted, examples
from penstock_server.config import BadSettings, fault_of, read_env_file, read_settings

PREFIX = "SECRET_"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@click.group(
    epilog=examples("penstock secrets encode .env -o .env_encoded", "penstock secrets list")
)
def command() -> None:
    """Encode secrets for the server's environment, and look at what it has."""


@command.command("list", epilog=examples("penstock secrets list --env-file .env_encoded"))
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="File of NAME=value lines that the service is started with.",
)
def show(env_file: Path | None) -> None:
    """Name the secrets that a service started here would have, where from, and what is wrong.

    Values are never shown. Exit codes: 0 all can be used, 1 something is wrong, 2 wrong settings.
    """
    environment = dict(handed_over())
    try:
        if env_file is not None:
            environment.update(read_env_file(env_file))
        told = read_settings(environment=environment)
    except BadSettings as bad:
        raise Stop("\n".join(bad.faults), USAGE) from None
    wrong = [note for note in told.notes if "secret" in note]
    for name in sorted(told.secrets):
        fault = fault_of(told.secrets, name)
        kept = [one for one in told.secrets.scopes if fnmatchcase(name, one.names.upper())]
        for_whom = ", ".join(where for one in kept for where in one.namespaces) or "all"
        state = "ok" if fault is None else fault
        click.echo(f"{name}\t{told.secrets.source(name)}\t{for_whom}\t{state}")
    for note in wrong:
        if not note.startswith("secret '"):
            click.echo(f"penstock: {note}", err=True)
    counts = counted(len(told.secrets), "secret")
    click.echo(f"{counts}, {counted(len(wrong), 'fault')}", err=True)
    sys.exit(FAILED if wrong else FINE)


@command.command(
    epilog=examples(
        "penstock secrets encode .env -o .env_encoded",
        "penstock secrets encode --file GCP_KEY=service-account.json -o .env_encoded",
    )
)
@click.argument("env_file", required=False, type=click.Path(path_type=Path))
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="NAME=PATH",
    help="A secret that is the whole file.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, readable by you alone; stdout when not given.",
)
def encode(env_file: Path | None, files: Sequence[str], output: Path | None) -> None:
    """Turn NAME=value lines of ENV_FILE (.env) and whole files into SECRET_NAME=base64 lines.

    The service reads them with --env-file, or from its environment; a flow reads one as
    {{ secret('NAME') }}. Exit codes: 0 written, 1 a value cannot be a secret, 2 wrong usage.
    """
    raw = _values(env_file, files)
    found: dict[str, bytes] = {}
    for name, value in raw:
        full = PREFIX + name.upper().removeprefix(PREFIX)
        if full in found:
            raise Stop(f"the secret {full.removeprefix(PREFIX)} is given twice", USAGE)
        found[full] = value
    _check(found)
    text = "".join(f"{name}={_encoded(value)}\n" for name, value in found.items())
    if output is None or str(output) == "-":
        click.echo(text, nl=False)
        return
    if env_file is not None and output.exists() and output.samefile(env_file):
        raise Stop(f"{output} is the file with the raw values: name another with -o", USAGE)
    _write_private(output, text)
    number = counted(len(found), "secret")
    click.echo(f"{number} in {output}; start with: penstock server --env-file {output}", err=True)


def _values(env_file: Path | None, files: Sequence[str]) -> list[tuple[str, bytes]]:
    path = env_file
    if path is None and not files:
        path = Path(".env")
        if not path.is_file():
            raise Stop("there is no .env here: name a file of NAME=value lines, or --file", USAGE)
    found: list[tuple[str, bytes]] = []
    if path is not None:
        try:
            found += [(name, value.encode()) for name, value in read_env_file(path).items()]
        except BadSettings as bad:
            raise Stop("\n".join(bad.faults), USAGE) from None
    return found + [_file(one) for one in files]


def _file(given: str) -> tuple[str, bytes]:
    name, equals, path = given.partition("=")
    if not equals or not path or _NAME.fullmatch(name) is None:
        raise Stop(f"--file {given}: expected NAME=PATH", USAGE)
    try:
        return name, Path(path).read_bytes()
    except OSError as error:
        raise Stop(f"--file {name}: {path} cannot be read: {error.strerror}", USAGE) from None


def _check(found: Mapping[str, bytes]) -> None:
    if not found:
        raise Stop("there is no value to encode: give NAME=value lines, or --file", USAGE)
    for name, value in found.items():
        shown = name.removeprefix(PREFIX)
        if not value:
            click.echo(f"penstock: the secret {shown} is empty", err=True)
        try:
            value.decode()
        except UnicodeDecodeError:
            raise Stop(f"the secret {shown} is not UTF-8 text: encode it first", FAILED) from None


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _write_private(path: Path, text: str) -> None:
    """The file is whole or not there, and nobody else can read it at any moment."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(text)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise Stop(f"{path} cannot be written: {error.strerror}", USAGE) from None
