"""Webhook triggers: an address with a key in it that starts a flow.

A flow that asks for a signature gets one checked over the raw bytes before anything is parsed.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.model import Flow, Trigger
from penstock_runner.flow.types import canonical
from penstock_server.api import routing
from penstock_server.api.answers import empty
from penstock_server.api.context import WebContext
from penstock_server.api.executions import WAIT_SECONDS, started
from penstock_server.api.library import Library
from penstock_server.api.problems import Problem, conflict, not_found
from penstock_server.api.routing import get, post, put
from penstock_server.core.shapes import Json
from penstock_server.scheduler.webhook import body_value, find_trigger

MAX_BODY = 26 * 1024 * 1024
START_SECONDS = 30.0
ALGORITHMS = frozenset({"sha1", "sha256", "sha512"})
FORGES: Mapping[str, Mapping[str, str]] = {
    "github": {"header": "X-Hub-Signature-256", "prefix": "sha256="},
    "gitea": {"header": "X-Gitea-Signature"},
    "forgejo": {"header": "X-Forgejo-Signature"},
    "bitbucket": {"header": "X-Hub-Signature", "prefix": "sha256="},
}
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
        if not self._conditions_hold(flow, trigger, variables):
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
        return empty() if execution is None else started(self._context, execution)

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

    def _conditions_hold(self, flow: Flow, trigger: Trigger, sent: Mapping[str, Any]) -> bool:
        seen = {**_variables(flow), "trigger": sent}
        return all(self._holds(condition, seen) for condition in trigger.conditions)

    def _holds(self, condition: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
        """One condition; one that cannot be evaluated does not hold."""
        kind = canonical(str(condition.get("type", "")))
        nested = condition.get("conditions")
        parts = [part for part in nested or () if isinstance(part, Mapping)]
        match kind.removeprefix("io.kestra.plugin.core.condition."):
            case "Expression":
                try:
                    text = self._context.expressions.render(str(condition["expression"]), seen)
                except (ExpressionFailed, KeyError):
                    return False
                return bool(text and text.strip()) and str(text).strip() != "false"
            case "Not":
                return not any(self._holds(part, seen) for part in parts)
            case "Or":
                return any(self._holds(part, seen) for part in parts)
            case name:
                raise conflict(f"invalid webhook: conditions of type {name} are not supported")

    def _check_signature(self, flow: Flow, trigger: Trigger, raw: bytes) -> None:
        wanted = trigger.properties.get("signature")
        if wanted is None:
            return
        secret = self._rendered(flow, wanted.get("secret")) if isinstance(wanted, dict) else None
        if not secret or not isinstance(wanted, dict) or not signed(wanted, secret, raw):
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


def signed(wanted: Mapping[str, Any], secret: str, raw: bytes) -> bool:
    """Whether the request bears the signature that a trigger asks for."""
    known = FORGES.get(str(wanted.get("forge", "")), {})
    header = str(wanted.get("header") or known.get("header", "X-Signature-256"))
    prefix = str(wanted.get("prefix") or known.get("prefix", ""))
    algorithm = str(wanted.get("algorithm", "sha256"))
    if algorithm not in ALGORITHMS:
        return False
    digest = hmac.digest(secret.encode(), raw, algorithm)
    encoded = base64.b64encode(digest).decode()
    expected = prefix + (encoded if wanted.get("encoding") == "base64" else digest.hex())
    given = request.headers.get(header, "")
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _raw_body() -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise Problem(413, f"a webhook's body has at most {MAX_BODY // 1024 // 1024} MiB")
    return request.get_data(cache=False, parse_form_data=False)
