"""The same action on many executions: those named by id, or all that a query finds.

One that does not suit refuses all: nothing is done, and the answer names each with its reason. Core
checks all of them before it acts on the first; what the store shows already, it is not asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from penstock_server.api import parameters
from penstock_server.api.actions import deletion_flags, label_list
from penstock_server.api.answers import counted, json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.problems import BulkRefused, Problem, illegal_argument
from penstock_server.api.sources import json_of
from penstock_server.core.client import CoreRefused
from penstock_server.core.rules import rule_of
from penstock_server.core.shapes import Json
from penstock_server.store import queries

MAX_AT_ONCE = 10_000
# Core checks and acts on so many a second at least.
A_SECOND = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """One action, named as core's rules name it.

    `arguments` reads what the action needs besides the executions; `ids` finds the ids in a body.
    """

    name: str
    method: str = "POST"
    path: str | None = None
    arguments: Callable[[], Json] = dict
    ids: Callable[[Any], Any] = lambda body: body

    @property
    def below(self) -> str:
        """Where the two routes are."""
        return f"/{self.name}" if self.path is None else self.path


def _new_status() -> Json:
    status = parameters.state(parameters.required(request.args, "newStatus"), "newStatus")
    if not status.terminal:
        raise illegal_argument(
            "You can only change the status of an execution to a terminal state."
        )
    return {"status": status.value}


def _labels() -> Json:
    body = json_of(request)
    given = body.get("executionLabels") if isinstance(body, dict) else body
    return {"labels": label_list(given, {})}


def _deletion() -> Json:
    any_state = parameters.flag(request.args, "includeNonTerminated", default=False)
    return {**deletion_flags(), "any_state": any_state}


ACTIONS = (
    Bulk(name="restart"),
    Bulk(name="kill", method="DELETE", arguments=lambda: {"cascade": False, "children": True}),
    Bulk(name="resume", arguments=lambda: {"inputs": None}),
    Bulk(name="pause"),
    Bulk(name="replay"),
    Bulk(name="change-status", arguments=_new_status),
    Bulk(
        name="labels",
        arguments=_labels,
        ids=lambda body: body.get("executionsId") if isinstance(body, dict) else None,
    ),
    Bulk(name="unqueue"),
    Bulk(name="force-run"),
    Bulk(name="delete", method="DELETE", path="", arguments=_deletion),
)


def blueprint(context: WebContext) -> Blueprint:
    """`by-ids` and `by-query` of every action."""
    routes = Blueprint("bulk", __name__, url_prefix="/executions")
    for action in ACTIONS:
        for kind, view in (("by-ids", _by_ids), ("by-query", _by_query)):
            routes.add_url_rule(
                f"{action.below}/{kind}",
                f"{action.name}_{kind}",
                partial(view, context, action),
                methods=[action.method],
            )
    return routes


def _by_ids(context: WebContext, action: Bulk) -> Response:
    arguments = action.arguments()
    ids = action.ids(json_of(request))
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        raise Problem(422, "a list of execution ids is needed", reason="Invalid json mapping")
    ids = list(dict.fromkeys(ids))
    if len(ids) > MAX_AT_ONCE:
        raise illegal_argument(f"at most {MAX_AT_ONCE} executions at once")
    with context.database.read() as connection:
        states = queries.states_of(connection, ids)
    return _act(context, action, ids, states, arguments)


def _by_query(context: WebContext, action: Bulk) -> Response:
    arguments = action.arguments()
    wanted = parameters.execution_filter(request.args, context.clock.now())
    with context.database.read() as connection:
        found = queries.execution_states(connection, wanted, MAX_AT_ONCE + 1)
    if len(found) > MAX_AT_ONCE:
        raise illegal_argument(f"the query finds more than {MAX_AT_ONCE} executions: narrow it")
    return _act(context, action, [name for name, _ in found], dict(found), arguments)


def _act(
    context: WebContext,
    action: Bulk,
    ids: Sequence[str],
    states: Mapping[str, str],
    arguments: Json,
) -> Response:
    rule = rule_of(action.name, any_state=bool(arguments.get("any_state")))
    allowed = {state.value for state in rule.states}
    invalids = [
        {"message": rule.unsuited if name in states else "execution not found", "path": name}
        for name in ids
        if states.get(name) not in allowed
    ]
    if invalids:
        raise BulkRefused(action.name, invalids)
    if not ids:
        return counted(0)
    asked = {"action": action.name, "ids": list(ids), "arguments": arguments}
    try:
        done = context.client.call("executions.act", timeout=30 + len(ids) / A_SECOND, **asked)
    except CoreRefused as refused:
        if refused.details.get("invalids"):
            raise BulkRefused(action.name, refused.details["invalids"]) from None
        raise
    # What changed while many were acted on one after the other was left out.
    return json_answer(done) if done["invalids"] else counted(done["count"])
