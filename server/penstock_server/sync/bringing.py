"""Commits that a job wants the files of and the store of their source has lost: fetched by name.

Stores are shallow and made anew now and then, and an execution may be of an old commit. The git
process fetches, with the credentials of the source; the job asks again until the commit is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.executor.messages import Refused
from penstock_server.sync.held import Around, HeldSource
from penstock_server.sync.requests import MissingSecret, Secrets, described_source
from penstock_server.sync.rules import Rules
from penstock_server.sync.sharing import shared_store

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_GRACE = timedelta(seconds=30)
Wanted = tuple[str, str]


class Bringing:
    """Called by core's loop, from one thread."""

    def __init__(
        self,
        around: Around,
        rules: Rules,
        send: Callable[[dict[str, Any]], None],
        secrets: Secrets,
        sources: Mapping[str, HeldSource],
    ) -> None:
        self._around = around
        self._rules = rules
        self._send = send
        self._secrets = secrets
        self._sources = sources
        self._under_way: dict[Wanted, datetime] = {}
        self._ended: dict[Wanted, tuple[str | None, datetime]] = {}

    def ask(self, source_id: str, commit: str) -> bool:
        """Whether a commit is in the store now; raises `Refused` when it cannot be had."""
        wanted = (source_id, commit)
        if wanted in self._ended:
            error, _ = self._ended.pop(wanted)
            if error is not None:
                raise Refused(f"commit {commit[:7]} cannot be fetched again: {error}")
            return True
        if wanted not in self._under_way:
            self._start(source_id, commit)
        return False

    def receive(self, message: Mapping[str, Any]) -> None:
        """An answer of the git process; one that died says only which source it was about."""
        source_id, now = str(message["source"]), self._around.clock.now()
        for wanted in [one for one in self._under_way if one[0] == source_id]:
            if message["type"] == "brought" and wanted[1] != message["commit"]:
                continue
            del self._under_way[wanted]
            error = message["error"] if message["type"] == "brought" else message["message"]
            self._ended[wanted] = (error, now)

    def tick(self, now: datetime) -> None:
        """Give up what is never answered, and forget what nobody asks for again."""
        for wanted, until in list(self._under_way.items()):
            if until <= now:
                del self._under_way[wanted]
                self._ended[wanted] = ("the git process does not answer", now)
        for wanted, (_, since) in list(self._ended.items()):
            if now - since > _GRACE:
                del self._ended[wanted]

    def _start(self, source_id: str, commit: str) -> None:
        source = self._sources.get(source_id)
        if source is None:
            raise Refused(f"there is no Git source {source_id!r} to fetch commit {commit[:7]} from")
        if _SHA.fullmatch(commit) is None:
            raise Refused(f"{commit[:80]!r} is no full commit id")
        try:
            described = described_source(
                source.settings,
                secrets=self._secrets,
                git=self._rules.git,
                commit=commit,
                shared=shared_store(source, self._sources.values()),
            )
        except MissingSecret as missing:
            raise Refused(str(missing)) from missing
        applied = source.state.applied_commit
        self._send({"type": "bring", "source": described, "applied": applied})
        now = self._around.clock.now()
        self._under_way[source_id, commit] = now + source.settings.timeout + _GRACE
