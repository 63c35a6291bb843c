"""What a webhook trigger asks of a call before it starts anything: a signature, and conditions."""

from __future__ import annotations

import base64
import hmac
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock_runner.engine.state import Execution, State, TriggerOrigin
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.model import Flow, Trigger
from penstock_runner.flow.types import canonical
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.conditions import evaluate
from penstock_runner.tasks.registry import Registry, UnknownType
from penstock_server.api.context import Expressions
from penstock_server.api.problems import conflict
from penstock_server.sync.signatures import Stale, any_equal
from penstock_server.sync.webhooks import FORGE_NAMES as FORGES
from penstock_server.sync.webhooks import genuine

log = logging.getLogger(__name__)

ALGORITHMS = frozenset({"sha1", "sha256", "sha512"})
OWN = frozenset({"header", "algorithm", "prefix", "encoding"})
SEVERAL = "MultipleCondition"


def signed(
    wanted: Mapping[str, Any],
    secrets: Sequence[str],
    raw: bytes,
    headers: Mapping[str, str],
    now: datetime,
) -> bool:
    """Whether a call bears the signature that a trigger asks for, over the bytes as they came.

    Any of the secrets will do, so that one can be changed for another. A caller of no forge signs
    by the scheme of Standard Webhooks, or in the header that the trigger describes.
    """
    given = {name.lower(): value for name, value in headers.items()}
    usable = [secret for secret in secrets if secret]
    if not usable:
        return False
    described = any(wanted.get(name) is not None for name in OWN)
    forge = wanted.get("forge") or ("generic" if "webhook-signature" in given else None)
    if described or forge is None:
        return _own(wanted, usable, raw, given)
    try:
        return forge in FORGES and genuine(forge, given, raw, usable, now, allow_sha1=False)
    except Stale:
        return False


def _own(
    wanted: Mapping[str, Any], secrets: Sequence[str], raw: bytes, given: Mapping[str, str]
) -> bool:
    """A signature in a header that the trigger describes."""
    algorithm = str(wanted.get("algorithm") or "sha256")
    if algorithm not in ALGORITHMS:
        return False
    # A sender may say the algorithm before the digest, or not.
    prefix = wanted.get("prefix")
    prefixes = ["", f"{algorithm}="] if prefix is None else [str(prefix)]
    expected: list[str] = []
    for secret in secrets:
        digest = hmac.digest(secret.encode(), raw, algorithm)
        base64_wanted = wanted.get("encoding") == "base64"
        encoded = base64.b64encode(digest).decode() if base64_wanted else digest.hex()
        expected += [one + encoded for one in prefixes]
    header = str(wanted.get("header") or "X-Signature-256").lower()
    return any_equal(given.get(header, ""), expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendering:
    """Renders what conditions are written with, as `binding` wants it."""

    expressions: Expressions
    variables: Mapping[str, Any]

    def text(self, template: str) -> str | None:
        return self.expressions.render(template, self.variables)

    def typed(self, value: object) -> object:
        return self._through(value, typed=True)

    def deep(self, value: object) -> object:
        return self._through(value, typed=False)

    def _through(self, value: object, *, typed: bool) -> object:
        if isinstance(value, str):
            render = self.expressions.render_typed if typed else self.expressions.render
            return render(value, self.variables)
        if isinstance(value, Mapping):
            return {key: self._through(one, typed=typed) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._through(one, typed=typed) for one in value]
        return value


class WebhookConditions:
    """Evaluates the conditions of webhook triggers."""

    def __init__(self, expressions: Expressions) -> None:
        self._expressions = expressions
        self._types = Registry()

    def hold(
        self, flow: Flow, trigger: Trigger, variables: Mapping[str, Any], now: datetime
    ) -> bool:
        """Whether all hold for the execution that would be made; one that fails does not."""
        if any(_several(one) for one in trigger.conditions):
            raise conflict(f"invalid webhook: conditions of type {SEVERAL} are not supported")
        sent = variables.get("trigger") or {}
        execution = Execution(
            id="",
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision or 0,
            history=((State.CREATED, now),),
            labels=flow.labels,
            trigger=TriggerOrigin(id=trigger.id, type=trigger.kind, variables=sent),
        )
        render = _Rendering(expressions=self._expressions, variables=variables)
        return all(
            self._holds(flow, trigger, condition, render, execution)
            for condition in trigger.conditions
        )

    def _holds(
        self,
        flow: Flow,
        trigger: Trigger,
        condition: Mapping[str, Any],
        render: _Rendering,
        execution: Execution,
    ) -> bool:
        try:
            return evaluate(
                condition,
                render,
                self._types.load,
                namespace=flow.namespace,
                flow_id=flow.id,
                execution=execution,
            )
        except (ExpressionFailed, TaskFailed, UnknownType) as failed:
            where = f"{flow.namespace}.{flow.id}"
            log.info("%s: a condition of webhook %s counts as false: %s", where, trigger.id, failed)
            return False


def _several(condition: Mapping[str, Any]) -> bool:
    if canonical(str(condition.get("type", ""))).endswith(f".{SEVERAL}"):
        return True
    parts = condition.get("conditions")
    nested = parts if isinstance(parts, list | tuple) else ()
    return any(_several(part) for part in nested if isinstance(part, Mapping))
