"""Which Git sources there are: those of the configuration, and those that people declare.

Both may change while the service runs. A source that is busy is changed, or let go, when its run
has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.messages import Outcome
from penstock_server.store import declared as stored
from penstock_server.store import sources
from penstock_server.sync import removal
from penstock_server.sync.auditing import CONFIGURATION, note
from penstock_server.sync.declared import BadDeclaration, declared_source, opened, sealed
from penstock_server.sync.held import Around, HeldSource
from penstock_server.sync.records import Records
from penstock_server.sync.rows import source_row
from penstock_server.sync.rules import Rules
from penstock_server.sync.settings import GitSettings, SourceSettings
from penstock_server.sync.state import SourceState, verified

log = logging.getLogger(__name__)

MOST_SOURCES = 200

Told = Callable[[dict[str, Any] | Exception], None]


class NotYours(Exception):
    """Somebody else says what this source is; for HTTP that is a 409."""

    status = 409


class Roster:
    """The sources that are looked at, by id; called by core's loop, from one thread."""

    def __init__(
        self,
        around: Around,
        records: Records,
        rules: Rules,
        changed: Callable[[Iterable[SourceSettings]], None],
        cipher: Cipher | None,
    ) -> None:
        self._around = around
        self._records = records
        self._rules = rules
        self._changed = changed
        self._cipher = cipher
        self._declared = self._stored()
        self.sources: dict[str, HeldSource] = records.load(self._wanted().values())
        self.orphans = records.orphans(frozenset(self.sources))
        self._changed(self._wanted().values())

    def configure(self, git: GitSettings) -> None:
        """The configuration was read again: take up what is new, change and let go of the rest."""
        before = {one.id: one for one in self._rules.git.sources}
        now = {one.id: one for one in git.sources}
        self._rules.git = git
        writes = [
            note(self._around, f"source.{action}", name, CONFIGURATION)
            for name, action in _differences(before, now)
        ]
        if writes:
            self._around.starter.transact(writes=writes)
        self._follow()
        log.info("git.configured sources=%d changed=%d", len(now), len(writes))

    def declare(
        self, source_id: str, given: Mapping[str, Any], actor: str | None, told: Told
    ) -> None:
        """Add or change a source by the API; raises `BadDeclaration` or `NotYours`."""
        settings = declared_source(source_id, given)
        self._check_free(source_id)
        held = self._declared.get(source_id)
        now, source = self._around.clock.now(), self.sources.get(source_id)
        row = stored.Declared(
            id=source_id,
            settings=sealed(settings, self._cipher),
            updated_at=now,
            updated_by=actor,
        )
        state = source.state if source is not None else SourceState(id=source_id)
        shown = source_row(settings, state, now)
        waits = source is not None and source.busy
        action = "source.added" if held is None else "source.changed"
        audited = note(self._around, action, source_id, actor, {"url": settings.shown_url})

        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                told(outcome.error)
                return
            self._declared[source_id] = settings
            self._follow()
            told({"source": source_id, "created": held is None})

        def write(tx: Any) -> None:
            stored.put(tx.connection, row)
            if not waits:
                sources.put_source(tx.connection, shown)

        self._around.starter.transact(writes=[write, audited], done=done)

    def remove(self, source_id: str, *, prune: bool, actor: str | None, told: Told) -> None:
        """Forget a source of the API, or one that is configured no longer, with `prune` its flows.

        A run that is under way ends first. Raises `NotYours` for one of the configuration.
        """
        if any(one.id == source_id for one in self._rules.git.sources):
            raise NotYours(
                f"source {source_id!r} is in the configuration: take it out there, have it read"
                " again (SIGHUP, or a restart), then remove it"
            )

        def forget() -> None:
            self._let_go(source_id)
            self.orphans -= {source_id}
            self._changed(self._wanted().values())
            audited = note(self._around, "source.removed", source_id, actor, {"prune": prune})
            writes = [audited, lambda tx: stored.remove(tx.connection, source_id)]
            removal.remove(
                self._around, source_id, prune=prune, actor=actor, told=told, writes=writes
            )

        self._declared.pop(source_id, None)
        held = self.sources.get(source_id)
        if held is None or not held.busy:
            forget()
        else:
            held.leaving = forget

    def tick(self, now: datetime) -> None:
        """Change and let go of those whose run has ended."""
        for source in list(self.sources.values()):
            if source.busy:
                continue
            if source.leaving is not None:
                source.leaving()
            elif source.becoming is not None:
                self._become(source, source.becoming, now)

    def _follow(self) -> None:
        """Hold what is wanted, each as it is wanted."""
        wanted = self._wanted()
        now = self._around.clock.now()
        fresh = [one for name, one in wanted.items() if name not in self.sources]
        self.sources.update(self._records.load(fresh, at_once=True))
        self.orphans -= wanted.keys()
        for name, source in self.sources.items():
            one = wanted.get(name)
            if one is None:
                source.leaving = source.leaving or self._dropping(name)
            elif one != source.settings:
                source.leaving, source.becoming = None, one
            else:
                source.leaving = source.becoming = None
        self._changed(wanted.values())
        self.tick(now)

    def _become(self, source: HeldSource, settings: SourceSettings, now: datetime) -> None:
        source.becoming, source.settings = None, settings
        state = replace(source.state, next_poll_at=now)
        source.state = verified(state, settings, now)
        self._records.save(source, [], lambda: None)

    def _let_go(self, source_id: str) -> None:
        """Hold the source no longer; who waits for a look that never began is told so."""
        source = self.sources.pop(source_id, None)
        message = f"source {source_id!r} was removed"
        told = {"phase": "failed", "code": "SOURCE_REMOVED", "message": message}
        for look in source.following if source is not None else ():
            look.answer({**told, "source": source_id})

    def _dropping(self, source_id: str) -> Callable[[], None]:
        def drop() -> None:
            self._let_go(source_id)
            self.orphans |= self._records.orphans(frozenset(self.sources))

        return drop

    def _wanted(self) -> dict[str, SourceSettings]:
        configured = {one.id: one for one in self._rules.git.sources}
        return {**self._declared, **configured}

    def _stored(self) -> dict[str, SourceSettings]:
        with self._around.database.read() as connection:
            rows = stored.listed(connection)
        found: dict[str, SourceSettings] = {}
        for row in rows:
            try:
                found[row.id] = opened(row.settings, self._cipher)
            except BadDeclaration as bad:
                # Of another release: it is left as it is until somebody declares it anew.
                log.warning("source %s is not looked at: %s", row.id, bad)
        return found

    def _check_free(self, source_id: str) -> None:
        if any(one.id == source_id for one in self._rules.git.sources):
            raise NotYours(
                f"source {source_id!r} is in the configuration of the service and is changed there"
            )
        if source_id not in self.sources and len(self.sources) >= MOST_SOURCES:
            raise NotYours(f"there are {MOST_SOURCES} sources already: remove one first")
        held = self.sources.get(source_id)
        if held is not None and held.leaving is not None:
            raise NotYours(f"source {source_id!r} is being removed: try again when its run is over")
        with self._around.database.read() as connection:
            row = sources.source(connection, source_id)
        if row is not None and row.origin == "deploy":
            raise NotYours(f"source {source_id!r} is deployed to: choose another name")
        if row is not None and row.origin == "config":
            raise NotYours(
                f"source {source_id!r} was in the configuration and still has its flows: remove it"
                f" first (`penstock git remove {source_id}`), or choose another name"
            )


def _differences(
    before: Mapping[str, SourceSettings], now: Mapping[str, SourceSettings]
) -> list[tuple[str, str]]:
    """Each source that is not as before, and what has become of it."""
    found = [(name, "removed") for name in sorted(before.keys() - now.keys())]
    found += [(name, "added") for name in sorted(now.keys() - before.keys())]
    both = sorted(before.keys() & now.keys())
    return found + [(name, "changed") for name in both if before[name] != now[name]]
