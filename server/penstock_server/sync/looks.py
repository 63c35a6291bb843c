"""When the git process is asked to look, and what becomes of looks that get no commit.

A source has one look at a time; what is asked meanwhile is one more look, not a queue.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.executor.store import Write
from penstock_server.store import syncs
from penstock_server.sync.asked import Look
from penstock_server.sync.events import event
from penstock_server.sync.held import HeldSource
from penstock_server.sync.polling import MERGED
from penstock_server.sync.records import Records
from penstock_server.sync.reports import of_commit
from penstock_server.sync.requests import MissingSecret, Secrets, look_request
from penstock_server.sync.rules import Rules
from penstock_server.sync.sharing import shared_store
from penstock_server.sync.state import seen, unreachable

log = logging.getLogger(__name__)

Message = Mapping[str, Any]
_GRACE = timedelta(seconds=15)
_NOT_THERE = frozenset({"GIT_REF_NOT_FOUND", "GIT_EMPTY"})


class Looks:
    """Sends requests to the git process."""

    def __init__(
        self,
        records: Records,
        rules: Rules,
        send: Callable[[dict[str, Any]], None],
        secrets: Secrets,
    ) -> None:
        self._records = records
        self._rules = rules
        self._send = send
        self._secrets = secrets
        self.sources: Mapping[str, HeldSource] = {}

    def due(self, source: HeldSource, now: datetime) -> None:
        """Do what is to be done for a source whose moment has come."""
        if source.looking is not None:
            self._lost(source, now)
        else:
            self.start(source, source.following.pop(0) if source.following else Look(), now)

    def want(self, source: HeldSource, wanted: Look, now: datetime) -> None:
        """Look now, or when the present look is over; looks that wait are put together."""
        for place, before in enumerate(source.following):
            if wanted.joins(before):
                del source.following[place]
                wanted = wanted.after(before)
                break
        if source.busy:
            source.following.append(wanted)
        else:
            self.start(source, wanted, now)

    def hint(self, source: HeldSource, delivery_id: str | None, now: datetime) -> None:
        """A verified webhook: look now; more of them within two seconds make one look."""
        wanted = Look(trigger="webhook", delivery_id=delivery_id)
        merged = source.hinted_at is not None and now - source.hinted_at < MERGED
        if source.busy or merged:
            if not any(wanted.joins(before) for before in source.following):
                source.following.append(wanted)
        else:
            self.start(source, wanted, now)

    def start(
        self, source: HeldSource, look: Look, now: datetime, *, moved: Message | None = None
    ) -> None:
        """Ask the git process: briefly where there is likely nothing new, unless it has `moved`."""
        source.looking = look
        if look.trigger == "webhook":
            source.hinted_at = now
        source.deadline = now + source.settings.timeout + _GRACE
        source.asked_at = now
        told = {"source": source.settings.id, "trigger": look.trigger}
        event(log, logging.DEBUG, "git.look", **told)
        digest = self._records.digest(source.settings)
        if moved is None:
            self._records.note_drift(source)
        state = source.state
        observed = _settled(source, look) if source.read_digest == digest else None
        try:
            request = look_request(
                source.settings,
                state,
                source.manifest,
                secrets=self._secrets,
                git=self._rules.git,
                observed=observed,
                reread=state.config_digest != digest,
                look=look,
                edited=source.drifted,
                kept=self._records.kept(source, look.commit) if look.pin is not None else None,
                brief=observed is not None and moved is None and _is_brief(look),
                shared=shared_store(source, self.sources.values()),
            )
        except MissingSecret as missing:
            source.looking = None
            self.failed(source, look, {"code": "GIT_AUTH", "message": str(missing)}, now)
        else:
            if moved is not None:
                # Nobody is asked a second time what the first, brief look has seen.
                request["seen"] = moved["seen"]
            self._send(request)

    def failed_to_plan(self, source: HeldSource, look: Look, message: Message) -> None:
        """A commit that somebody has named cannot be read; the source is as it was."""
        code, text = message["code"], message["message"]
        if look.commit is not None and code in _NOT_THERE:
            code = "COMMIT_UNREACHABLE"
        result = {
            "phase": "failed",
            "code": code,
            "message": text,
            "source": source.settings.id,
        }
        look.answer(result)

    def working(self, source: HeldSource, message: Message, now: datetime) -> None:
        """A new commit is being read: the source says so, and so does the forge."""
        source.working = (message["commit"], message["ref"])
        rows = of_commit(source.settings, source.working, "pending", "being read and checked", now)
        self._records.save(source, [_outgoing(rows)], lambda: None)

    def seen(self, source: HeldSource, look: Look, message: Message, now: datetime) -> None:
        """The remote has nothing new."""
        commit = message["commit"]
        source.state = seen(source.state, source.settings, commit, message["ref"], now)
        self.nothing_to_do(source, look, commit)

    def nothing_to_do(
        self, source: HeldSource, look: Look, commit: str, writes: Sequence[Write] = ()
    ) -> None:
        """The commit is not tried."""
        source.working = None
        result = {"phase": "noop", "commit": commit, "source": source.settings.id}
        self._records.save(source, [*writes], lambda: look.answer(result))

    def failed(self, source: HeldSource, look: Look, message: Message, now: datetime) -> None:
        """The remote could not be read."""
        if look.aim == "plan" or look.commit is not None:
            self.failed_to_plan(source, look, message)
            return
        code, text = message["code"], message["message"]
        worked, source.working = source.working, None
        source.state = unreachable(
            source.state,
            source.settings,
            now,
            code=code,
            message=text,
            retry_after=message.get("retry_after"),
        )
        if source.state.failures in (1, 3):
            event(log, logging.WARNING, "git.failed", text, source=source.settings.id, code=code)
        result = {"phase": "failed", "code": code, "message": text, "source": source.settings.id}
        rows = of_commit(source.settings, worked, "error", text, now) if worked is not None else []
        self._records.save(source, [_outgoing(rows)], lambda: look.answer(result))

    def _lost(self, source: HeldSource, now: datetime) -> None:
        look, source.looking = source.looking or Look(), None
        message = "the git process did not answer in time; the look is tried again"
        self.failed(source, look, {"code": "GIT_TIMEOUT", "message": message}, now)


def _outgoing(rows: Sequence[syncs.Outgoing]) -> Write:
    return lambda tx: syncs.add_outgoing(tx.connection, rows)


def _is_brief(look: Look) -> bool:
    """Whether a look likely finds nothing: a webhook knows better."""
    plain = look.aim != "plan" and look.commit is None and look.pin is None and not look.force
    return plain and look.trigger != "webhook"


def _settled(source: HeldSource, look: Look) -> str | None:
    """The commit with which there is nothing left to do."""
    state = source.state
    if state.observed_commit == state.failed_commit and look.retry:
        return None
    done = state.observed_commit in (state.applied_commit, state.failed_commit)
    loose = source.drifted - source.holding if source.settings.self_heal else frozenset()
    if (loose or source.released) and state.pinned_commit is None:
        return None
    stays = not source.settings.auto and not look.retry
    waits = stays or state.pinned_commit is not None
    return state.observed_commit if done or waits else None
