"""What webhooks do to a source: a look for each new delivery, and whether they work at all.

A delivery is remembered before it is acted on, so the same one sent again changes nothing. Webhooks
are trusted (and polls become rare) only once a delivery has named the commit that was then found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.executor.messages import Outcome
from penstock_server.store import syncs
from penstock_server.sync.asked import Look
from penstock_server.sync.events import event
from penstock_server.sync.held import Around, HeldSource
from penstock_server.sync.looks import Looks
from penstock_server.sync.records import Records
from penstock_server.sync.state import fine_again, troubled

log = logging.getLogger(__name__)

KEPT = timedelta(days=7)
SWEPT_EVERY = timedelta(hours=1)
REJECTED_WITHIN = timedelta(hours=1)
REJECTED = "WebhookRejected"
SILENT = "WebhookSilent"
_TOLERATED = 2
_REMEMBERED = 50
_LOOKS = frozenset({"poll", "webhook"})

Told = Callable[[dict[str, Any] | Exception], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A verified delivery; `after` is the commit that it names. A ping asks for no look."""

    source_id: str
    forge: str
    event: str
    delivery_id: str | None = None
    after: str | None = None
    ping: bool = False


class Hearing:
    """Hears deliveries, and what looks find afterwards."""

    def __init__(self, around: Around, records: Records, looks: Looks) -> None:
        self._around = around
        self._records = records
        self._looks = looks
        self._swept: datetime | None = None

    def push(self, source: HeldSource, delivery: Delivery, told: Told) -> None:
        """Remember a verified delivery and look, once; `told` gets the answer to the forge."""
        now = self._around.clock.now()
        new = [True]

        def write(tx: Any) -> None:
            self._sweep(tx, now)
            if delivery.delivery_id:
                new[0] = syncs.add_delivery(tx.connection, _row(delivery, now))

        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                told(outcome.error)
            elif new[0]:
                self._genuine(source, delivery)
                told({"queued": True})
            else:
                told({"duplicate": True})

        self._around.starter.transact(writes=[write], done=done)

    def rejected(self, source: HeldSource, count: int) -> None:
        """Deliveries that nobody with the secret has sent: the third in an hour is a condition."""
        now = self._around.clock.now()
        source.rejections.extend([now] * min(count, _REMEMBERED))
        recent = [at for at in source.rejections if now - at < REJECTED_WITHIN]
        source.rejections[:] = recent[-_REMEMBERED:]
        name, source_id = "webhook.rejected", source.settings.id
        event(log, logging.WARNING, name, "bad signature", source=source_id, count=count)
        if len(recent) > _TOLERATED:
            source.state = troubled(
                source.state,
                kind=REJECTED,
                code="WEBHOOK_REJECTED",
                message=(
                    f"{len(recent)} deliveries of the last hour had a bad signature. Set the secret"
                    " of the forge's webhook to the one that `webhook.secretSecret` names."
                ),
                now=now,
            )
            self._records.save(source, [], lambda: None)

    def looked(self, source: HeldSource, look: Look, message: Mapping[str, Any]) -> None:
        """The remote answered a look: whether a webhook has said so before is noted."""
        now = self._around.clock.now()
        if not any(now - at < REJECTED_WITHIN for at in source.rejections):
            source.state = fine_again(source.state, REJECTED)
        commit = _commit(message)
        if commit is None or source.settings.webhook is None:
            return
        if commit in source.named:
            source.state = replace(source.state, webhook_at=now)
        elif look.trigger == "webhook" and commit != source.state.observed_commit:
            # Nameless, as of a generic sender, yet something new was there.
            source.state = replace(source.state, webhook_at=now)
        elif look.trigger == "poll" and self._silent(source, message):
            source.state = troubled(
                source.state,
                kind=SILENT,
                code="WEBHOOK_SILENT",
                message=(
                    "the last 3 commits were found by polling before a webhook named them. Check"
                    " at the forge that its webhook points to"
                    f" /api/v1/git/webhooks/{source.settings.id} of this service, and what became"
                    " of its deliveries."
                ),
                now=now,
            )

    def _genuine(self, source: HeldSource, delivery: Delivery) -> None:
        source.state = fine_again(source.state, SILENT)
        if delivery.ping:
            return
        if delivery.after is not None:
            source.named.append(delivery.after)
            del source.named[:-_REMEMBERED]
        self._looks.hint(source, delivery.delivery_id, self._around.clock.now())

    def _silent(self, source: HeldSource, message: Mapping[str, Any]) -> bool:
        """Whether this and the last two new commits were found by polling."""
        state, commit = source.state, _commit(message)
        if message["type"] != "found" or state.applied_commit is None:
            return False
        if commit in (state.observed_commit, state.applied_commit):
            return False
        with self._around.database.read() as connection:
            runs = syncs.runs(connection, source.settings.id, limit=10)
        triggers = [
            run.trigger for run in runs if run.trigger in _LOOKS and run.from_commit is not None
        ]
        return triggers[:2] == ["poll", "poll"]

    def _sweep(self, tx: Any, now: datetime) -> None:
        if self._swept is None or now - self._swept >= SWEPT_EVERY:
            self._swept = now
            syncs.remove_deliveries(tx.connection, now - KEPT)


def _row(delivery: Delivery, now: datetime) -> syncs.Delivery:
    return syncs.Delivery(
        source_id=delivery.source_id,
        delivery_id=delivery.delivery_id or "",
        forge=delivery.forge,
        event=delivery.event,
        received_at=now,
        verdict="pong" if delivery.ping else "queued",
    )


def _commit(message: Mapping[str, Any]) -> str | None:
    match message["type"]:
        case "seen":
            return str(message["commit"])
        case "found":
            return str(message["commit"]["sha"])
        case _:
            return None
