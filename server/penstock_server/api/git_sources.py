"""Declaring Git sources, letting go of them, and who did so.

What proves who we are to a host is taken and never shown again. A source of the configuration is
changed there, not here.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request

from penstock_server.api import git_status, parameters, routing
from penstock_server.api.answers import json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.git import row_to_json
from penstock_server.api.git_calls import call, known_source
from penstock_server.api.problems import Problem, conflict, illegal_argument
from penstock_server.api.routing import delete, get, post, put
from penstock_server.api.sources import json_of
from penstock_server.core.shapes import iso, without_nulls
from penstock_server.store import audits, queries
from penstock_server.store.audits import AuditEvent
from penstock_server.sync.deliveries import signed_delivery
from penstock_server.sync.forge_calls import forge_of


class SourceRoutes:
    """The routes below `/git` that change which sources there are."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @put("/sources/<source_id>")
    def declare(self, source_id: str) -> Response:
        """Add a source, or give one that the API has made other settings: all of them."""
        settings = json_of(request)
        if not isinstance(settings, dict):
            raise Problem(422, "settings are a JSON object", reason="Invalid json mapping")
        answer = call(self._context, "git.declare", source_id, settings=settings)
        with self._context.database.read() as connection:
            row = queries.source(connection, source_id)
            described = git_status.described(connection, [row] if row is not None else [])
        status = HTTPStatus.CREATED if answer["created"] else HTTPStatus.OK
        shown = row_to_json(row) if row is not None else {"id": source_id}
        return json_answer({**shown, **(described[0] if described else {})}, status)

    @delete("/sources/<source_id>")
    def remove(self, source_id: str) -> Response:
        """Let go of a source, with its flows when `?prune=true`; those of settings answer 409."""
        with self._context.database.read() as connection:
            known_source(connection, source_id)
        prune = parameters.flag(request.args, "prune", default=False)
        return json_answer(call(self._context, "git.remove", source_id, prune=prune))

    @post("/sources/<source_id>/webhook/test")
    def signed(self, source_id: str) -> Response:
        """A push as a forge would send it to this source, signed, for who wants to send it."""
        with self._context.database.read() as connection:
            row = known_source(connection, source_id)
        hook = self._context.git_hooks.get(source_id)
        if hook is None:
            raise conflict(
                f"source '{source_id}' hears no webhook: set `webhook.secretSecret` to the name of"
                " a secret that the service has"
            )
        forge = request.args.get("forge") or hook.forge
        if forge == "auto":
            forge = (forge_of(row["url"]) or "generic").removesuffix("-dc")
        try:
            made = signed_delivery(
                forge,
                hook.secrets[0],
                identity=secrets.token_hex(16),
                url=row["url"],
                ref=row["observed_ref"] or f"refs/heads/{row['ref']}",
                commit=row["observed_commit"],
                now=self._context.clock.now(),
            )
        except ValueError as error:
            raise illegal_argument(str(error)) from None
        path = f"/api/v1/git/webhooks/{source_id}"
        told = {"forge": forge, "path": path, "headers": dict(made.headers)}
        return json_answer({**told, "body": made.body.decode()})

    @get("/audit")
    def audit(self) -> Response:
        """Who changed, confirmed, rolled back and overrode what, newest first; `?subject=`."""
        paging = parameters.paging(request.args)
        with self._context.database.read() as connection:
            found, total = audits.page(
                connection,
                subject=request.args.get("subject") or None,
                offset=(paging.page - 1) * paging.size,
                limit=paging.size,
            )
        return paged([_event(one) for one in found], total)


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/git`."""
    return routing.blueprint("git_sources", "/git", SourceRoutes(context))


def _event(event: AuditEvent) -> dict[str, Any]:
    return without_nulls(
        {
            "id": event.id,
            "at": iso(event.at),
            "actor": event.actor,
            "action": event.action,
            "subject": event.subject,
            "details": event.details,
        }
    )
