"""The pages of Git sources."""

from __future__ import annotations

from flask import Response

from penstock_server.api.context import WebContext
from penstock_server.api.routing import get
from penstock_server.store import sources, syncs
from penstock_server.store.queries import gits as asked
from penstock_server.web import gits
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
        errors, total, message = gits.faults(faulty)
        return self._pages.render(
            "git_source.html",
            row=gits.source_row(source, counts.get(source_id, 0), commits),
            runs=[gits.run_row(run, source, commits) for run in runs],
            errors=errors,
            total=total,
            message=message,
            faulty=faulty,
        )


def _commits(found: list[sources.GitSource]) -> set[tuple[str, str]]:
    return {
        (one.id, sha)
        for one in found
        for sha in (one.applied_commit, one.observed_commit)
        if sha is not None
    }
