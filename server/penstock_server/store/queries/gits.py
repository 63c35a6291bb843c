"""What the pages of Git sources ask: flows of each, and commits by their digest."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, select, tuple_

from penstock_server.store.schema import flows, git_commits
from penstock_server.store.sources import GitCommit


def flows_of_sources(connection: Connection) -> dict[str, int]:
    """How many flows each source manages."""
    query = (
        select(flows.c.managed_by, func.count().label("n"))
        .where(flows.c.managed_by.is_not(None), flows.c.deleted.is_(False))
        .group_by(flows.c.managed_by)
    )
    return {row.managed_by: row.n for row in connection.execute(query)}


def edited_flows(connection: Connection) -> dict[str, int]:
    """How many flows of each source somebody has edited here."""
    query = (
        select(flows.c.managed_by, func.count().label("n"))
        .where(flows.c.managed_by.is_not(None), flows.c.drifted, flows.c.deleted.is_(False))
        .group_by(flows.c.managed_by)
    )
    return {row.managed_by: row.n for row in connection.execute(query)}


def commits_named(
    connection: Connection, wanted: Collection[tuple[str, str]]
) -> dict[tuple[str, str], GitCommit]:
    """These commits (source and digest), as far as they are remembered."""
    query = select(git_commits).where(
        tuple_(git_commits.c.source_id, git_commits.c.sha).in_(list(wanted))
    )
    found = (
        GitCommit(**{**row, "parents": tuple(row["parents"] or ())})
        for row in connection.execute(query).mappings()
    )
    return {(commit.source_id, commit.sha): commit for commit in found}
