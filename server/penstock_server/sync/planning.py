"""A plan as it is told: what a sync would do, flow by flow, as plain data."""

from __future__ import annotations

from typing import Any

from penstock_server.sync.desired import Contents
from penstock_server.sync.plan import Item, SyncPlan
from penstock_server.sync.rows import Run
from penstock_server.sync.verdicts import Verdict

MOST_TEXTS = 200
_WRITTEN = ("added", "adopted", "updated", "pruned")


def changes_anything(decided: SyncPlan) -> bool:
    """Whether a plan writes to any flow."""
    return any(decided.counts.get(name) for name in _WRITTEN)


def item_data(item: Item) -> dict[str, Any]:
    """One line of a plan."""
    return {
        "kind": item.kind,
        "action": item.action.value,
        "namespace": item.namespace,
        "id": item.name,
        "path": item.desired.path if item.desired is not None else None,
        "fromRevision": (item.live.revision or None) if item.live is not None else None,
        "toRevision": item.next_revision,
        "drifted": item.drifted,
        "movedTo": list(item.moved_to) if item.moved_to is not None else None,
    }


def plan_data(
    run: Run, decided: SyncPlan, contents: Contents, verdict: Verdict | None
) -> dict[str, Any]:
    """All of a plan; the first items hold the new `text`, for whoever shows the difference."""
    texts = {flow.desired.key: flow.text for flow in contents.flows}
    items: list[dict[str, Any]] = []
    for item in decided.changes:
        told = item_data(item)
        if len(items) < MOST_TEXTS and item.is_flow:
            told["text"] = texts.get(item.key)
        items.append(told)
    phase = "succeeded" if changes_anything(decided) else "noop"
    result = run.result(
        verdict.phase if verdict is not None else phase,
        decided,
        verdict.errors if verdict is not None else contents.errors,
        verdict.message if verdict is not None else "",
    )
    return {
        **result,
        "dryRun": True,
        "changed": changes_anything(decided),
        "applicable": verdict is None,
        "code": verdict.code if verdict is not None else None,
        "items": items,
    }
