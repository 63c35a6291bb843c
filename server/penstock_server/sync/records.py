"""Sources as the store remembers them: read at start, written after every look."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from penstock_runner.executor.messages import Outcome
from penstock_runner.executor.store import Write
from penstock_server.store import flows, sources
from penstock_server.sync.desired import Manifest, manifest_from
from penstock_server.sync.held import Around, HeldSource
from penstock_server.sync.polling import first_look
from penstock_server.sync.rereading import kept_commit
from penstock_server.sync.rows import (
    NOT_CONFIGURED,
    is_orphan,
    orphaned,
    source_row,
    state_of,
)
from penstock_server.sync.settings import SourceSettings
from penstock_server.sync.state import PROGRESSING, SourceState, edited, verified

log = logging.getLogger(__name__)


class Records:
    """Reads and writes the rows of sources."""

    def __init__(self, around: Around, version: str) -> None:
        self._around = around
        self._version = version

    def load(
        self, wanted: Iterable[SourceSettings], *, at_once: bool = False
    ) -> dict[str, HeldSource]:
        """These sources with what is known of each; `at_once` has all of them looked at now.

        Their rows say from now on what their settings say, so that pages and webhooks know them.
        """
        now = self._around.clock.now()
        loaded: dict[str, HeldSource] = {}
        written: list[sources.GitSource] = []
        with self._around.database.read() as connection:
            rows = {row.id: row for row in sources.list_sources(connection)}
            for one in wanted:
                row = rows.get(one.id)
                source = loaded[one.id] = self._held(connection, one, row, now, at_once=at_once)
                fresh = source_row(one, source.state, now)
                if row is None or _told_otherwise(row, fresh):
                    written.append(fresh)

        def write(tx: Any) -> None:
            for row in written:
                sources.put_source(tx.connection, row)

        if written:
            self._around.starter.transact(writes=[write])
        return loaded

    def _held(
        self,
        connection: Any,
        settings: SourceSettings,
        row: sources.GitSource | None,
        now: datetime,
        *,
        at_once: bool,
    ) -> HeldSource:
        state = state_of(row) if row is not None else SourceState(id=settings.id)
        waits = state.config_digest == self.digest(settings) and not at_once
        conditions = tuple(one for one in state.conditions if one.code != NOT_CONFIGURED)
        moment = first_look(settings, now) if waits else now
        state = replace(state, conditions=conditions, next_poll_at=moment)
        source = HeldSource(settings=settings, state=verified(state, settings, now))
        if state.applied_commit is not None:
            held = sources.manifest(connection, settings.id, state.applied_commit)
            source.manifest = manifest_from(held.entries) if held is not None else {}
        return source

    def orphans(self, names: frozenset[str]) -> frozenset[str]:
        """Sources beside these `names`; each says how to let go of its flows."""
        now = self._around.clock.now()
        with self._around.database.read() as connection:
            rows = [row for row in sources.list_sources(connection) if row.origin == "config"]
        left = [row for row in rows if row.id not in names]
        told = [row for row in left if not is_orphan(row)]

        def write(tx: Any) -> None:
            for row in told:
                sources.put_source(tx.connection, orphaned(row, now))

        if told:
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
            holds = flows.holds(connection, source.settings.id)
        now = self._around.clock.now()
        source.holding = frozenset(key for key, hold in holds.items() if hold.holds(now))
        source.released = frozenset(holds) - source.holding
        ends = [hold.until for key, hold in holds.items() if key in source.holding]
        source.hold_ends = min((end for end in ends if end is not None), default=None)
        source.state = edited(source.state, source.drifted, now)

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


def _told_otherwise(row: sources.GitSource, fresh: sources.GitSource) -> bool:
    """Whether a row says something else of the settings than they do now.

    What a service that died was working on is not worked on any more.
    """
    if row.status == PROGRESSING:
        return True
    names = ("url", "ref_kind", "ref", "path", "config", "origin", "enabled", "conditions")
    return any(getattr(row, name) != getattr(fresh, name) for name in names)
