"""Which flows listen to pushes of a source without coming from it, and which are switched off.

A flow says so by the `source` of its push trigger; it may come from another source, or from none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from penstock_runner.flow.parse import parse_flow
from penstock_server.store import flows, triggers
from penstock_server.sync.desired import PUSH, FlowText
from penstock_server.sync.plan import Desired, Key


def listeners(connection: Any, source_id: str, own: Collection[Key]) -> list[FlowText]:
    """The flows outside a source's own that name it in a push trigger."""
    states = triggers.list_states(connection, type_=PUSH)
    names = {(state.namespace, state.flow_id) for state in states} - set(own)
    found = [_read(connection, key) for key in sorted(names)]
    return [flow for flow in found if flow is not None and _names(flow, source_id)]


def without_switched_off(connection: Any, found: Iterable[FlowText]) -> list[FlowText]:
    """The flows without those of their push triggers that a person has switched off."""
    off = set(triggers.switched_off(connection))
    kept: list[FlowText] = []
    for flow in found:
        one = flow.desired
        push = [known for known in flow.push if (*one.key, known["id"]) not in off]
        if push:
            kept.append(replace(flow, push=push))
    return kept


def _read(connection: Any, key: Key) -> FlowText | None:
    namespace, flow_id = key
    stored = flows.revision(connection, namespace, flow_id)
    if stored is None or stored.deleted:
        return None
    flow = parse_flow(stored.source).flow
    if flow is None:
        return None
    known = [one.model_dump(mode="json") for one in flow.triggers if one.kind == PUSH]
    return FlowText(
        desired=Desired(namespace=namespace, id=flow_id, path="", digest=""),
        commit="",
        disabled=flow.disabled,
        push=known,
    )


def _names(flow: FlowText, source_id: str) -> bool:
    return any((one.get("properties") or {}).get("source") == source_id for one in flow.push)
