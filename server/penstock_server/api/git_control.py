"""What people do to Git sources: look, plan, sync, roll back; and what a run has changed."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request

from penstock_runner.flow.durations import parse_iso
from penstock_server.api import differences, routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.git_calls import call, known_source
from penstock_server.api.problems import Problem, illegal_argument, not_found
from penstock_server.api.routing import get, post
from penstock_server.api.sources import json_of
from penstock_server.core.shapes import Json
from penstock_server.store import syncs


class GitControl:
    """The routes below `/git` that ask something of a source."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @post("/sources/<source_id>/sync")
    def sync(self, source_id: str) -> Response:
        """Look now and apply what is found; with `wait` the answer is the finished run."""
        body = self._body(source_id)
        if body.get("dryRun") is True:
            return self._plan(source_id, body)
        return self._ask("git.sync", source_id, body, aim="apply")

    @post("/sources/<source_id>/refresh")
    def refresh(self, source_id: str) -> Response:
        """Look now, apply nothing."""
        return self._ask("git.sync", source_id, self._body(source_id), aim="refresh")

    @post("/sources/<source_id>/plan")
    def plan(self, source_id: str) -> Response:
        """What a sync would do now, with differences; nothing is applied."""
        return self._plan(source_id, self._body(source_id))

    @get("/sources/<source_id>/plan")
    def plan_of(self, source_id: str) -> Response:
        """The same for those who like to GET; `?commit=` names one."""
        return self._plan(source_id, {**self._body(source_id), **request.args.to_dict()})

    @post("/sources/<source_id>/rollback")
    def rollback(self, source_id: str) -> Response:
        """Apply another commit and stay there, until somebody resumes the source or `until`."""
        body = self._body(source_id)
        to = text_of(body, "to") or text_of(body, "commit")
        if to is None:
            raise illegal_argument("give `to`: a commit, `~1` or the id of a run")
        answer = call(
            self._context,
            "git.rollback",
            source_id,
            to=to,
            reason=text_of(body, "reason"),
            until=until_of(body, self._context.clock.now()),
            confirm=text_of(body, "confirm"),
        )
        return json_answer(answer)

    @post("/sources/<source_id>/resume")
    def resume(self, source_id: str) -> Response:
        """Follow the repository again, from now on."""
        self._body(source_id)
        return json_answer(call(self._context, "git.resume", source_id))

    @get("/runs/<run_id>/diff")
    def difference(self, run_id: str) -> Response:
        """What a run has changed, as a unified difference."""
        with self._context.database.read() as connection:
            if syncs.run(connection, run_id) is None:
                raise not_found(f"there is no run '{run_id}'")
            text = "".join(differences.of_run(connection, syncs.items(connection, run_id)))
        return Response(text, mimetype="text/x-diff")

    def _plan(self, source_id: str, body: Json) -> Response:
        answer = self._call("git.sync", source_id, body, aim="plan", wait=True)
        if "items" not in answer:
            return json_answer(answer)
        with self._context.database.read() as connection:
            return json_answer(differences.with_differences(connection, answer))

    def _ask(self, operation: str, source_id: str, body: Json, **more: Any) -> Response:
        wait = body.get("wait") is True
        answer = self._call(operation, source_id, body, wait=wait, **more)
        return json_answer(answer, HTTPStatus.OK if wait else HTTPStatus.ACCEPTED)

    def _call(self, operation: str, source_id: str, body: Json, **more: Any) -> Json:
        return call(
            self._context,
            operation,
            source_id,
            commit=text_of(body, "commit"),
            confirm=text_of(body, "confirm"),
            accept_rewrite=body.get("acceptRewrite") is True,
            **more,
        )

    def _body(self, source_id: str) -> Json:
        """The options of the request; an unknown source and one that is not fetched are refused."""
        with self._context.database.read() as connection:
            row = known_source(connection, source_id)
        if row["origin"] == "deploy":
            raise Problem(
                409,
                f"source '{source_id}' is deployed to, not fetched: `penstock deploy` changes it",
            )
        if not request.get_data(cache=True):
            return {}
        body = json_of(request)
        if not isinstance(body, dict):
            raise Problem(422, "options are a JSON object", reason="Invalid json mapping")
        return body


def text_of(body: Json, name: str) -> str | None:
    """A text of a body, None when it is not given."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise Problem(422, f"'{name}' is a text", reason="Invalid json mapping")
    return value or None


def until_of(body: Json, now: datetime) -> str | None:
    """The moment that a rollback ends by itself: an instant, or a duration from now."""
    given = text_of(body, "until")
    if given is None:
        return None
    try:
        moment = now + parse_iso(given) if given.startswith("P") else datetime.fromisoformat(given)
    except (ValueError, OverflowError):
        raise illegal_argument(
            f"`until` is {given[:40]!r}: give a moment like 2026-12-31T18:00:00Z, or PT2H"
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).isoformat()


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/git`."""
    return routing.blueprint("git_control", "/git", GitControl(context))
