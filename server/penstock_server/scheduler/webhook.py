"""Webhook triggers, pure: which trigger a key belongs to, and what is seen of the call."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import Any

from penstock_runner.flow.model import Flow, Trigger

WEBHOOK = "io.kestra.plugin.core.trigger.Webhook"
LONGEST_KEY = 256

Render = Callable[[str], str | None]


def find_trigger(flow: Flow, key: str, render: Render) -> Trigger | None:
    """The first webhook trigger of a flow with this key.

    Keys are compared in constant time, and every trigger is looked at, so the time of an answer
    says nothing. A key that cannot be rendered, or is too long, belongs to nobody.
    """
    found: Trigger | None = None
    for trigger in flow.triggers:
        if trigger.kind == WEBHOOK and _same(_key(trigger, render), key) and found is None:
            found = trigger
    return found


def _key(trigger: Trigger, render: Render) -> str | None:
    written = trigger.properties.get("key")
    if not isinstance(written, str):
        return None
    try:
        rendered = render(written)
    except Exception:  # noqa: BLE001 - whatever keeps a key from being rendered, it does not match
        return None
    stripped = (rendered or "").strip()
    return stripped if 0 < len(stripped) <= LONGEST_KEY else None


def _same(expected: str | None, given: str) -> bool:
    equal = hmac.compare_digest((expected or "").encode(), given.encode())
    return equal and expected is not None


def body_value(body: bytes) -> object:
    """A JSON object as a map, a JSON array as a list, else the text; None without a body."""
    if not body:
        return None
    text = body.decode("utf-8", "replace")
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) else text
