"""Taking one flow back to an earlier revision, also one that a Git source keeps."""

from __future__ import annotations

from flask import Blueprint, Response, request

from penstock_server.api import routing
from penstock_server.api.actors import actor
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.git_control import text_of, until_of
from penstock_server.api.library import Library
from penstock_server.api.problems import Problem, illegal_argument, not_found
from penstock_server.api.routing import post
from penstock_server.api.sources import json_of
from penstock_server.core.shapes import Json


class FlowHoldRoutes:
    """The routes below `/flows` that hold one flow at a revision, and let go of it."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    @post("/<namespace>/<flow_id>/rollback")
    def rollback(self, namespace: str, flow_id: str) -> Response:
        """Give a flow the text of `revision`; syncs leave it alone, until `until` or a resume."""
        body = _body()
        revision = body.get("revision")
        if not isinstance(revision, int) or isinstance(revision, bool) or revision < 1:
            raise illegal_argument("give `revision`, the number of a revision of the flow")
        known = self._library.find(namespace, flow_id, revision)
        if known is None:
            raise not_found(f"there is no revision {revision} of '{namespace}.{flow_id}'")
        # It may be older than rules of today.
        self._library.validated(known.record.stored.source, namespace=namespace)
        answer = self._context.client.call(
            "flow.rollback",
            namespace=namespace,
            id=flow_id,
            revision=revision,
            until=until_of(body, self._context.clock.now()),
            reason=text_of(body, "reason"),
            by=actor(self._context),
        )
        return json_answer(answer)

    @post("/<namespace>/<flow_id>/resume")
    def resume(self, namespace: str, flow_id: str) -> Response:
        """Let the repository have its flow again."""
        answer = self._context.client.call(
            "flow.resume", namespace=namespace, id=flow_id, by=actor(self._context)
        )
        return json_answer(answer)


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/flows` that hold one flow at a revision."""
    return routing.blueprint("flow_holds", "/flows", FlowHoldRoutes(context, library))


def _body() -> Json:
    body = json_of(request)
    if not isinstance(body, dict):
        raise Problem(422, "options are a JSON object", reason="Invalid json mapping")
    return body
