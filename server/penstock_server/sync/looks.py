"""When the git process is asked to look, and what becomes of looks that get no commit.

A source has one look at a time; what is asked meanwhile is one more look, not a queue.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from penstock_server.sync.held import HeldSource
from penstock_server.sync.polling import MERGED
from penstock_server.sync.records import Records
from penstock_server.sync.requests import MissingSecret, Secrets, look_request
from penstock_server.sync.rows import Look
from penstock_server.sync.settings import GitSettings
from penstock_server.sync.state import seen, unreachable

log = logging.getLogger(__name__)

Message = Mapping[str, Any]
_GRACE = timedelta(seconds=15)


class Looks:
    """Sends requests to the git process."""

    def __init__(
        self,
        records: Records,
        settings: GitSettings,
        send: Callable[[dict[str, Any]], None],
        secrets: Secrets,
    ) -> None:
        self._records = records
        self._settings = settings
        self._send = send
        self._secrets = secrets

    def due(self, source: HeldSource, now: datetime) -> None:
        """Do what is to be done for a source whose moment has come."""
        if source.looking is not None:
            self._lost(source, now)
        else:
            self.start(source, source.following or Look(), now)

    def want(self, source: HeldSource, wanted: Look, now: datetime) -> None:
        """Look now, or when the present look is over; looks that wait are put together."""
        wanted = wanted.after(source.following) if source.following is not None else wanted
        if source.busy:
            source.following = wanted
        else:
            self.start(source, wanted, now)

    def hint(self, source: HeldSource, delivery_id: str | None, now: datetime) -> None:
        """A verified webhook: look now; more of them within two seconds make one look."""
        wanted = Look(trigger="webhook", delivery_id=delivery_id)
        merged = source.hinted_at is not None and now - source.hinted_at < MERGED
        if source.busy or merged:
            source.following = source.following or wanted
        else:
            self.start(source, wanted, now)

    def start(self, source: HeldSource, look: Look, now: datetime) -> None:
        """Ask the git process."""
        source.looking = look
        source.following = None
        if look.trigger == "webhook":
            source.hinted_at = now
        source.deadline = now + source.settings.timeout + _GRACE
        digest = self._records.digest(source.settings)
        state = source.state
        try:
            request = look_request(
                source.settings,
                state,
                source.manifest,
                secrets=self._secrets,
                file_roots=self._settings.file_roots,
                observed=state.observed_commit if source.read_digest == digest else None,
                reread=state.config_digest != digest,
                force=look.force,
            )
        except MissingSecret as missing:
            source.looking = None
            self.failed(source, look, {"code": "GIT_AUTH", "message": str(missing)}, now)
        else:
            self._send(request)

    def seen(self, source: HeldSource, look: Look, message: Message, now: datetime) -> None:
        """The remote has nothing new."""
        commit = message["commit"]
        source.state = seen(source.state, source.settings, commit, message["ref"], now)
        self.nothing_to_do(source, look, commit)

    def nothing_to_do(self, source: HeldSource, look: Look, commit: str) -> None:
        """The commit is not tried."""
        result = {"phase": "noop", "commit": commit, "source": source.settings.id}
        self._records.save(source, [], lambda: look.answer(result))

    def failed(self, source: HeldSource, look: Look, message: Message, now: datetime) -> None:
        """The remote could not be read."""
        code, text = message["code"], message["message"]
        source.state = unreachable(
            source.state,
            source.settings,
            now,
            code=code,
            message=text,
            retry_after=message.get("retry_after"),
        )
        if source.state.failures in (1, 3):
            log.warning("git.failed source=%s code=%s %s", source.settings.id, code, text)
        result = {"phase": "failed", "code": code, "message": text, "source": source.settings.id}
        self._records.save(source, [], lambda: look.answer(result))

    def _lost(self, source: HeldSource, now: datetime) -> None:
        look, source.looking = source.looking or Look(), None
        message = "the git process did not answer in time; the look is tried again"
        self.failed(source, look, {"code": "GIT_TIMEOUT", "message": message}, now)
