"""Asks the git process what stands between this machine and a repository, for `git doctor`.

What only core knows is added: secrets that have no value, and how the webhook does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from penstock_server.store import syncs
from penstock_server.sync.checking import FAILED, OK, SKIPPED, WARNING, step
from penstock_server.sync.held import Around, HeldSource
from penstock_server.sync.requests import MissingSecret, Secrets, described_source, report_token
from penstock_server.sync.rules import Rules
from penstock_server.sync.sharing import shared_store

_PATIENCE = timedelta(seconds=30)

Told = Callable[[dict[str, Any]], None]


class Checks:
    """Called by core's loop, from one thread."""

    def __init__(
        self,
        around: Around,
        rules: Rules,
        send: Callable[[dict[str, Any]], None],
        secrets: Secrets,
    ) -> None:
        self._around = around
        self._rules = rules
        self._send = send
        self._secrets = secrets
        self.sources: Mapping[str, HeldSource] = {}
        self._waiting: dict[str, tuple[HeldSource, list[Told], datetime]] = {}

    def start(self, source: HeldSource, told: Told) -> None:
        """Check a source; `told` gets all steps when the last has been tried."""
        name, now = source.settings.id, self._around.clock.now()
        if name in self._waiting:
            self._waiting[name][1].append(told)
            return
        until = now + source.settings.timeout + _PATIENCE
        self._waiting[name] = (source, [told], until)
        try:
            described = described_source(
                source.settings,
                secrets=self._secrets,
                git=self._rules.git,
                shared=shared_store(source, self.sources.values()),
            )
        except MissingSecret as missing:
            self._answer(name, [step("auth", FAILED, str(missing))])
        else:
            self._send({"type": "check", "source": described, "now": now.isoformat()})

    def receive(self, message: Mapping[str, Any]) -> None:
        """An answer of the git process."""
        steps = message.get("checks")
        if steps is None:
            steps = [step("connect", FAILED, str(message.get("message") or "no answer"))]
        self._answer(str(message["source"]), list(steps))

    def tick(self, now: datetime) -> None:
        """Give up on what is never answered."""
        for name, (_, _, until) in list(self._waiting.items()):
            if until <= now:
                self._answer(name, [step("connect", FAILED, "the git process does not answer")])

    def _answer(self, name: str, steps: list[dict[str, str]]) -> None:
        source, waiting, _ = self._waiting.pop(name, (None, [], None))
        if source is None:
            return
        steps = [*steps, *self._webhook(source), *self._report(source)]
        result = {
            "source": name,
            "url": source.settings.shown_url,
            "ok": not any(one["status"] == FAILED for one in steps),
            "checks": steps,
        }
        for told in waiting:
            told(result)

    def _webhook(self, source: HeldSource) -> list[dict[str, str]]:
        webhook = source.settings.webhook
        where = f"/api/v1/git/webhooks/{source.settings.id}"
        if webhook is None:
            seconds = round(source.settings.interval.total_seconds())
            text = f"none: pushes are seen within {seconds} seconds. Set `webhook` for at once"
            return [step("webhook", SKIPPED, f"{text}, and point the forge to {where}.")]
        missing = [name for name in webhook.names if not self._secrets(name)]
        if len(missing) == len(webhook.names):
            text = f"there is no secret {missing[0]!r}: every delivery is refused. Set it."
            return [step("webhook", FAILED, text)]
        for condition in source.state.conditions:
            if condition.type in ("WebhookRejected", "WebhookSilent"):
                return [step("webhook", WARNING, condition.message)]
        with self._around.database.read() as connection:
            last = next(iter(syncs.deliveries(connection, source.settings.id, limit=1)), None)
        if last is None:
            text = f"no delivery has come in a week. Point the forge to {where} and test it there."
            return [step("webhook", WARNING, text)]
        at = last.received_at.isoformat(timespec="seconds")
        return [step("webhook", OK, f"last delivery {at}, {last.event} by {last.forge}")]

    def _report(self, source: HeldSource) -> list[dict[str, str]]:
        if source.settings.report is None:
            return []
        try:
            report_token(source.settings, self._secrets)
        except MissingSecret as missing:
            return [step("report", FAILED, str(missing))]
        for condition in source.state.conditions:
            if condition.type == "ReportFailed":
                return [step("report", WARNING, condition.message)]
        return [step("report", OK, f"commits are reported to {source.settings.report_forge}")]
