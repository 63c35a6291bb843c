"""What is done with a commit that was found: it is applied whole, or not at all and said why."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from penstock_runner.executor.messages import Outcome, Start
from penstock_runner.executor.store import Write
from penstock_server.store import sources, syncs
from penstock_server.store.flow_batches import Outdated
from penstock_server.sync.applying import Application
from penstock_server.sync.asked import Look
from penstock_server.sync.auditing import decided_by_people
from penstock_server.sync.desired import Contents
from penstock_server.sync.events import event
from penstock_server.sync.folding import large
from penstock_server.sync.held import Around, HeldSource, Work
from penstock_server.sync.judging import Judgement, judged
from penstock_server.sync.looks import Looks, Message
from penstock_server.sync.plan import SyncPlan
from penstock_server.sync.planning import plan_data
from penstock_server.sync.push_flows import listeners, without_switched_off
from penstock_server.sync.push_judging import judge_of
from penstock_server.sync.push_starts import put_starts
from penstock_server.sync.push_trigger import push_of, starts_of
from penstock_server.sync.records import Records
from penstock_server.sync.reports import of_run
from penstock_server.sync.rows import Run, commit_of, source_row, sync_item
from penstock_server.sync.state import (
    SourceState,
    applied,
    edited,
    pinned,
    refused,
    seen,
    unreachable,
)
from penstock_server.sync.verdicts import Verdict

log = logging.getLogger(__name__)

# Commits with many files are worked on in moments of this length (seconds).
_MOMENT = 0.01
_TRIES = 3
_NOTHING: Work = (Look(), iter(()))


class Reconciler:
    """Brings a source to a commit."""

    def __init__(self, around: Around, records: Records, looks: Looks) -> None:
        self._around = around
        self._records = records
        self._looks = looks
        self._large: set[str] = set()

    def found(self, source: HeldSource, look: Look, message: Message, now: datetime) -> None:
        """A commit was fetched and read: decide, then apply it or say why not."""
        told = {"source": source.settings.id, "commit": message["commit"]["sha"]}
        event(log, logging.INFO, "git.fetched", **told, files=len(message["files"]))
        self._begin(source, look, message, self._work(source, look, message, now))

    def proceed(self, source: HeldSource) -> None:
        """Go on with a large commit for a moment; others have their turn in between."""
        until = time.monotonic() + _MOMENT
        look, work = source.work or _NOTHING
        try:
            while time.monotonic() < until:
                next(work)
        except StopIteration:
            self._over(source, work)
        except Exception as error:
            log.exception("git.failed source=%s", source.settings.id)
            self._over(source, work)
            told = {"code": "APPLY_FAILED", "message": f"it could not be applied: {error}"}
            self._looks.failed(source, look, told, self._around.clock.now())

    def _begin(
        self, source: HeldSource, look: Look, message: Message, work: Iterator[None]
    ) -> None:
        if large(message):
            source.work = (look, work)
            self._large.add(source.settings.id)
            # Looking for garbage among so much that is alive would stop everybody for long.
            gc.disable()
        else:
            for _ in work:
                pass

    def _over(self, source: HeldSource, work: Iterator[None]) -> None:
        if source.work is not None and source.work[1] is work:
            source.work = None
        if not source.applying:
            self._done_with(source)

    def _done_with(self, source: HeldSource) -> None:
        self._large.discard(source.settings.id)
        if not self._large:
            gc.enable()

    def _work(
        self, source: HeldSource, look: Look, message: Message, now: datetime
    ) -> Iterator[None]:
        settings, sha = source.settings, message["commit"]["sha"]
        if look.aim == "plan":
            found = yield from judged(self._around, self._records, source, look, message)
            run = self._run(source, look, message, now)
            self._show(replace(run, warnings=found.contents.warnings), found)
            return
        digest = self._records.digest(settings)
        again = source.state.failed_commit == sha and source.read_digest == digest
        source.read_digest = digest
        if look.commit is None:
            behind = len(message["commits"]) if source.state.applied_commit is not None else 0
            state = replace(source.state, behind=behind)
            source.state = seen(state, settings, sha, message["ref"], now)
        if look.aim == "refresh" or self._left_alone(source, look, again=again):
            self._notice(source, look, message)
            return
        yield from self._reach(source, look, message, tries=_TRIES)

    def _reach(
        self, source: HeldSource, look: Look, message: Message, *, tries: int
    ) -> Iterator[None]:
        """Apply the commit or end; flows that change meanwhile make it begin anew."""
        found = yield from judged(self._around, self._records, source, look, message)
        run = self._run(source, look, message, self._around.clock.now())
        run = replace(run, warnings=found.contents.warnings)
        if found.verdict is not None:
            self._end(source, run, found.decided, found.verdict)
            return
        try:
            yield from self._apply(source, run, found, tries=tries)
        except Outdated as outdated:
            if tries <= 1:
                self._not_applied(source, run, found.decided, outdated)
            else:
                yield from self._reach(source, look, message, tries=tries - 1)

    def _notice(self, source: HeldSource, look: Look, message: Message) -> None:
        """The commit is only remembered, so that people see what waits."""
        commit = commit_of(source.settings.id, message["commit"])

        def write(tx: Any) -> None:
            sources.add_commits(tx.connection, [commit])

        self._looks.nothing_to_do(source, look, commit.sha, [write])

    def _left_alone(self, source: HeldSource, look: Look, *, again: bool) -> bool:
        """Whether nothing is done with the commit unless somebody asks for it."""
        if source.state.pinned_commit is not None and look.pin is None:
            return True
        return not (look.force or look.retry or look.commit) and (again or not source.settings.auto)

    def _show(self, run: Run, found: Judgement) -> None:
        """A dry run: it leaves its run behind, and nothing else."""
        look, verdict = run.look, found.verdict
        told = plan_data(run, found.decided, found.contents, verdict)
        errors = verdict.errors if verdict is not None else ()
        now = self._around.clock.now()
        row = run.row(told["phase"], now, found.decided, errors, told["message"])

        def write(tx: Any) -> None:
            syncs.put_run(tx.connection, row)

        def done(outcome: Outcome) -> None:
            failed = {"phase": "failed", "code": "NOT_SAVED", "message": str(outcome.error)}
            look.answer(told if outcome.error is None else {**told, **failed})

        self._around.starter.transact(writes=[write], done=done)

    def _run(self, source: HeldSource, look: Look, message: Message, now: datetime) -> Run:
        return Run(
            id=self._around.starter.new_id(),
            source_id=source.settings.id,
            look=look,
            message=message,
            before=source.state.applied_commit,
            started=now,
        )

    def _end(self, source: HeldSource, run: Run, decided: SyncPlan, verdict: Verdict) -> None:
        """The commit is not applied; the last good one keeps running."""
        now, message = self._around.clock.now(), verdict.message
        phase = verdict.phase
        source.working = None
        if run.look.commit is None:
            source.state = refused(
                source.state,
                run.sha,
                kind=verdict.kind,
                code=verdict.code,
                message=message,
                now=now,
            )
        row = run.row(phase, now, decided, verdict.errors, message)
        commit = commit_of(source.settings.id, run.message["commit"])
        items = [sync_item(item, run.sha) for item in decided.changes]
        reports = self._reports(source, run, row)

        def write(tx: Any) -> None:
            syncs.put_run(tx.connection, row)
            syncs.add_outgoing(tx.connection, reports)
            syncs.add_items(tx.connection, run.id, items)
            sources.add_commits(tx.connection, [commit])

        told = {"source": source.settings.id, "commit": run.sha, "run": run.id}
        event(log, logging.WARNING, f"git.{phase}", message, **told)
        result = {**run.result(phase, decided, verdict.errors, message), "code": verdict.code}
        self._records.save(source, [write], lambda: run.look.answer(result))

    def _apply(
        self, source: HeldSource, run: Run, found: Judgement, *, tries: int
    ) -> Iterator[None]:
        now = self._around.clock.now()
        job = self._application(source, run, found, now)
        yield from self._ready(job)
        after = self._after(source, run, found.contents, now)
        write = self._written(source, run, found, job, after)

        def done(outcome: Outcome) -> None:
            source.applying = False
            self._done_with(source)
            job.forget(self._around.database.begin)
            if isinstance(outcome.error, Outdated) and tries > 1:
                look, message = run.look, run.message
                work = self._reach(source, look, message, tries=tries - 1)
                self._begin(source, look, message, work)
                return
            source.working = None
            if outcome.error is not None:
                self._not_applied(source, run, found.decided, outcome.error)
            else:
                self._applied(source, run, found, job, after)

        source.applying = True
        self._around.starter.transact(writes=[write], done=done)

    def _application(
        self, source: HeldSource, run: Run, found: Judgement, now: datetime
    ) -> Application:
        return Application(
            source=source.settings,
            run_id=run.id,
            plan=found.decided,
            contents=found.contents,
            manifest=source.manifest,
            commit=run.message["commit"],
            commits=run.message["commits"],
            ref=run.message["ref"],
            now=now,
            triggers=self._around.triggers,
        )

    def _after(
        self, source: HeldSource, run: Run, contents: Contents, now: datetime
    ) -> SourceState:
        """How the source stands once the commit is applied."""
        after = applied(
            source.state,
            now,
            commit=run.sha,
            run_id=run.id,
            digest=self._records.digest(source.settings),
            rewritten=bool(run.message["rewritten"]),
            skipped=len(contents.invalid),
        )
        if source.settings.self_heal:
            after = edited(after, source.holding, now)
        if run.look.commit is not None:
            after = _gone_to(after, source, run)
        if run.look.pin is not None:
            after = pinned(after, now, run.look.pin)
        return after

    def _written(
        self, source: HeldSource, run: Run, found: Judgement, job: Application, after: SourceState
    ) -> Write:
        """All that one transaction writes of a commit that is applied."""
        contents, decided, now = found.contents, found.decided, job.now
        starts = self._pushed(source, run, contents, decided)
        row = run.row("succeeded", now, decided, contents.errors, "")
        reports = self._reports(source, run, row)
        audited = decided_by_people(self._around, run, decided.digest)

        def write(tx: Any) -> None:
            job.write(tx)
            syncs.put_run(tx.connection, row)
            syncs.add_outgoing(tx.connection, reports)
            put_starts(tx, source.settings.id, run.sha, starts, now)
            sources.put_source(tx.connection, source_row(source.settings, after, now))
            for audit in audited:
                audit(tx)

        return write

    def _applied(
        self, source: HeldSource, run: Run, found: Judgement, job: Application, after: SourceState
    ) -> None:
        """The commit is live: who waits for it is told, and what the push starts begins."""
        around = self._around
        source.state = after
        source.manifest = job.new_manifest
        if run.look.commit is not None:
            source.read_digest = ""
        now = around.clock.now()
        around.measures.took("git_apply", (now - run.started).total_seconds())
        told = {"source": source.settings.id, "commit": run.sha, "run": run.id}
        event(log, logging.INFO, "git.applied", **told)
        around.on_flows_changed(job.changed)
        around.push_starts.asked()
        around.push_starts.tick(around.clock.now())
        run.look.answer(run.result("succeeded", found.decided, found.contents.errors, ""))

    def _ready(self, job: Application) -> Iterator[None]:
        """Make the rows of a commit ready; when that fails, nothing of them stays."""
        database = self._around.database
        try:
            yield from job.prepare(database.read, database.begin)
        except Exception:
            job.forget(database.begin)
            raise

    def _pushed(
        self, source: HeldSource, run: Run, contents: Contents, decided: SyncPlan
    ) -> list[Start]:
        older = bool(run.message["rewritten"]) and not run.message["commits"]
        if source.settings.disable_triggers or run.look.commit is not None or older:
            return []
        push = push_of(
            run.message, source.settings.id, source.settings.shown_url, source.state.applied_commit
        )
        there = {item.key for item in decided.items if item.desired is not None}
        own = [flow for flow in contents.flows if flow.desired.key in there]
        gone = {item.key for item in decided.items}
        with self._around.database.read() as connection:
            others = listeners(connection, source.settings.id, gone)
            kept = without_switched_off(connection, [*own, *others])
        judge = judge_of(self._around.database, self._around.settle)
        return starts_of(push, kept, self._around.starter.new_id, own=there, judge=judge)

    def _reports(self, source: HeldSource, run: Run, row: syncs.SyncRun) -> list[syncs.Outgoing]:
        """What the forge is told: the end of every sync, and of a named commit that it is live."""
        if run.look.commit is None:
            return of_run(source.settings, row, str(run.message["ref"]))
        if row.phase != "succeeded":
            # What an old commit has said of itself stays true.
            return []
        ref = source.state.observed_ref or source.settings.ref_name
        return of_run(source.settings, row, ref)

    def _not_applied(
        self, source: HeldSource, run: Run, decided: SyncPlan, error: Exception
    ) -> None:
        """The store did not take it: not the commit's fault, so the next poll tries again."""
        log.error("git.failed source=%s commit=%s", source.settings.id, run.sha, exc_info=error)
        now = self._around.clock.now()
        source.working = None
        source.read_digest = ""
        source.state = unreachable(
            source.state, source.settings, now, code="APPLY_FAILED", message=str(error)
        )
        row = run.row("failed", now, decided, [], str(error))
        reports = self._reports(source, run, row)

        def write(tx: Any) -> None:
            syncs.put_run(tx.connection, row)
            syncs.add_outgoing(tx.connection, reports)

        result = run.result("failed", decided, [], str(error))
        self._records.save(source, [write], lambda: run.look.answer(result))


def _gone_to(after: SourceState, source: HeldSource, run: Run) -> SourceState:
    """A named commit was applied: what the ref points to is as it was, and is read anew."""
    digest = f"{after.config_digest.partition(':')[0]}:{run.look.trigger}"
    return replace(after, failed_commit=source.state.failed_commit, config_digest=digest)
