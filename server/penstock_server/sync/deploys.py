"""Deploys: flows that a CI job sends, instead of a commit that is fetched.

The same planner decides, and the flows belong to the source that the deploy names. All are valid or
nothing is written; a dry run says what would be done. Nothing here polls: a deploy is one call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from penstock_runner.executor.messages import Outcome
from penstock_runner.flow.faults import Fault
from penstock_runner.flow.report import in_order, record
from penstock_server.store import flows, sources, syncs
from penstock_server.sync.applying import Application
from penstock_server.sync.asked import Look
from penstock_server.sync.deciding import decide
from penstock_server.sync.desired import Contents, Manifest, contents_of, manifest_from
from penstock_server.sync.held import Around
from penstock_server.sync.judging import at_once
from penstock_server.sync.plan import SyncPlan
from penstock_server.sync.planning import changes_anything, item_data
from penstock_server.sync.push_judging import judge_of
from penstock_server.sync.push_starts import put_starts
from penstock_server.sync.push_trigger import push_of, starts_of
from penstock_server.sync.rows import Run, source_row, state_of
from penstock_server.sync.settings import SourceSettings
from penstock_server.sync.state import SourceState, applied, seen
from penstock_server.sync.verdicts import plan_changed, to_confirm

log = logging.getLogger(__name__)

Message = Mapping[str, Any]


class DeployRefused(Exception):
    """Nothing was written; `status` is what HTTP calls the reason, `faults` name the flows."""

    def __init__(self, message: str, status: int = 409, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.faults = tuple(faults)


Told = Callable[[dict[str, Any] | Exception], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """What was sent: `found` has the shape of an answer of the git process."""

    source: str
    found: Message
    url: str
    actor: str | None = None
    prune: bool = False
    strict: bool = False
    dry_run: bool = False
    confirm: str | None = None
    via: str = "ci"


class Deploys:
    """Plans and writes deploys; called by core's loop, from one thread."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._under_way: set[str] = set()

    def apply(self, deploy: Deploy, told: Told) -> None:
        """Plan and write; `told` gets the result after the commit. Raises `DeployRefused`."""
        if deploy.source in self._under_way:
            raise DeployRefused(f"another deploy of source {deploy.source!r} is under way")
        now = self._around.clock.now()
        settings = SourceSettings(id=deploy.source, url=deploy.url, prune=deploy.prune)
        state, manifest = self._known(deploy.source)
        contents, decided = self._judged(deploy, settings, manifest, now)
        run = Run(
            id=self._around.starter.new_id(),
            source_id=deploy.source,
            look=Look(trigger=deploy.via, actor=deploy.actor),
            message=deploy.found,
            before=state.applied_commit,
            started=now,
            warnings=contents.warnings,
        )
        if deploy.dry_run:
            self._dry(run, decided, now, told)
            return
        job = Application(
            source=settings,
            run_id=run.id,
            plan=decided,
            contents=contents,
            manifest=manifest,
            commit=deploy.found["commit"],
            commits=(),
            ref=deploy.found["ref"],
            now=now,
            triggers=self._around.triggers,
            via=deploy.via,
        )
        self._write(run, job, settings, state, told)

    def _judged(
        self, deploy: Deploy, settings: SourceSettings, manifest: Manifest, now: datetime
    ) -> tuple[Contents, SyncPlan]:
        """What is sent and what it changes; refused when it must not."""
        found = deploy.found
        # What was applied last says where files go whose folder names no namespace.
        contents = contents_of(found["files"], found["notes"], manifest, flows.digest)
        if contents.errors:
            raise DeployRefused("a flow is not valid", 422, contents.errors)
        with self._around.database.read() as connection:
            decided = decide(
                connection,
                settings,
                contents,
                manifest,
                reconfigured=False,
                confirmed=deploy.confirm,
                now=now,
            )
        contents = at_once(self._around, contents, decided)
        _guard(decided, deploy.confirm)
        if deploy.strict and contents.warnings:
            raise DeployRefused("there are warnings, and `strict` is on", 422, contents.warnings)
        return contents, decided

    def _known(self, source_id: str) -> tuple[SourceState, Manifest]:
        """What is remembered of the source, and what was applied of it last."""
        with self._around.database.read() as connection:
            row = sources.source(connection, source_id)
            if row is None:
                return SourceState(id=source_id), {}
            state = state_of(row)
            held = None
            if state.applied_commit is not None:
                held = sources.manifest(connection, source_id, state.applied_commit)
            return state, manifest_from(held.entries) if held is not None else {}

    def _dry(self, run: Run, decided: SyncPlan, now: datetime, told: Told) -> None:
        row = replace(run.row("noop", now, decided, (), ""), dry_run=True)

        def write(tx: Any) -> None:
            syncs.put_run(tx.connection, row)

        def done(outcome: Outcome) -> None:
            told(outcome.error or _result(run, decided, {}, dry_run=True))

        self._around.starter.transact(writes=[write], done=done)

    def _write(
        self,
        run: Run,
        job: Application,
        settings: SourceSettings,
        state: SourceState,
        told: Told,
    ) -> None:
        found, now = run.message, job.now
        push = push_of(found, settings.id, settings.shown_url, state.applied_commit)
        judge = judge_of(self._around.database, self._around.settle)
        starts = starts_of(push, job.contents.flows, self._around.starter.new_id, judge=judge)
        after = seen(state, settings, run.sha, found["ref"], now)
        after = applied(after, now, commit=run.sha, run_id=run.id, digest="", rewritten=False)
        source = source_row(settings, replace(after, next_poll_at=None), now)
        row = run.row("succeeded", now, job.plan, (), "")

        started: list[str] = []

        def write(tx: Any) -> None:
            job.write(tx)
            syncs.put_run(tx.connection, row)
            started[:] = put_starts(tx, settings.id, run.sha, starts, now)
            sources.put_source(tx.connection, replace(source, origin="deploy", enabled=False))

        def done(outcome: Outcome) -> None:
            self._under_way.discard(settings.id)
            if outcome.error is not None:
                log.error("deploy.failed source=%s", settings.id, exc_info=outcome.error)
                told(outcome.error)
                return
            log.info("deploy.applied source=%s commit=%s run=%s", settings.id, run.sha, run.id)
            self._around.on_flows_changed(job.changed)
            self._around.push_starts.asked()
            self._around.push_starts.tick(self._around.clock.now())
            told({**_result(run, job.plan, job.revisions, dry_run=False), "executions": started})

        self._under_way.add(settings.id)
        self._around.starter.transact(writes=[write], done=done)


def _guard(decided: SyncPlan, confirmed: str | None) -> None:
    if decided.faults:
        owned = any(fault.code == "OWNED_BY_OTHER" for fault in decided.faults)
        raise DeployRefused(str(decided.faults[0].message), 409 if owned else 422, decided.faults)
    changed = plan_changed(decided, confirmed)
    if changed is not None:
        raise DeployRefused(changed)
    if decided.refusals:
        raise DeployRefused(to_confirm(decided))


def _result(
    run: Run, decided: SyncPlan, revisions: Mapping[tuple[str, str], int], *, dry_run: bool
) -> dict[str, Any]:
    """What the deployer is told."""
    items = [
        {**item_data(item), "toRevision": revisions.get(item.key, item.next_revision)}
        for item in decided.changes
    ]
    return {
        "source": run.source_id,
        "run": run.id,
        "commit": run.sha,
        "dryRun": dry_run,
        "changed": changes_anything(decided),
        "counts": dict(decided.counts),
        "digest": decided.digest,
        "items": items,
        "warnings": [record(fault) for fault in in_order(run.warnings)],
    }
