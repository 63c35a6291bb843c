"""The rows of triggers, as the texts of their flows ask for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from penstock_runner.engine.state import State
from penstock_runner.flow.model import Flow, Trigger
from penstock_server.store import triggers
from penstock_server.store.triggers import TriggerState

Name = tuple[str, str, str]
_MANY = 50


def name_of(state: TriggerState) -> Name:
    """Namespace, flow and trigger."""
    return (state.namespace, state.flow_id, state.trigger_id)


def find(flow: Flow | None, trigger_id: str) -> Trigger | None:
    """The trigger of a flow with this id."""
    if flow is None:
        return None
    return next((one for one in flow.triggers if one.id == trigger_id), None)


def says(trigger: Trigger, name: str) -> bool:
    """Whether a trigger has a property that switches something on."""
    return trigger.properties.get(name) is True


def stops_after(trigger: Trigger) -> frozenset[str]:
    """The states of its executions in which a trigger switches itself off."""
    failed = {State.FAILED.value} if says(trigger, "stopOnFailure") else set()
    return frozenset(trigger.stop_after) | failed


def digest_of(flow: Flow, trigger: Trigger) -> str:
    """Changes when the trigger is written differently, or its flow is switched off or on."""
    written = trigger.model_dump(mode="json", exclude={"description"})
    text = orjson.dumps([written, flow.disabled], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()


def states_of(
    connection: Any, flows: Sequence[Flow]
) -> Mapping[tuple[str, str], Mapping[str, TriggerState]]:
    """The rows of these flows."""
    found = triggers.of_flows(connection, [(flow.namespace, flow.id) for flow in flows])
    by_flow: dict[tuple[str, str], dict[str, TriggerState]] = {}
    for state in found:
        by_flow.setdefault((state.namespace, state.flow_id), {})[state.trigger_id] = state
    return by_flow
