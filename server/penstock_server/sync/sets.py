"""The plan for flows that come at once and belong to nobody: bulk calls and imports of the API.

The same planner as for commits decides. Nothing is owned afterwards; what a source keeps is changed
in its repository, unless it allows edits here, and is never deleted by such a call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from penstock_server.store import flows
from penstock_server.sync.deciding import live_flow
from penstock_server.sync.plan import Desired, Key, Live, Options, SyncPlan, plan

_NEVER = 10**9


def plan_for_set(
    connection: Any,
    texts: Mapping[Key, str],
    *,
    cleared: Collection[str],
    edits: Callable[[str], str],
) -> SyncPlan:
    """Compare texts with what is stored; in the namespaces that are `cleared` nothing else stays.

    `edits` says what a source thinks of edits. A person who names a namespace means it, so no guard
    of deletions holds.
    """
    wanted = [
        Desired(namespace=namespace, id=flow_id, path="", digest=flows.digest(text))
        for (namespace, flow_id), text in texts.items()
    ]
    options = Options(source=None, min=_NEVER, allow_empty=True, protected=())
    return plan(wanted, _live(connection, texts, cleared, edits), {}, options)


def _live(
    connection: Any,
    texts: Mapping[Key, str],
    cleared: Collection[str],
    edits: Callable[[str], str],
) -> list[Live]:
    found = {
        (head.namespace, head.id): head
        for namespace in cleared
        for head in flows.list_heads(connection, namespace=namespace)
        if head.namespace == namespace and head.managed_by is None
    }
    found |= flows.heads(connection, list(texts))
    return [_as_free(head, edits) for head in found.values()]


def _as_free(head: flows.Head, edits: Callable[[str], str]) -> Live:
    """A flow whose source allows edits may be saved like one of nobody."""
    live = live_flow(head)
    if live.managed_by is None or edits(live.managed_by) != "allow":
        return live
    return Live(
        namespace=live.namespace,
        id=live.id,
        revision=live.revision,
        digest=live.digest,
        deleted=live.deleted,
    )
