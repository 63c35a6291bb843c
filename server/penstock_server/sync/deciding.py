"""From what a commit holds to a plan: the stored flows are read and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock_server.store import flows, namespace_files
from penstock_server.store.flow_batches import Live as Stored
from penstock_server.store.flow_batches import lives
from penstock_server.sync.desired import Contents, Manifest, bases, file_digest
from penstock_server.sync.plan import Key, Live, Options, SyncPlan, plan
from penstock_server.sync.settings import SourceSettings
from penstock_server.sync.suites import live_suites


def decide(
    connection: Any,
    settings: SourceSettings,
    contents: Contents,
    manifest: Manifest,
    *,
    reconfigured: bool,
    confirmed: str | None,
    now: datetime,
) -> SyncPlan:
    """Compare a commit with the flows of its source, and with others that have the same name."""
    return compared(
        settings,
        contents,
        manifest,
        live_of(connection, settings, contents),
        reconfigured=reconfigured,
        confirmed=confirmed,
        holds=flows.holds(connection, settings.id),
        now=now,
    )


def live_of(connection: Any, settings: SourceSettings, contents: Contents) -> list[Live]:
    """What is stored of the source, and of the names that the commit has."""
    return [
        *_live_flows(connection, settings, contents),
        *_files(connection, settings, contents),
        *live_suites(connection, settings.id, contents.tests),
    ]


def compared(
    settings: SourceSettings,
    contents: Contents,
    manifest: Manifest,
    live: Sequence[Live],
    *,
    reconfigured: bool,
    confirmed: str | None,
    holds: Mapping[Key, flows.Hold],
    now: datetime,
) -> SyncPlan:
    """The plan by the rules of the source."""
    options = Options(
        source=settings.id,
        prune=settings.prune,
        percent=settings.prune_limit.percent,
        min=settings.prune_limit.min,
        allow_empty=settings.allow_empty,
        protected=settings.protected,
        adopt=settings.adopt,
        heal=settings.self_heal,
        invalid=contents.invalid,
        reconfigured=reconfigured,
        confirmed=confirmed,
        held=frozenset(key for key, hold in holds.items() if hold.holds(now)),
        released=frozenset(key for key, hold in holds.items() if not hold.holds(now)),
    )
    return plan(contents.desired, live, bases(manifest, flows.digest), options)


def _live_flows(connection: Any, settings: SourceSettings, contents: Contents) -> list[Live]:
    mine = lives(connection, managed_by=settings.id)
    known = {one.name for one in mine}
    named = [flow.desired.key for flow in contents.flows if flow.desired.key not in known]
    return [_as_live(one) for one in (*mine, *lives(connection, names=named))]


def _as_live(one: Stored) -> Live:
    return Live(
        namespace=one.namespace,
        id=one.id,
        revision=one.revision,
        digest=one.digest,
        managed_by=one.managed_by,
        deleted=one.deleted,
    )


def _files(connection: Any, settings: SourceSettings, contents: Contents) -> list[Live]:
    mine = namespace_files.of_source(connection, settings.id)
    known = {file.key for file in mine}
    named = [file.desired.key for file in contents.files if file.desired.key not in known]
    return [
        Live(
            namespace=file.namespace,
            id=file.path,
            revision=0,
            digest=file_digest(file.sha256, executable=file.executable),
            managed_by=file.managed_by,
        )
        for file in (*mine, *namespace_files.at(connection, named))
    ]


def live_flow(head: flows.Head) -> Live:
    """The head of a flow as plans compare it."""
    return Live(
        namespace=head.namespace,
        id=head.id,
        revision=head.revision,
        digest=head.digest,
        managed_by=head.managed_by,
        deleted=head.deleted,
    )
