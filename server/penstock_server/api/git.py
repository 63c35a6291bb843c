"""Git sources: their status, looking now, what runs did, pushed deploys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from pydantic.alias_generators import to_camel

from penstock_server.api import deploys, git_status, parameters, routing
from penstock_server.api.actors import actor
from penstock_server.api.answers import json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.deployed_files import deployed
from penstock_server.api.git_calls import SYNC_SECONDS, known_source
from penstock_server.api.problems import not_found
from penstock_server.api.routing import get, post
from penstock_server.core.shapes import Json, iso, without_nulls
from penstock_server.store import queries

HIDDEN = frozenset({"config", "config_digest"})
COLOURS = {
    "Synced": "#2a7a3f",
    "Degraded": "#a33",
    "OutOfSync": "#8a6d1a",
    "Progressing": "#2a5a9a",
}


class GitRoutes:
    """The routes below `/git`."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/sources")
    def sources(self) -> Response:
        """All sources with their status."""
        with self._context.database.read() as connection:
            rows = queries.sources(connection)
            more = git_status.described(connection, rows)
        told = [{**row_to_json(row), **one} for row, one in zip(rows, more, strict=True)]
        return json_answer(told)

    @get("/health")
    def health(self) -> Response:
        """Whether all sources are fine; an error only for those who ask with `?fail=degraded`."""
        with self._context.database.read() as connection:
            bad = [row["id"] for row in queries.sources(connection) if row["status"] == "Degraded"]
        failing = bool(bad) and request.args.get("fail") == "degraded"
        status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
        return json_answer({"status": "DOWN" if bad else "UP", "degraded": bad}, status)

    @get("/sources/<source_id>")
    def source(self, source_id: str) -> Response:
        """One source with its status."""
        row = self._row(source_id)
        with self._context.database.read() as connection:
            [more] = git_status.described(connection, [row])
        # Those of the configuration may hold what only an administrator should see.
        settings = {"settings": row["config"]} if row["origin"] == "api" else {}
        return json_answer({**row_to_json(row), **more, **settings})

    @get("/sources/<source_id>/badge.svg")
    def badge(self, source_id: str) -> Response:
        """The status as a small picture."""
        return picture(self._row(source_id)["status"])

    @get("/sources/<source_id>/runs")
    def runs(self, source_id: str) -> Response:
        """What was done, newest first, one page."""
        self._row(source_id)
        paging = parameters.paging(request.args)
        with self._context.database.read() as connection:
            found, total = queries.runs_of_source(connection, source_id, paging)
        return paged([row_to_json(run.values) for run in found], total)

    @get("/runs/<run_id>")
    def run(self, run_id: str) -> Response:
        """One run with its items."""
        with self._context.database.read() as connection:
            found = queries.sync_run(connection, run_id)
        if found is None:
            raise not_found(f"there is no run '{run_id}'")
        items = [row_to_json(item) for item in found.items]
        return json_answer({**row_to_json(found.values), "items": items})

    @post("/apply")
    def apply(self) -> Response:
        """Deploy the files of a request as a commit of a source: all of them, or none."""
        given = deployed(request)
        body = given.body
        sent = deploys.read(
            body,
            given.texts,
            others=given.others,
            executable=given.executable,
            storage=self._context.storage,
            catalogue=self._context.registry,
            actor=str(body.get("actor") or actor(self._context)),
            now=self._context.clock.now(),
            strict=parameters.flag(request.args, "strict", default=False),
        )
        answer = self._context.client.call(
            "git.apply",
            timeout=SYNC_SECONDS,
            source=sent.source,
            url=sent.url,
            found=sent.found,
            actor=str(body.get("actor") or actor(self._context)),
            prune=parameters.flag(request.args, "prune", default=False),
            strict=parameters.flag(request.args, "strict", default=False),
            dry_run=parameters.flag(request.args, "dryRun", default=False),
            via="watch" if body.get("via") == "watch" else "ci",
            confirm=request.args.get("confirm") or None,
        )
        return json_answer({"warnings": sent.warnings, **answer})

    def _row(self, source_id: str) -> dict[str, Any]:
        with self._context.database.read() as connection:
            return known_source(connection, source_id)


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/git`."""
    return routing.blueprint("git", "/git", GitRoutes(context))


def row_to_json(row: Mapping[str, Any]) -> Json:
    """A row with the names that clients see; settings are not shown, they may hold secrets."""
    return without_nulls(
        {
            to_camel(name): iso(value) if isinstance(value, datetime) else value
            for name, value in row.items()
            if name not in HIDDEN
        }
    )


def picture(status: str) -> Response:
    """A badge as an answer that nobody keeps."""
    answer = Response(drawn(status), mimetype="image/svg+xml")
    answer.headers["Cache-Control"] = "no-cache"
    return answer


def drawn(status: str) -> str:
    """A badge."""
    colour = COLOURS.get(status, "#666")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="20" role="img">'
        '<rect width="40" height="20" fill="#444"/>'
        f'<rect x="40" width="80" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="20" y="14">flows</text><text x="80" y="14">{escape(status)}</text>'
        "</g></svg>"
    )
