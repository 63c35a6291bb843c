"""`penstock db`: the store itself, brought up to date or copied while it is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from penstock_server.cli.exits import FAILED, REFUSED, UNREACHABLE, USAGE, Stop
from penstock_server.cli.screen import examples
from penstock_server.config import BadSettings, Settings, read_env_file, read_settings

if TYPE_CHECKING:
    from penstock_server.store.engine import Database

Function = TypeVar("Function", bound=Callable[..., Any])


@click.group(
    epilog=examples(
        "penstock db backup penstock-backup.db", "penstock db restore penstock-backup.db"
    )
)
def command() -> None:
    """Upgrade the store, back it up, or set it back to a backup."""


def store_options(function: Function) -> Function:
    """The options that say which store."""
    for option in (
        click.option("--database-url", help="Store (PENSTOCK_DATABASE_URL, SQLite in the home)."),
        click.option(
            "--home",
            type=click.Path(path_type=Path),
            help="Folder of the service (PENSTOCK_HOME, .penstock).",
        ),
        click.option(
            "--env-file",
            type=click.Path(path_type=Path),
            help="File of NAME=value lines.",
        ),
    ):
        function = option(function)
    return function


@command.command(epilog=examples("penstock db upgrade --home /srv/penstock"))
@store_options
def upgrade(home: Path | None, database_url: str | None, env_file: Path | None) -> None:
    """Bring the store's tables up to date, as every start of the service does.

    Exit codes: 0 done, 2 wrong settings, 3 the store cannot be reached, 5 a service uses it.
    """
    settings = _settings(home, database_url, env_file)
    with _opened(settings, must_exist=False) as database:
        from penstock_server.store import migrations
        from penstock_server.store.faults import StoreUnavailable

        before = migrations.current(database)
        if before == migrations.HEAD:
            click.echo(f"store {database.shown} is up to date ({before})")
            return
        try:
            database.lead()
        except StoreUnavailable as reason:
            raise Stop(str(reason), REFUSED) from None
        migrations.upgrade(database)
        came = "made" if before is None else f"upgraded from {before}"
        click.echo(f"store {database.shown} is {came}: now {migrations.current(database)}")


@command.command(epilog=examples("penstock db backup backups/penstock-1.db --home /srv/penstock"))
@click.argument("path", type=click.Path(path_type=Path))
@store_options
def backup(path: Path, home: Path | None, database_url: str | None, env_file: Path | None) -> None:
    """Copy the store to the new file PATH while the service goes on; for SQLite.

    Exit codes: 0 copied, 1 no copy was made, 2 wrong settings, 3 the store cannot be reached.
    """
    settings = _settings(home, database_url, env_file)
    with _opened(settings, must_exist=True) as database:
        from penstock_server.store import backups

        try:
            backups.backup(database, path)
        except backups.CannotBackUp as reason:
            raise Stop(str(reason), FAILED) from None
    click.echo(f"{path}: {path.stat().st_size} bytes")


@command.command(epilog=examples("penstock db restore backups/penstock-1.db --home /srv/penstock"))
@click.argument("path", type=click.Path(path_type=Path))
@store_options
def restore(path: Path, home: Path | None, database_url: str | None, env_file: Path | None) -> None:
    """Set the store back to the backup PATH, also while the service runs; for SQLite.

    What the store had is kept beside it. Work that is under way ends, and what was under way in the
    backup is taken up. Files of the storage stay as they are.

    Exit codes: 0 restored, 1 the store is as it was, 2 wrong settings, 3 it cannot be reached.
    """
    settings = _settings(home, database_url, env_file)
    with _opened(settings, must_exist=True) as database:
        from penstock_server.clock import SystemClock
        from penstock_server.store import restores

        try:
            before = restores.restore(database, path, SystemClock().now())
        except restores.CannotRestore as reason:
            raise Stop(str(reason), FAILED) from None
    click.echo(f"restored from {path}; what the store had before is in {before}")


def _settings(home: Path | None, database_url: str | None, env_file: Path | None) -> Settings:
    import os

    environment = dict(os.environ)  # noqa: TID251 - what the command was given
    options = {"home": str(home) if home is not None else None, "database_url": database_url}
    try:
        if env_file is not None:
            environment.update(read_env_file(env_file))
        return read_settings(options, environment=environment).settings
    except BadSettings as bad:
        raise Stop("\n".join(bad.faults), USAGE) from None


@contextmanager
def _opened(settings: Settings, *, must_exist: bool) -> Iterator[Database]:
    from penstock_server.store.engine import open_store
    from penstock_server.store.faults import StoreUnavailable

    own = settings.home.absolute() / "penstock.db"
    if must_exist and settings.database_url is None and not own.is_file():
        raise Stop(f"there is no store {own}: name the home of the service with --home", USAGE)
    try:
        database = open_store(settings.database, durability=settings.durability)
        try:
            yield database
        finally:
            database.close()
    except StoreUnavailable as reason:
        raise Stop(str(reason), UNREACHABLE) from None
