"""From what a commit holds to a plan: the stored flows are read and compared."""

from __future__ import annotations

from typing import Any

from penstock_server.store import flows
from penstock_server.sync.desired import Contents, Manifest, bases
from penstock_server.sync.plan import Live, Options, SyncPlan, plan
from penstock_server.sync.settings import SourceSettings


def decide(
    connection: Any,
    settings: SourceSettings,
    contents: Contents,
    manifest: Manifest,
    *,
    reconfigured: bool,
    confirmed: str | None,
) -> SyncPlan:
    """Compare a commit with the flows of its source, and with others that have the same name."""
    desired = [flow.desired for flow in contents.flows]
    mine = flows.list_heads(connection, managed_by=settings.id)
    known = {(head.namespace, head.id) for head in mine}
    other = flows.heads(connection, [one.key for one in desired if one.key not in known])
    live = [_live(head) for head in (*mine, *other.values())]
    options = Options(
        source=settings.id,
        prune=settings.prune,
        percent=settings.prune_limit.percent,
        min=settings.prune_limit.min,
        allow_empty=settings.allow_empty,
        protected=settings.protected,
        adopt=settings.adopt,
        invalid=contents.invalid,
        reconfigured=reconfigured,
        confirmed=confirmed,
    )
    return plan(desired, live, bases(manifest), options)


def _live(head: flows.Head) -> Live:
    return Live(
        namespace=head.namespace,
        id=head.id,
        revision=head.revision,
        digest=head.digest,
        managed_by=head.managed_by,
        deleted=head.deleted,
    )
