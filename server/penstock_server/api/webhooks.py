"""Webhook triggers: an address with a key in it that starts a flow.

A flow that asks for a signature gets one checked over the raw bytes before anything is parsed.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, request

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.variables import trigger_map
from penstock_runner.flow.model import Flow, Trigger
from penstock_server.api import routing
from penstock_server.api.answers import empty, json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.executions import WAIT_SECONDS, started
from penstock_server.api.library import Library
from penstock_server.api.problems import Problem, conflict, not_found
from penstock_server.api.routing import get, post, put
from penstock_server.api.webhook_rules import WebhookConditions, signed
from penstock_server.core.shapes import Json
from penstock_server.scheduler.webhook import body_value, find_trigger

MAX_BODY = 26 * 1024 * 1024
START_SECONDS = 30.0
# A WSGI server loses the case of header names; flows ask for these as their senders write them.
SPELLED = {
    name.title(): name
    for name in ("X-GitHub-Event", "X-GitHub-Delivery", "X-GitHub-Hook-ID", "X-GitLab-Token")
}


class WebhookRoutes:
    """The three methods of one address."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library
        self._conditions = WebhookConditions(context.expressions)

    @get("/webhook/<namespace>/<flow_id>/<key>")
    @put("/webhook/<namespace>/<flow_id>/<key>")
    @post("/webhook/<namespace>/<flow_id>/<key>")
    def fire(self, namespace: str, flow_id: str, key: str) -> Response:
        """Start the flow whose webhook trigger has this key, when its conditions hold."""
        flow = self._flow(namespace, flow_id)
        trigger = self._trigger(flow, key)
        raw = _raw_body()
        self._check_signature(flow, trigger, raw)
        variables = {
            "body": body_value(raw),
            "headers": self._headers(),
            "parameters": dict(request.args.lists()),
        }
        own = trigger_map(trigger.id, trigger.type, variables)
        seen = {**_variables(flow), "trigger": own}
        if not self._conditions.hold(flow, trigger, seen, self._context.clock.now()):
            return empty()
        wait = trigger.properties.get("wait") is True
        answer: Json = self._context.client.call(
            "webhook.fire",
            timeout=WAIT_SECONDS if wait else START_SECONDS,
            namespace=namespace,
            flow_id=flow_id,
            trigger_id=trigger.id,
            trigger={"id": trigger.id, "type": trigger.type},
            variables=variables,
            wait=wait,
        )
        execution = answer.get("execution")
        if execution is None:
            return empty()
        if wait and trigger.properties.get("returnOutputs") is True:
            return _outputs(trigger, self._context.veil_json(execution))
        return started(self._context, execution)

    def _flow(self, namespace: str, flow_id: str) -> Flow:
        known = self._library.latest(namespace, flow_id)
        if known is None or known.flow is None:
            raise not_found("Flow not found")
        if known.record.stored.disabled:
            raise conflict("Cannot execute a disabled flow")
        return known.flow

    def _trigger(self, flow: Flow, key: str) -> Trigger:
        found = find_trigger(flow, key, lambda text: self._rendered(flow, text))
        if found is None:
            raise not_found("Webhook not found")
        if found.disabled:
            raise conflict(f"The trigger '{found.id}' is disabled")
        return found

    def _rendered(self, flow: Flow, text: object) -> str | None:
        """A property as text; what cannot be rendered equals nothing."""
        if not isinstance(text, str):
            return None if text is None else str(text)
        try:
            return self._context.expressions.render(text, _variables(flow))
        except ExpressionFailed:
            return None

    def _check_signature(self, flow: Flow, trigger: Trigger, raw: bytes) -> None:
        wanted = trigger.properties.get("signature")
        if wanted is None:
            return
        proven = False
        if isinstance(wanted, dict):
            given = wanted.get("secret")
            written = given if isinstance(given, list | tuple) else [given]
            secrets = [self._rendered(flow, one) or "" for one in written]
            now = self._context.clock.now()
            proven = signed(wanted, secrets, raw, dict(request.headers.items()), now)
        if not proven:
            raise Problem(401, "the signature of this call is missing or wrong")

    def _headers(self) -> dict[str, list[str]]:
        """The headers as lists; what proves who called this server stays out of executions."""
        private = {"Cookie"} | ({"Authorization"} if self._context.settings.basic_auth else set())
        return {
            SPELLED.get(name, name): request.headers.getlist(name)
            for name in request.headers.keys()  # noqa: SIM118 - pairs otherwise
            if name not in private
        }


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The three methods of one address."""
    return routing.blueprint("webhooks", "/executions", WebhookRoutes(context, library))


def _variables(flow: Flow) -> dict[str, Any]:
    """What expressions of a webhook trigger see of its flow."""
    return {
        "flow": {"id": flow.id, "namespace": flow.namespace},
        "labels": dict(flow.labels),
        "vars": dict(flow.variables),
    }


def _outputs(trigger: Trigger, execution: Json) -> Response:
    """The outputs of the execution, as JSON or as the text of the only one."""
    outputs = execution.get("outputs") or {}
    code = trigger.properties.get("responseCode")
    status = code if isinstance(code, int) else 200
    kind = str(trigger.properties.get("responseContentType") or "application/json")
    if kind == "application/json":
        answer = json_answer(outputs)
        answer.status_code = status
        return answer
    values = list(outputs.values())
    only = values[0] if len(values) == 1 else outputs
    text = only if isinstance(only, str) else json.dumps(only)
    return Response(text, status=status, content_type=kind)


def _raw_body() -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise _too_large()
    # One byte more than is allowed tells a body that is too large.
    request.max_content_length = MAX_BODY + 1
    raw = request.get_data(cache=False, parse_form_data=False)
    if len(raw) > MAX_BODY:
        raise _too_large()
    return raw


def _too_large() -> Problem:
    return Problem(413, f"a webhook's body has at most {MAX_BODY // 1024 // 1024} MiB")
