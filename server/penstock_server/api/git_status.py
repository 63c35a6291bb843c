"""How Git sources stand, for clients: the row, and the commits and flows behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from penstock_server.core.shapes import Json, iso, without_nulls
from penstock_server.store import syncs
from penstock_server.store.queries import gits
from penstock_server.store.sources import GitCommit

Row = Mapping[str, Any]
Commits = Mapping[tuple[str, str], GitCommit]


def described(connection: Any, rows: Iterable[Row]) -> list[Json]:
    """What is known of sources beyond their rows, in the order of the rows."""
    found = list(rows)
    named = {
        (row["id"], row[which])
        for row in found
        for which in ("applied_commit", "observed_commit", "failed_commit")
        if row[which] is not None
    }
    commits = gits.commits_named(connection, named)
    managed = gits.flows_of_sources(connection)
    edited = gits.edited_flows(connection)
    return [
        {
            "applied": {
                **_commit(commits, row, "applied_commit"),
                **without_nulls({"at": _moment(row["applied_at"]), "run": row["applied_run_id"]}),
            },
            "observed": {
                **_commit(commits, row, "observed_commit"),
                **without_nulls({"at": _moment(row["observed_at"])}),
                "behind": row["behind"],
            },
            "flows": {
                "managed": managed.get(row["id"], 0),
                "drifted": edited.get(row["id"], 0),
            },
            "errors": errors_of(connection, row),
        }
        for row in found
    ]


def _commit(commits: Commits, row: Row, which: str) -> Json:
    sha = row[which]
    known = commits.get((row["id"], sha or ""))
    if known is None:
        return without_nulls({"commit": sha})
    return without_nulls({"commit": sha, "author": known.author_name, "message": known.subject})


def errors_of(connection: Any, row: Row) -> list[Json]:
    """What is wrong in the files of a commit that was not applied, or not wholly."""
    if not any(one.get("type") == "InvalidFiles" for one in row["conditions"] or ()):
        return []
    for run in syncs.runs(connection, row["id"], limit=5):
        if isinstance(run.errors, Mapping) and not run.dry_run:
            return [dict(one) for one in run.errors.get("items") or ()]
    return []


def _moment(at: datetime | None) -> str | None:
    return None if at is None else iso(at)
