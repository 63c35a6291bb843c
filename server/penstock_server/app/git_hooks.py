"""How deliveries of forges are verified, as the sources say it at this moment."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping

from penstock_runner.jobs.secrets import Secrets
from penstock_server.api.context import GitHook
from penstock_server.store import sources
from penstock_server.store.engine import Database
from penstock_server.sync.rows import is_orphan
from penstock_server.sync.settings import Webhook


class StoredHooks(Mapping[str, GitHook]):
    """The hook of each source that has one; a source without its secret verifies nothing.

    Core writes the settings of a source as soon as it knows them, so what is declared or read
    again while the service runs is heard at once.
    """

    def __init__(self, database: Database, secrets: Secrets) -> None:
        self._database = database
        self._secrets = secrets

    def __getitem__(self, source_id: str) -> GitHook:
        """The hook of a source."""
        with self._database.read() as connection:
            row = sources.source(connection, source_id)
        hook = None if row is None else self._hook(row)
        if hook is None:
            raise KeyError(source_id)
        return hook

    def __iter__(self) -> Iterator[str]:
        """The sources that have one."""
        return iter(self._all())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._all())

    def items(self) -> ItemsView[str, GitHook]:
        """All of them, read at once."""
        return self._all().items()

    def _all(self) -> dict[str, GitHook]:
        with self._database.read() as connection:
            rows = sources.list_sources(connection)
        hooks = {row.id: self._hook(row) for row in rows}
        return {name: hook for name, hook in hooks.items() if hook is not None}

    def _hook(self, row: sources.GitSource) -> GitHook | None:
        given = row.config.get("webhook")
        if not given or is_orphan(row):
            return None
        webhook = Webhook.model_validate(given)
        found = (self._secrets.get(name.upper()) for name in webhook.names)
        known = tuple(secret for secret in found if secret)
        if not known:
            return None
        return GitHook(
            secrets=known, forge=webhook.forge, allow_sha1=webhook.allow_sha1, url=row.url
        )
