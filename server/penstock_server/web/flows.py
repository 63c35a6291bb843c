"""The values of the pages of flows: the list by namespace, the head of one flow. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock_server.api.library import KnownFlow
from penstock_server.store.queries import FlowRecord
from penstock_server.store.queries.briefs import Name, Recent
from penstock_server.web import formats, spans, states, strips
from penstock_server.web.strips import Spark


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRow:
    """One flow in the list."""

    namespace: str
    id: str
    description: str
    sparks: tuple[Spark, ...]
    state: str | None
    last: datetime | None
    usual: float | None
    next: datetime | None
    git: Mapping[str, Any] | None
    disabled: bool
    faulty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowHead:
    """What every tab of a flow begins with."""

    namespace: str
    id: str
    description: str
    revision: int
    latest: int
    git: Mapping[str, Any] | None
    updated: datetime
    disabled: bool
    drifted: bool
    gone: bool
    managed_by: str | None
    standing: str
    held: bool
    fault: str
    state: str | None
    told: str
    next: datetime | None
    labels: tuple[tuple[str, str], ...]


def flow_row(
    known: KnownFlow, recents: Sequence[Recent], following: datetime | None, now: datetime
) -> FlowRow:
    """The row of a flow."""
    stored = known.record.stored
    flow = known.flow
    return FlowRow(
        namespace=stored.namespace,
        id=stored.id,
        description=beginning(flow.description if flow is not None else None),
        sparks=strips.sparks(recents, now),
        state=recents[0].state if recents else None,
        last=recents[0].created_at if recents else None,
        usual=spans.usual(recents),
        next=None if stored.disabled else following,
        git=stored.git,
        disabled=stored.disabled,
        faulty=flow is None,
    )


def grouped(rows: Sequence[FlowRow]) -> list[tuple[str, list[FlowRow]]]:
    """Rows by namespace, in their order."""
    found: dict[str, list[FlowRow]] = {}
    for row in rows:
        found.setdefault(row.namespace, []).append(row)
    return list(found.items())


def flow_head(
    known: KnownFlow,
    recents: Sequence[Recent],
    following: datetime | None,
    now: datetime,
    standing: str,
) -> FlowHead:
    """The head of a flow."""
    record, stored, flow = known.record, known.record.stored, known.flow
    state = recents[0].state if recents else None
    return FlowHead(
        namespace=stored.namespace,
        id=stored.id,
        description=(flow.description or "") if flow is not None else "",
        revision=stored.revision,
        latest=record.latest,
        git=stored.git,
        updated=record.updated_at,
        disabled=stored.disabled,
        drifted=record.drifted,
        gone=record.gone,
        managed_by=record.managed_by,
        standing=standing if record.managed_by is not None else "",
        held=record.held is not None,
        fault="" if flow is not None else "; ".join(str(f) for f in known.parsed.errors[:3]),
        state=state,
        told=_told(recents[0], now) if recents else "",
        next=None if stored.disabled else following,
        labels=tuple(flow.labels.items()) if flow is not None else (),
    )


def sources_named(records: Sequence[FlowRecord]) -> str:
    """Where the flows come from, in a few words."""
    managed = sum(1 for record in records if record.managed_by is not None)
    if not records or managed == 0:
        return ""
    return "All from Git" if managed == len(records) else f"{managed:,} from Git"


def names_of(records: Sequence[FlowRecord]) -> list[Name]:
    """Namespace and id of each."""
    return [(record.stored.namespace, record.stored.id) for record in records]


def _told(newest: Recent, now: datetime) -> str:
    word = states.label(newest.state)
    if newest.ended_at is None:
        return f"{word}, {formats.rough((now - newest.created_at).total_seconds())}"
    return f"{word}, {formats.moment(newest.ended_at, now)}"


def beginning(text: str | None) -> str:
    """The first paragraph of a description, cut between words."""
    return textwrap.shorten((text or "").strip().partition("\n\n")[0], 120, placeholder=" …")
