"""Keeping flows as their repositories have them.

The service lives in core's loop and never waits: it asks the git process to look (`looks`), and
acts on the answer when that arrives (`reconciling`). A commit is applied whole, in one transaction,
or not at all; then the last good one keeps running and the run says what is wrong, file by file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.messages import Starter
from penstock_server.clock import Clock
from penstock_server.sync.applying import TriggerRows
from penstock_server.sync.asked import Look, Pin, Wait
from penstock_server.sync.bringing import Bringing
from penstock_server.sync.checks import Checks
from penstock_server.sync.checks import Told as Checked
from penstock_server.sync.deploys import Deploy, DeployRefused, Deploys, Told
from penstock_server.sync.doubts import HasSecret, any_secret
from penstock_server.sync.folding import unfolded
from penstock_server.sync.hearing import Delivery, Hearing
from penstock_server.sync.hearing import Told as Heard
from penstock_server.sync.held import Around, Database, HeldSource
from penstock_server.sync.looks import Looks
from penstock_server.sync.naming import commit_named
from penstock_server.sync.pins import Pins
from penstock_server.sync.push_judging import Settle, as_written
from penstock_server.sync.push_starts import PushStarts
from penstock_server.sync.reconciling import Reconciler
from penstock_server.sync.records import Records
from penstock_server.sync.reporting import PREFIX as REPORT
from penstock_server.sync.reporting import Reporting
from penstock_server.sync.requests import Secrets
from penstock_server.sync.roster import Roster
from penstock_server.sync.rows import condition_data
from penstock_server.sync.rules import Rules
from penstock_server.sync.settings import GitSettings
from penstock_server.sync.state import status_of
from penstock_server.sync.task_syncs import TaskSyncs

Message = Mapping[str, Any]
_SOON = timedelta(seconds=1)


class UnknownSource(Exception):
    """No source has this id; for HTTP that is a 404."""

    status = 404

    def __init__(self, source_id: str) -> None:
        super().__init__(f"there is no Git source {source_id!r}")
        self.source_id = source_id


class SyncService:
    """All Git sources; called by core's loop, from one thread."""

    def __init__(
        self,
        *,
        database: Database,
        starter: Starter,
        clock: Clock,
        send: Callable[[dict[str, Any]], None],
        settings: GitSettings,
        on_flows_changed: Callable[[list[tuple[str, str]]], None],
        triggers: TriggerRows | None = None,
        settle: Settle = as_written,
        has_secret: HasSecret = any_secret,
        secrets: Secrets = lambda _name: None,
        version: str = "",
        cipher: Cipher | None = None,
    ) -> None:
        self._clock = clock
        self._database = database
        self._push_starts = PushStarts(starter, database.read)
        around = self._around = Around(
            database=database,
            starter=starter,
            clock=clock,
            on_flows_changed=on_flows_changed,
            push_starts=self._push_starts,
            triggers=triggers,
            settle=settle,
            has_secret=has_secret,
        )
        self.measures = around.measures
        self._deploys = Deploys(around)
        records = self._records = Records(around, version)
        rules = Rules(settings)
        self._looks = Looks(records, rules, send, secrets)
        self._reconciler = Reconciler(around, records, self._looks)
        self._pins = Pins(around, records, self._looks)
        self._hearing = Hearing(around, records, self._looks)
        self._checks = Checks(around, rules, send, secrets)
        self.reporting = Reporting(around, records, rules, send, secrets)
        self.tasks = TaskSyncs(around, rules, send)
        self.roster = Roster(around, records, rules, self.reporting.follow, cipher)
        self._sources = self._looks.sources = self._checks.sources = self.roster.sources
        self.bringing = Bringing(around, rules, send, secrets, self._sources)

    # What core's loop calls

    def tick(self, now: datetime) -> datetime | None:
        """Start the looks that are due; when to be called again: soon, since webhooks come in."""
        self._push_starts.tick(now)
        self.reporting.tick(now)
        self._checks.tick(now)
        self.bringing.tick(now)
        self.tasks.tick(now)
        self.roster.tick(now)
        for source in self._sources.values():
            if source.work is not None:
                self._reconciler.proceed(source)
                continue
            self._pins.expire(source, now)
            wakes = source.wakes
            if wakes is not None and wakes <= now:
                self._looks.due(source, now)
        moments = [source.wakes for source in self._sources.values()]
        soon = now + _SOON
        return min((one for one in moments if one is not None and one < soon), default=soon)

    def receive(self, message: Message) -> None:
        """An answer of the git process."""
        name = str(message.get("source"))
        if name.startswith(REPORT):
            self.reporting.receive(message, self._sources.get(name.removeprefix(REPORT)))
            return
        if message["type"] == "checked" or message.get("errand") == "check":
            self._checks.receive(message)
            return
        if message["type"] == "brought" or message.get("errand") == "bring":
            self.bringing.receive(message)
            return
        source = self._sources.get(name)
        if source is None:
            self.tasks.receive(unfolded(message))
            return
        if source.looking is None:
            return
        if message["type"] == "working":
            self._looks.working(source, message, self._clock.now())
            return
        look, source.looking = source.looking, None
        source.deadline = None
        now = self._clock.now()
        self._measure(source, message, now)
        self._hearing.looked(source, look, message)
        match message["type"]:
            case "seen":
                self._looks.seen(source, look, message, now)
            case "moved":
                self._looks.start(source, look, now, moved=message)
            case "failed":
                self._looks.failed(source, look, message, now)
            case "found":
                self._reconciler.found(source, look, message, now)
            case other:
                raise ValueError(f"the git process says {other!r}, which nobody understands")

    def _measure(self, source: HeldSource, message: Message, now: datetime) -> None:
        kind = str(message["type"])
        if kind == "moved":
            return  # the look goes on
        self.measures.count("git_polls", source.settings.id, kind)
        if source.asked_at is not None:
            self.measures.took("git_fetch", (now - source.asked_at).total_seconds())

    def git_process_restarted(self) -> None:
        """Ask again for the looks that were under way."""
        now = self._clock.now()
        self.reporting.git_process_restarted()
        self.tasks.git_process_restarted()
        for source in self._sources.values():
            if source.looking is not None:
                self._looks.start(source, source.looking, now)

    # What others ask

    def look(
        self,
        source_id: str,
        *,
        trigger: str,
        commit: str | None = None,
        confirm: str | None = None,
        wait: Wait | None = None,
        **more: Any,
    ) -> None:
        """Look at a source now; `wait` is told how it ended.

        `commit` is as a person names it, `confirm` the digest of a plan that a person lets through
        the guards; what else can be said of a look is in `asked`.
        """
        source = self._source(source_id)
        wanted = Look(
            trigger=trigger,
            commit=self._named(source, commit),
            confirmed=confirm,
            # A person who asks means it.
            retry=trigger == "manual",
            waits=[wait] if wait is not None else [],
            **more,
        )
        self._looks.want(source, wanted, self._clock.now())

    def _named(self, source: HeldSource, commit: str | None) -> str | None:
        if commit is None:
            return None
        with self._database.read() as connection:
            return commit_named(connection, source.settings.id, source.state.applied_commit, commit)

    def rollback(
        self,
        source_id: str,
        to: str,
        pin: Pin,
        *,
        confirm: str | None = None,
        wait: Wait | None = None,
    ) -> None:
        """Apply another commit and stay there; `to` is as a person names it."""
        self._pins.rollback(self._source(source_id), to, pin, confirm, wait)

    def resume(self, source_id: str, *, actor: str | None = None, wait: Wait | None = None) -> None:
        """Follow the repository again."""
        self._pins.resume(self._source(source_id), actor, wait)

    def edits(self, source_id: str) -> str:
        """What a source says of edits by API and page."""
        source = self._sources.get(source_id)
        if source is None:
            # Nothing is kept in step with what is no longer configured.
            return "allow" if source_id in self.roster.orphans else "deny"
        return source.settings.edits

    def edited(self, source_id: str) -> None:
        """Somebody has edited a flow of a source; the next look puts it right, or only says so."""
        source = self._sources.get(source_id)
        if source is not None:
            self._records.note_drift(source)
            self._records.save(source, [], lambda: None)

    def released(self, source_id: str, actor: str | None) -> None:
        """A flow of a source is not held any more: the source gives it its text again."""
        source = self._sources.get(source_id)
        if source is not None:
            look = Look(trigger="manual", actor=actor, force=True)
            self._looks.want(source, look, self._clock.now())

    def heard(self, delivery: Delivery, told: Heard) -> None:
        """A verified webhook: look now; more of them within two seconds make one look."""
        self._hearing.push(self._source(delivery.source_id), delivery, told)

    def rejected(self, source_id: str, count: int) -> None:
        """Deliveries with bad signatures came for a source."""
        self._hearing.rejected(self._source(source_id), count)

    def check(self, source_id: str, told: Checked) -> None:
        """Try every step from the name of the host to the folder; `told` gets what was found."""
        self._checks.start(self._source(source_id), told)

    def apply_files(self, deploy: Deploy, told: Told) -> None:
        """Apply what a CI job sends; raises `DeployRefused` for a source that is fetched."""
        if deploy.source in self._sources:
            raise DeployRefused(
                f"source {deploy.source!r} is synced from Git by this service: deploy as another"
                " source, or push to its repository"
            )
        self._deploys.apply(deploy, told)

    def sources(self) -> list[dict[str, Any]]:
        """All sources with their status."""
        return [self.status(source_id) for source_id in self._sources]

    def status(self, source_id: str) -> dict[str, Any]:
        """How a source stands."""
        source = self._source(source_id)
        state, settings = source.state, source.settings
        now = self._clock.now()
        return {
            "id": source_id,
            "url": settings.shown_url,
            "ref": state.observed_ref or settings.ref_name,
            "path": settings.path,
            "status": status_of(state, settings, now, busy=source.progressing),
            "applied": {"commit": state.applied_commit, "at": state.applied_at},
            "observed": {
                "commit": state.observed_commit,
                "at": state.observed_at,
                "behind": state.behind,
            },
            "pinned": state.pinned_commit is not None,
            "failures": state.failures,
            "next": state.next_poll_at,
            "conditions": [condition_data(one) for one in state.conditions],
        }

    def _source(self, source_id: str) -> HeldSource:
        source = self._sources.get(source_id)
        if source is None:
            raise UnknownSource(source_id)
        return source
