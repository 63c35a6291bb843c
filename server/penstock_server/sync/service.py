"""Keeping flows as their repositories have them.

The service lives in core's loop and never waits: it asks the git process to look, and acts on the
answer when that arrives. A commit is applied whole, in one transaction, or not at all; then the
last good one keeps running and the run says what is wrong, file by file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from penstock_runner.executor.messages import Outcome, Start, Starter
from penstock_runner.executor.store import Write
from penstock_runner.flow.faults import Fault
from penstock_server.clock import Clock
from penstock_server.store import flows, sources, syncs
from penstock_server.sync.applying import Application, TriggerRows
from penstock_server.sync.deciding import decide
from penstock_server.sync.deploys import Deploy, DeployRefused, Deploys, Told
from penstock_server.sync.desired import Contents, Manifest, contents_of, manifest_from
from penstock_server.sync.plan import SyncPlan
from penstock_server.sync.polling import MERGED, first_look
from penstock_server.sync.push_starts import PushStarts, put_starts
from penstock_server.sync.push_trigger import push_of, starts_of
from penstock_server.sync.requests import MissingSecret, Secrets, look_request
from penstock_server.sync.rows import (
    Look,
    Run,
    Wait,
    commit_of,
    condition_data,
    source_row,
    state_of,
)
from penstock_server.sync.settings import GitSettings, SourceSettings
from penstock_server.sync.state import (
    SourceState,
    applied,
    refused,
    seen,
    status_of,
    unreachable,
)

log = logging.getLogger(__name__)

Message = Mapping[str, Any]
_GRACE = timedelta(seconds=15)
_SOON = timedelta(seconds=1)
_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


class Database(Protocol):
    """What the service reads from."""

    def read(self) -> Any:
        """A context manager that gives a connection."""
        ...


@dataclass(slots=True, kw_only=True)
class _Source:
    """A source as the loop holds it. `read_digest` is how it was read when last looked at."""

    settings: SourceSettings
    state: SourceState
    manifest: Manifest = field(default_factory=dict)
    read_digest: str = ""
    looking: Look | None = None
    deadline: datetime | None = None
    following: Look | None = None
    hinted_at: datetime | None = None
    applying: bool = False

    @property
    def busy(self) -> bool:
        """Whether a look or an apply is under way."""
        return self.looking is not None or self.applying

    @property
    def wakes(self) -> datetime | None:
        """When there is something to do for it."""
        if self.looking is not None:
            return self.deadline
        if self.applying:
            return None
        if self.following is not None:
            hinted = self.hinted_at if self.following.trigger == "webhook" else None
            return hinted + MERGED if hinted is not None else _AT_ONCE
        if not self.settings.enabled or self.state.pinned_commit is not None:
            return None
        return self.state.next_poll_at


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
        secrets: Secrets = lambda _name: None,
        version: str = "",
    ) -> None:
        self._database = database
        self._starter = starter
        self._clock = clock
        self._send = send
        self._settings = settings
        self._on_flows_changed = on_flows_changed
        self._triggers = triggers
        self._secrets = secrets
        self._version = version
        self._push_starts = PushStarts(starter, database.read)
        self._deploys = Deploys(
            database=database,
            starter=starter,
            clock=clock,
            on_flows_changed=on_flows_changed,
            push_starts=self._push_starts,
            triggers=triggers,
        )
        self._sources = self._load()

    # What core's loop calls

    def tick(self, now: datetime) -> datetime | None:
        """Start the looks that are due; when to be called again: soon, since webhooks come in."""
        self._push_starts.tick(now)
        for source in self._sources.values():
            wakes = source.wakes
            if wakes is None or wakes > now:
                continue
            if source.looking is not None:
                self._lost(source, now)
            else:
                self._start_look(source, source.following or Look(), now)
        moments = [source.wakes for source in self._sources.values()]
        soon = now + _SOON
        return min((one for one in moments if one is not None and one < soon), default=soon)

    def receive(self, message: Message) -> None:
        """An answer of the git process."""
        source = self._sources.get(str(message.get("source")))
        if source is None or source.looking is None:
            return
        look, source.looking = source.looking, None
        source.deadline = None
        now = self._clock.now()
        kind = message["type"]
        if kind == "seen":
            self._seen(source, look, message, now)
        elif kind == "failed":
            self._failed(source, look, message, now)
        elif kind == "found":
            self._found(source, look, message, now)

    def git_process_restarted(self) -> None:
        """Ask again for the looks that were under way."""
        now = self._clock.now()
        for source in self._sources.values():
            if source.looking is not None:
                self._start_look(source, source.looking, now)

    # What others ask

    def look(
        self,
        source_id: str,
        *,
        trigger: str,
        actor: str | None = None,
        delivery_id: str | None = None,
        force: bool = False,
        confirm: str | None = None,
        wait: Wait | None = None,
    ) -> None:
        """Look at a source now; `wait` is told how it ended.

        `force` tries a commit again that was refused; `confirm` is the digest of a plan that a
        person lets through the guards.
        """
        source = self._source(source_id)
        before = source.following or Look()
        wanted = Look(
            trigger=trigger,
            actor=actor,
            delivery_id=delivery_id,
            force=force or confirm is not None or before.force,
            confirmed=confirm or before.confirmed,
            waits=[*before.waits, *([wait] if wait is not None else [])],
        )
        if source.busy:
            source.following = wanted
        else:
            self._start_look(source, wanted, self._clock.now())

    def hint(self, source_id: str, delivery_id: str | None = None) -> None:
        """A verified webhook: look now; more of them within two seconds make one look."""
        source = self._source(source_id)
        now = self._clock.now()
        source.state = replace(source.state, webhook_at=now)
        wanted = Look(trigger="webhook", delivery_id=delivery_id)
        merged = source.hinted_at is not None and now - source.hinted_at < MERGED
        if source.busy or merged:
            source.following = source.following or wanted
            source.hinted_at = source.hinted_at or now
        else:
            source.hinted_at = now
            self._start_look(source, wanted, now)

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
            "status": status_of(state, settings, now, busy=source.applying),
            "applied": {"commit": state.applied_commit, "at": state.applied_at},
            "observed": {"commit": state.observed_commit, "at": state.observed_at},
            "failures": state.failures,
            "next": state.next_poll_at,
            "conditions": [condition_data(one) for one in state.conditions],
        }

    # Looks

    def _start_look(self, source: _Source, look: Look, now: datetime) -> None:
        source.looking = look
        source.following = None
        source.deadline = now + source.settings.timeout + _GRACE
        digest = self._digest(source.settings)
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
            self._failed(source, look, {"code": "GIT_AUTH", "message": str(missing)}, now)
        else:
            self._send(request)

    def _lost(self, source: _Source, now: datetime) -> None:
        look, source.looking = source.looking or Look(), None
        message = "the git process did not answer in time; the look is tried again"
        self._failed(source, look, {"code": "GIT_TIMEOUT", "message": message}, now)

    # Answers

    def _seen(self, source: _Source, look: Look, message: Message, now: datetime) -> None:
        commit = message["commit"]
        source.state = seen(source.state, source.settings, commit, message["ref"], now)
        self._nothing_to_do(source, look, commit)

    def _nothing_to_do(self, source: _Source, look: Look, commit: str) -> None:
        result = {"phase": "noop", "commit": commit, "source": source.settings.id}
        self._save(source, [], lambda: look.answer(result))

    def _failed(self, source: _Source, look: Look, message: Message, now: datetime) -> None:
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
        self._save(source, [], lambda: look.answer(result))

    def _found(self, source: _Source, look: Look, message: Message, now: datetime) -> None:
        settings, sha = source.settings, message["commit"]["sha"]
        digest = self._digest(settings)
        again = source.state.failed_commit == sha and source.read_digest == digest
        source.read_digest = digest
        source.state = seen(source.state, settings, sha, message["ref"], now)
        if not look.force and (again or not settings.auto):
            self._nothing_to_do(source, look, sha)
            return
        contents = contents_of(message["files"], message["notes"], source.manifest, flows.digest)
        decided = self._decide(source, look, contents)
        run = Run(
            id=self._starter.new_id(),
            source_id=settings.id,
            look=look,
            message=message,
            before=source.state.applied_commit,
            started=now,
        )
        if contents.errors and settings.on_invalid == "FAIL":
            self._invalid(source, run, decided, contents.errors)
        elif decided.faults:
            self._invalid(source, run, decided, decided.faults)
        elif decided.refusals:
            reasons = "; ".join(decided.refusals)
            told = f"{reasons}. Confirm plan {decided.digest[:12]} to do it."
            self._end(source, run, decided, ("PruneBlocked", "PRUNE_BLOCKED", told))
        elif message["rewritten"] and settings.force_push == "refuse" and not look.force:
            told = "the history was rewritten, and `forcePush: refuse` waits for a person"
            self._end(source, run, decided, ("HistoryRewritten", "HISTORY_REWRITTEN", told))
        else:
            self._apply(source, run, contents, decided)

    def _decide(self, source: _Source, look: Look, contents: Contents) -> SyncPlan:
        before = source.state.config_digest.partition(":")[0]
        present = self._digest(source.settings).partition(":")[0]
        with self._database.read() as connection:
            return decide(
                connection,
                source.settings,
                contents,
                source.manifest,
                reconfigured=bool(before) and before != present,
                confirmed=look.confirmed,
            )

    def _invalid(
        self, source: _Source, run: Run, decided: SyncPlan, errors: Sequence[Fault]
    ) -> None:
        first = errors[0]
        kind = "OwnershipConflict" if first.code == "OWNED_BY_OTHER" else "InvalidFiles"
        told = f"{len(errors)} errors; the first: {first}"
        self._end(source, run, decided, (kind, first.code, told), errors)

    def _end(
        self,
        source: _Source,
        run: Run,
        decided: SyncPlan,
        why: tuple[str, str, str],
        errors: Sequence[Fault] = (),
    ) -> None:
        """The commit is not applied; the last good one keeps running."""
        kind, code, message = why
        now = self._clock.now()
        phase = "failed" if errors else "refused"
        source.state = refused(
            source.state, run.sha, kind=kind, code=code, message=message, now=now
        )
        row = run.row(phase, now, decided, errors, message)
        commit = commit_of(source.settings.id, run.message["commit"])

        def write(tx: Any) -> None:
            syncs.put_run(tx.connection, row)
            sources.add_commits(tx.connection, [commit])

        log.warning("git.%s source=%s commit=%s %s", phase, source.settings.id, run.sha, message)
        result = run.result(phase, decided, errors, message)
        self._save(source, [write], lambda: run.look.answer(result))

    # Applying

    def _apply(self, source: _Source, run: Run, contents: Contents, decided: SyncPlan) -> None:
        now = self._clock.now()
        job = Application(
            source=source.settings,
            run_id=run.id,
            plan=decided,
            contents=contents,
            manifest=source.manifest,
            commit=run.message["commit"],
            commits=run.message["commits"],
            ref=run.message["ref"],
            now=now,
            triggers=self._triggers,
        )
        after = applied(
            source.state,
            now,
            commit=run.sha,
            run_id=run.id,
            digest=self._digest(source.settings),
            rewritten=bool(run.message["rewritten"]),
            skipped=len(contents.invalid),
        )
        starts = self._pushed(source, run, contents, decided)
        row = run.row("succeeded", now, decided, contents.errors, "")

        def write(tx: Any) -> None:
            job.write(tx)
            syncs.put_run(tx.connection, row)
            put_starts(tx, source.settings.id, run.sha, starts, now)
            sources.put_source(tx.connection, source_row(source.settings, after, now))

        def done(outcome: Outcome) -> None:
            source.applying = False
            if outcome.error is not None:
                self._not_applied(source, run, decided, outcome.error)
                return
            source.state = after
            source.manifest = job.new_manifest
            log.info("git.applied source=%s commit=%s run=%s", source.settings.id, run.sha, run.id)
            self._on_flows_changed(job.changed)
            self._push_starts.asked()
            self._push_starts.tick(self._clock.now())
            run.look.answer(run.result("succeeded", decided, contents.errors, ""))

        source.applying = True
        self._starter.transact(writes=[write], done=done)

    def _pushed(
        self, source: _Source, run: Run, contents: Contents, decided: SyncPlan
    ) -> list[Start]:
        if source.settings.disable_triggers:
            return []
        push = push_of(
            run.message, source.settings.id, source.settings.shown_url, source.state.applied_commit
        )
        there = {item.key for item in decided.items if item.desired is not None}
        kept = [flow for flow in contents.flows if flow.desired.key in there]
        return starts_of(push, kept, self._starter.new_id)

    def _not_applied(self, source: _Source, run: Run, decided: SyncPlan, error: Exception) -> None:
        """The store did not take it: not the commit's fault, so the next poll tries again."""
        log.error("git.failed source=%s commit=%s", source.settings.id, run.sha, exc_info=error)
        now = self._clock.now()
        source.read_digest = ""
        source.state = unreachable(
            source.state, source.settings, now, code="APPLY_FAILED", message=str(error)
        )
        row = run.row("failed", now, decided, [], str(error))

        def write(tx: Any) -> None:
            syncs.put_run(tx.connection, row)

        result = run.result("failed", decided, [], str(error))
        self._save(source, [write], lambda: run.look.answer(result))

    # Rows

    def _load(self) -> dict[str, _Source]:
        now = self._clock.now()
        loaded: dict[str, _Source] = {}
        with self._database.read() as connection:
            rows = {row.id: row for row in sources.list_sources(connection)}
            for settings in self._settings.sources:
                row = rows.get(settings.id)
                state = state_of(row) if row is not None else SourceState(id=settings.id)
                same = state.config_digest == self._digest(settings)
                state = replace(state, next_poll_at=first_look(settings, now) if same else now)
                source = _Source(settings=settings, state=state)
                if state.applied_commit is not None:
                    held = sources.manifest(connection, settings.id, state.applied_commit)
                    source.manifest = manifest_from(held.entries) if held is not None else {}
                loaded[settings.id] = source
        return loaded

    def _save(self, source: _Source, writes: list[Write], after: Callable[[], None]) -> None:
        row = source_row(source.settings, source.state, self._clock.now())

        def write(tx: Any) -> None:
            sources.put_source(tx.connection, row)

        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                log.error("source %s was not saved: %s", source.settings.id, outcome.error)
            after()

        self._starter.transact(writes=[*writes, write], done=done)

    def _digest(self, settings: SourceSettings) -> str:
        """What the manifest depends on: how the source is read, and by which Penstock."""
        return f"{settings.digest[:40]}:{self._version}"[:64]

    def _source(self, source_id: str) -> _Source:
        source = self._sources.get(source_id)
        if source is None:
            raise UnknownSource(source_id)
        return source
