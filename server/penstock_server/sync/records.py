"""Sources as the store remembers them: read at start, written after every look."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penstock_runner.executor.messages import Outcome
from penstock_runner.executor.store import Write
from penstock_server.store import flows, sources
from penstock_server.store.sources import GitSource
from penstock_server.sync.desired import Manifest, manifest_from
from penstock_server.sync.held import Around, HeldSource
from penstock_server.sync.polling import first_look
from penstock_server.sync.rereading import kept_commit
from penstock_server.sync.rows import orphaned, source_row, state_of
from penstock_server.sync.settings import GitSettings, SourceSettings
from penstock_server.sync.state import PROGRESSING, SourceState, edited, verified

log = logging.getLogger(__name__)


class Records:
    """Reads and writes the rows of sources."""

    def __init__(self, around: Around, version: str) -> None:
        self._around = around
        self._version = version

    def load(self, settings: GitSettings) -> dict[str, HeldSource]:
        """The configured sources with what is known of each."""
        now = self._around.clock.now()
        loaded: dict[str, HeldSource] = {}
        with self._around.database.read() as connection:
            rows = {row.id: row for row in sources.list_sources(connection)}
            for one in settings.sources:
                row = rows.get(one.id)
                state = state_of(row) if row is not None else SourceState(id=one.id)
                same = state.config_digest == self.digest(one)
                state = replace(state, next_poll_at=first_look(one, now) if same else now)
                source = HeldSource(settings=one, state=verified(state, one, now))
                if state.applied_commit is not None:
                    held = sources.manifest(connection, one.id, state.applied_commit)
                    source.manifest = manifest_from(held.entries) if held is not None else {}
                loaded[one.id] = source
        self._not_working([rows[name] for name in loaded if name in rows], loaded)
        return loaded

    def _not_working(self, rows: list[GitSource], loaded: dict[str, HeldSource]) -> None:
        """What a service that died was working on is not worked on any more."""
        for row in rows:
            if row.status == PROGRESSING:
                self.save(loaded[row.id], [], lambda: None)

    def orphans(self, settings: GitSettings) -> frozenset[str]:
        """Sources that the configuration named once; each says how to let go of its flows."""
        names = {one.id for one in settings.sources}
        now = self._around.clock.now()
        with self._around.database.read() as connection:
            rows = [row for row in sources.list_sources(connection) if row.origin == "config"]
        left = [row for row in rows if row.id not in names]

        def write(tx: Any) -> None:
            for row in left:
                sources.put_source(tx.connection, orphaned(row, now))

        if any(row.enabled for row in left):
            self._around.starter.transact(writes=[write])
        return frozenset(row.id for row in left)

    def kept(self, source: HeldSource, sha: str | None) -> dict[str, Any] | None:
        """A commit that was applied before, as the store remembers it."""
        with self._around.database.read() as connection:
            held = sources.manifest(connection, source.settings.id, sha or "")
            if held is None:
                return None
            manifest = manifest_from(held.entries)
            return kept_commit(connection, source.settings.id, held.commit_sha, manifest)

    def manifest(self, source: HeldSource, sha: str) -> Manifest | None:
        """What a commit held, when it was applied before."""
        with self._around.database.read() as connection:
            held = sources.manifest(connection, source.settings.id, sha)
        return manifest_from(held.entries) if held is not None else None

    def note_drift(self, source: HeldSource) -> None:
        """Find out which flows of the source were edited here."""
        with self._around.database.read() as connection:
            source.drifted = frozenset(flows.drifted(connection, source.settings.id))
        source.state = edited(source.state, source.drifted, self._around.clock.now())

    def save(self, source: HeldSource, writes: list[Write], after: Callable[[], None]) -> None:
        """Write the source as it is now, with what belongs to it, in one transaction."""
        busy = source.working is not None
        row = source_row(source.settings, source.state, self._around.clock.now(), busy=busy)

        def write(tx: Any) -> None:
            sources.put_source(tx.connection, row)

        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                log.error("source %s was not saved: %s", source.settings.id, outcome.error)
            after()

        self._around.starter.transact(writes=[*writes, write], done=done)

    def digest(self, settings: SourceSettings) -> str:
        """What the manifest depends on: how the source is read, and by which Penstock."""
        return f"{settings.digest[:40]}:{self._version}"[:64]
