"""How each flow stands beside what its Git source has: one word a flow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from penstock_server.api import parameters, routing
from penstock_server.api.answers import paged
from penstock_server.api.context import WebContext
from penstock_server.api.git_calls import known_source
from penstock_server.api.git_status import errors_of
from penstock_server.api.routing import get
from penstock_server.core.shapes import Json, without_nulls
from penstock_server.store import flows, queries, sources

IN_SYNC = "InSync"
OUT_OF_SYNC = "OutOfSync"
INVALID = "Invalid in Git"
UNMANAGED = "Unmanaged"
MISSING = "Missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A flow of a source, as it is here; without a revision it is only there."""

    namespace: str
    id: str
    path: str
    status: str
    revision: int | None = None
    held: bool = False


def status_of_flow(connection: Any, record: queries.FlowRecord) -> str:
    """How one flow stands."""
    if record.managed_by is None:
        return UNMANAGED
    path = str((record.stored.git or {}).get("path") or "")
    return _word(path, _invalid(connection, record.managed_by), drifted=record.drifted)


def standings(connection: Any, source_id: str) -> list[Standing]:
    """All flows that a source keeps, or had when it was last applied, by name."""
    row = queries.source(connection, source_id)
    applied = row["applied_commit"] if row is not None else None
    held = sources.manifest(connection, source_id, applied) if applied is not None else None
    invalid = _invalid(connection, source_id)
    there = {
        (head.namespace, head.id): head
        for head in flows.list_heads(connection, managed_by=source_id)
    }
    paths = {
        (item["namespace"], item["id"]): str(entry["path"])
        for entry in (held.entries if held is not None else ())
        for item in entry["items"]
    }
    found: list[Standing] = []
    for key in sorted({*there, *paths}):
        head, path = there.get(key), paths.get(key, "")
        status = MISSING
        if head is not None:
            # What the commit does not have any more was kept on purpose.
            status = _word(path, invalid, drifted=head.drifted or key not in paths)
        found.append(
            Standing(
                namespace=key[0],
                id=key[1],
                path=path,
                status=status,
                revision=head.revision if head is not None else None,
                held=head is not None and head.held is not None,
            )
        )
    return found


def _word(path: str, invalid: Collection[str], *, drifted: bool) -> str:
    if path in invalid:
        return INVALID
    return OUT_OF_SYNC if drifted else IN_SYNC


def _invalid(connection: Any, source_id: str) -> set[str]:
    """The files that are broken in the commit which was not applied, or not wholly."""
    row = queries.source(connection, source_id)
    if row is None:
        return set()
    return {str(error["path"]) for error in errors_of(connection, row) if error.get("path")}


class GitFlowRoutes:
    """The routes below `/git` about the flows of a source."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/sources/<source_id>/flows")
    def flows(self, source_id: str) -> Response:
        """The flows of a source with how each stands, one page; `?status=` chooses some."""
        paging, wanted = parameters.paging(request.args), request.args.get("status")
        with self._context.database.read() as connection:
            known_source(connection, source_id)
            found = standings(connection, source_id)
        chosen = [one for one in found if wanted is None or one.status == wanted]
        start = (paging.page - 1) * paging.size
        shown = [_to_json(one) for one in chosen[start : start + paging.size]]
        return paged(shown, len(chosen))


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/git` about the flows of a source."""
    return routing.blueprint("git_flows", "/git", GitFlowRoutes(context))


def _to_json(one: Standing) -> Json:
    told: Mapping[str, Any] = {
        "namespace": one.namespace,
        "id": one.id,
        "path": one.path or None,
        "revision": one.revision,
        "status": one.status,
        "held": True if one.held else None,
    }
    return without_nulls(dict(told))
