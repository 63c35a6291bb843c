"""Going back to a commit and staying there: rollbacks, and how they end.

A pinned source is looked at as always, and says how far behind it is; nothing is applied until
somebody resumes it, or until the moment that was given with the rollback.
"""

from __future__ import annotations

import logging
from datetime import datetime

from penstock_runner.executor.store import Write
from penstock_server.sync.asked import Look, Pin, Wait
from penstock_server.sync.auditing import note
from penstock_server.sync.held import Around, HeldSource
from penstock_server.sync.looks import Looks
from penstock_server.sync.naming import commit_named
from penstock_server.sync.records import Records
from penstock_server.sync.state import unpinned

log = logging.getLogger(__name__)


class NotPinned(Exception):
    """There is nothing to resume; for HTTP that is a 409."""

    status = 409

    def __init__(self, source_id: str) -> None:
        super().__init__(f"source {source_id!r} is not pinned: it follows its repository already")


class BadMoment(Exception):
    """A rollback that would be over at once; for HTTP that is a 422."""

    status = 422

    def __init__(self, until: datetime) -> None:
        super().__init__(f"`until` is {until.isoformat()}, which has passed: give a later moment")


class Pins:
    """Pins sources to commits."""

    def __init__(self, around: Around, records: Records, looks: Looks) -> None:
        self._around = around
        self._records = records
        self._looks = looks

    def rollback(
        self, source: HeldSource, to: str, pin: Pin, confirm: str | None, wait: Wait | None
    ) -> None:
        """Apply a commit that a person names, and stay there."""
        now = self._around.clock.now()
        if pin.until is not None and pin.until <= now:
            raise BadMoment(pin.until)
        with self._around.database.read() as connection:
            sha = commit_named(connection, source.settings.id, source.state.applied_commit, to)
        look = Look(
            trigger="rollback",
            actor=pin.by,
            commit=sha,
            pin=pin,
            confirmed=confirm,
            waits=[wait] if wait is not None else [],
        )
        self._looks.want(source, look, now)

    def resume(self, source: HeldSource, actor: str | None, wait: Wait | None) -> None:
        """Follow the repository again, from now on."""
        if source.state.pinned_commit is None:
            raise NotPinned(source.settings.id)
        log.info("git.resumed source=%s by=%s", source.settings.id, actor)
        self._let_go(source, note(self._around, "source.resumed", source.settings.id, actor))
        waits = [wait] if wait is not None else []
        look = Look(trigger="manual", actor=actor, retry=True, waits=waits)
        self._looks.want(source, look, self._around.clock.now())

    def expire(self, source: HeldSource, now: datetime) -> None:
        """End a pin whose time is over; the look that follows applies what there is."""
        until = source.state.pinned_until
        if until is not None and until <= now and not source.busy:
            log.info("git.resumed source=%s: its pin was until %s", source.settings.id, until)
            self._let_go(source)
            self._looks.want(source, Look(retry=True), now)

    def _let_go(self, source: HeldSource, *writes: Write) -> None:
        source.state = unpinned(source.state)
        self._records.save(source, [*writes], lambda: None)
