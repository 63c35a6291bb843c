"""Which commit is meant: by its id or the beginning of it, `~1` for the one before, or a run."""

from __future__ import annotations

import re
from typing import Any

from penstock_server.store import sources, syncs

_FULL = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BEGINNING = re.compile(r"[0-9a-f]{4,63}")
_BACK = re.compile(r"~(\d{1,3})")


class UnknownCommit(Exception):
    """No commit is known by this name; for HTTP that is a 404."""

    status = 404


def commit_named(connection: Any, source_id: str, applied: str | None, name: str) -> str:
    """The full id of the commit that a person names; raises `UnknownCommit`."""
    wanted = name.strip()
    if _FULL.fullmatch(wanted.lower()):
        return wanted.lower()
    back = _BACK.fullmatch(wanted)
    if back is not None:
        return _earlier(connection, source_id, applied, int(back[1]))
    run = syncs.run(connection, wanted) if wanted else None
    if run is not None and run.source_id == source_id and run.to_commit is not None:
        return run.to_commit
    if not _BEGINNING.fullmatch(wanted.lower()):
        raise UnknownCommit(
            f"{wanted[:80]!r} names no commit: give a commit id, the first characters of one that"
            " was looked at, `~1` for the commit applied before, or the id of a run"
        )
    found = sources.commits_beginning(connection, source_id, wanted.lower())
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownCommit(f"{wanted} begins several commits: {', '.join(found)}")
    raise UnknownCommit(
        f"source {source_id!r} has looked at no commit that begins with {wanted}:"
        " give all 40 characters of it"
    )


def _earlier(connection: Any, source_id: str, applied: str | None, steps: int) -> str:
    """The commit applied so many commits before the present one."""
    known = [sha for sha, _ in sources.applied_commits(connection, source_id)]
    place = known.index(applied) + steps if applied in known else len(known)
    if place >= len(known):
        raise UnknownCommit(
            f"source {source_id!r} remembers no commit that was applied {steps} before the present"
        )
    return known[place]
