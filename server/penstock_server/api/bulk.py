"""The same action on many executions: those named by id, or all that a query finds.

One that does not suit refuses all: nothing is done, and the answer names each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from penstock_runner.engine.state import TERMINAL, State
from penstock_server.api import parameters
from penstock_server.api.actions import deletion_flags, label_list
from penstock_server.api.answers import counted
from penstock_server.api.context import WebContext
from penstock_server.api.problems import BulkRefused, Problem, illegal_argument
from penstock_server.api.sources import json_of
from penstock_server.core.shapes import Json
from penstock_server.store import queries

MAX_AT_ONCE = 10_000
SIDE_BY_SIDE = 16

NOT_ENDED = frozenset(State) - TERMINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """One action: what core is asked, of which states, and what is said of the others.

    `arguments` reads what the action needs besides the executions; `ids` finds the ids in a body.
    """

    name: str
    operation: str
    method: str = "POST"
    path: str | None = None
    states: Collection[State] = frozenset(State)
    unsuited: str = ""
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
    parameters.flag(request.args, "includeNonTerminated", default=False)
    return dict(deletion_flags())


ACTIONS = (
    Bulk(
        name="restart",
        operation="execution.restart",
        states={State.FAILED},
        unsuited="execution not in state FAILED",
    ),
    Bulk(
        name="kill",
        operation="execution.kill",
        method="DELETE",
        states=NOT_ENDED,
        unsuited="execution already finished",
        arguments=lambda: {"cascade": False},
    ),
    Bulk(
        name="resume",
        operation="execution.resume",
        states={State.PAUSED},
        unsuited="execution not in state PAUSED",
        arguments=lambda: {"inputs": None},
    ),
    Bulk(
        name="pause",
        operation="execution.pause",
        states={State.RUNNING},
        unsuited="execution not in state RUNNING",
    ),
    Bulk(name="replay", operation="execution.replay"),
    Bulk(
        name="change-status",
        operation="execution.status",
        states=TERMINAL,
        unsuited="execution not terminated",
        arguments=_new_status,
    ),
    Bulk(
        name="labels",
        operation="execution.labels",
        states=TERMINAL,
        unsuited="execution not terminated",
        arguments=_labels,
        ids=lambda body: body.get("executionsId") if isinstance(body, dict) else None,
    ),
    Bulk(
        name="unqueue",
        operation="execution.unqueue",
        states={State.QUEUED},
        unsuited="execution not in state QUEUED",
    ),
    Bulk(
        name="force-run",
        operation="execution.force",
        states=NOT_ENDED,
        unsuited="execution is terminated",
    ),
    Bulk(
        name="delete",
        operation="execution.delete",
        method="DELETE",
        path="",
        states=TERMINAL,
        unsuited="execution not terminated",
        arguments=_deletion,
    ),
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
    allowed: Collection[str] = {state.value for state in action.states}
    if action.name == "delete" and request.args.get("includeNonTerminated", "").lower() == "true":
        allowed = {state.value for state in State}
    invalids = [
        {"message": action.unsuited if name in states else "execution not found", "path": name}
        for name in ids
        if states.get(name) not in allowed
    ]
    if invalids:
        raise BulkRefused(action.name, invalids)
    call = partial(context.client.call, action.operation, **arguments)
    if len(ids) <= SIDE_BY_SIDE:
        for name in ids:
            call(id=name)
    else:
        # Core commits what comes together together, so many calls side by side cost few commits.
        with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
            list(threads.map(lambda name: call(id=name), ids))
    return counted(len(ids))
