"""The runners that have been seen, with what they offer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from penstock_runner.flow.offers import Offer
from penstock_server.store import upserts
from penstock_server.store.schema import runners


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerRow:
    """One runner as it last said it was."""

    name: str
    labels: tuple[str, ...]
    slots: int
    started_at: datetime
    seen_at: datetime
    busy: int = 0
    namespaces: tuple[str, ...] = ()
    protected: bool = False

    @property
    def offer(self) -> Offer:
        """What it takes."""
        return Offer(
            labels=frozenset(self.labels), namespaces=self.namespaces, protected=self.protected
        )


def put(connection: Connection, runner: RunnerRow) -> None:
    """Remember a runner, over what was known of it."""
    upserts.put(connection, runners, [upserts.values_of(runner)])


def list_runners(connection: Connection) -> list[RunnerRow]:
    """All runners by name."""
    found = connection.execute(select(runners).order_by(runners.c.name)).mappings()
    return [
        RunnerRow(
            **{
                **row,
                "labels": tuple(row["labels"]),
                "namespaces": tuple(row["namespaces"] or ()),
            }
        )
        for row in found
    ]


def offers_since(connection: Connection, moment: datetime) -> dict[str, Offer]:
    """What the runners take that were heard of since a moment, by name."""
    return {row.name: row.offer for row in list_runners(connection) if row.seen_at >= moment}


def forget(connection: Connection, before: datetime) -> int:
    """Forget runners not seen since; how many."""
    return connection.execute(delete(runners).where(runners.c.seen_at < before)).rowcount
