"""The secrets of a namespace as its page lists them: names, never values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from penstock_runner.jobs.secrets import Names, Secrets, named_in, names_for
from penstock_server.config import fault_of
from penstock_server.store.queries import FlowFilter, all_flows, briefs

SHOWN_FLOWS = 12

Name = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One secret; `last` is when a flow that names it last ran."""

    name: str
    source: str
    fault: str | None
    flows: tuple[Name, ...]
    more: int
    last: datetime | None


def rows(connection: Any, secrets: Secrets, namespace: str) -> tuple[Row, ...]:
    """The secrets that flows of a namespace may read, with those that name them."""
    names = names_for(secrets, namespace)
    if not names:
        return ()
    users = _users(connection, namespace)
    ran = _last_runs(connection, users)
    return tuple(_row(secrets, name, users, ran) for name in names)


def _row(
    secrets: Secrets,
    name: str,
    users: Mapping[Name, Names],
    ran: Mapping[Name, datetime],
) -> Row:
    flows = [flow for flow, named in users.items() if named is not None and name in named]
    return Row(
        name=name,
        source=secrets.source(name),
        fault=fault_of(secrets, name),
        flows=tuple(flows[:SHOWN_FLOWS]),
        more=max(0, len(flows) - SHOWN_FLOWS),
        last=max((ran[flow] for flow in flows if flow in ran), default=None),
    )


def _users(connection: Any, namespace: str) -> dict[Name, Names]:
    """The flows of a namespace and below that name secrets."""
    found = all_flows(connection, FlowFilter(namespace=namespace))
    named = {
        (one.stored.namespace, one.stored.id): _named(one.stored.source)
        for one in found
        if "secret" in one.stored.source
    }
    return {flow: names for flow, names in named.items() if names}


def _last_runs(connection: Any, flows: Mapping[Name, object]) -> dict[Name, datetime]:
    recents: Mapping[Name, Sequence[briefs.Recent]] = briefs.recents(connection, list(flows), 1)
    return {flow: ones[0].created_at for flow, ones in recents.items() if ones}


@lru_cache(maxsize=5000)
def _named(source: str) -> Names:
    return named_in(source)
