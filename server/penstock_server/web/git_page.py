"""The pages of Git sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from penstock_server.api.context import WebContext
from penstock_server.api.routing import get
from penstock_server.store import flows, sources, syncs
from penstock_server.store.queries import gits as asked
from penstock_server.web import git_changes, gits
from penstock_server.web.errors import Missing
from penstock_server.web.pages import Pages

SHOWN_RUNS = 30


class GitPages:
    """The routes below `/git`."""

    def __init__(self, context: WebContext, frame: Pages) -> None:
        self._context = context
        self._pages = frame

    @get("/git")
    def listed(self) -> Response:
        """All sources."""
        with self._context.database.read() as connection:
            found = sources.list_sources(connection)
            counts = asked.flows_of_sources(connection)
            commits = asked.commits_named(connection, _commits(found))
        rows = [gits.source_row(one, counts.get(one.id, 0), commits) for one in found]
        return self._pages.render("git.html", rows=rows)

    @get("/git/<source_id>")
    def show(self, source_id: str) -> Response:
        """One source: what runs, what was seen, what is wrong, what was done."""
        with self._context.database.read() as connection:
            source = sources.source(connection, source_id)
            if source is None:
                raise Missing(
                    f"No Git source {source_id[:60]}", "Sources are named in the configuration."
                )
            counts = asked.flows_of_sources(connection)
            runs = syncs.runs(connection, source_id, limit=SHOWN_RUNS)
            named = {*_commits([source]), *((source_id, run.to_commit or "") for run in runs)}
            commits = asked.commits_named(connection, named)
        faulty = gits.last_with_errors(runs, source)
        errors, total, message = gits.faults(faulty, source)
        return self._pages.render(
            "git_source.html",
            row=gits.source_row(source, counts.get(source_id, 0), commits),
            runs=[gits.run_row(run, source, commits) for run in runs],
            errors=errors,
            total=total,
            message=message,
            faulty=faulty,
            confirm=_to_confirm(source, runs),
            named=_shown(source.conditions or (), errors),
        )

    @get("/git/runs/<run_id>")
    def run(self, run_id: str) -> Response:
        """What one run did, or why it did nothing."""
        with self._context.database.read() as connection:
            run = syncs.run(connection, run_id)
            source = sources.source(connection, run.source_id) if run is not None else None
            if run is None or source is None:
                raise Missing(f"No run {run_id[:60]}", "Old runs are forgotten after a while.")
            items = syncs.items(connection, run_id)
            texts = flows.texts(connection, git_changes.names_of(items))
            commits = asked.commits_named(connection, {(source.id, run.to_commit or "")})
            kept = {sha for sha, _ in sources.applied_commits(connection, source.id)}
        errors, total, message = gits.faults(run, source)
        refused = run.phase == "refused" and "Confirm plan" in message
        return self._pages.render(
            "git_run.html",
            source=source,
            run=run,
            row=gits.run_row(run, source, commits),
            changes=git_changes.done(items, texts),
            applied=run.phase == "succeeded" and not run.dry_run,
            errors=errors,
            warnings=gits.warnings(run, source),
            total=total,
            message=message,
            confirm=run.plan_digest if refused else None,
            back=source.origin != "deploy" and source.enabled and run.to_commit in kept,
        )


def _to_confirm(source: sources.GitSource, runs: list[syncs.SyncRun]) -> syncs.SyncRun | None:
    """The run that a guard has held back, when it is of the commit that waits."""
    if not any(one.get("code") == "PRUNE_BLOCKED" for one in source.conditions or ()):
        return None
    last = next((run for run in runs if not run.dry_run and run.trigger != "rollback"), None)
    return last if last is not None and last.phase == "refused" else None


def _shown(conditions: Sequence[Mapping[str, Any]], errors: Sequence[Any]) -> list[Any]:
    """The conditions that nothing else on the page says."""
    said = {"InvalidFiles", "OwnershipConflict"} if errors else set()
    return [one for one in conditions if one.get("type") not in said]


def _commits(found: list[sources.GitSource]) -> set[tuple[str, str]]:
    return {
        (one.id, sha)
        for one in found
        for sha in (one.applied_commit, one.observed_commit)
        if sha is not None
    }
