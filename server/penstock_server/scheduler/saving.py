"""What becomes of the rows of triggers when flows are saved.

A trigger that is as before keeps its state; one that was changed begins anew from now, but stays
switched off when a person has done that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock_runner.flow.model import Flow, Trigger
from penstock_server.scheduler.flow_triggers import listening
from penstock_server.scheduler.reading import Reading
from penstock_server.scheduler.rows import digest_of, states_of
from penstock_server.scheduler.schedules import KINDS
from penstock_server.store import triggers
from penstock_server.store.bulk import Bound
from penstock_server.store.staging import Staging
from penstock_server.store.triggers import TriggerState

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ReadyTriggers:
    """Rows of triggers to write; `fewer` are flows that have only these triggers left.

    Of the flows themselves only this is kept: which of their triggers listen to other flows.
    """

    listening: dict[tuple[str, str], frozenset[str]]
    rows: list[Bound] = field(default_factory=list)
    fewer: list[tuple[str, str, list[str]]] = field(default_factory=list)


class Saving:
    """Writes rows in the transaction that saves the flows."""

    def __init__(self, reading: Reading, polls: Callable[[str], bool]) -> None:
        self._reading = reading
        self._polls = polls

    def save(self, tx: Any, flows: Sequence[Flow], now: datetime) -> None:
        """Make the rows of these flows what their texts say, in a few statements."""
        self.write(tx, self.ready(tx.connection, flows, now))

    def ready(self, connection: Any, flows: Sequence[Flow], now: datetime) -> ReadyTriggers:
        """The rows that these flows will have, to be written later."""
        before = states_of(connection, flows)
        made = ReadyTriggers(
            listening={(flow.namespace, flow.id): listening(flow) for flow in flows}
        )
        for flow in flows:
            known = before.get((flow.namespace, flow.id), {})
            made.rows += [triggers.bound(row) for row in self._new_rows(flow, known, now)]
            kept = [trigger.id for trigger in flow.triggers]
            if known.keys() - set(kept):
                made.fewer.append((flow.namespace, flow.id, kept))
        return made

    def stage(self, tx: Any, made: ReadyTriggers, staging: Staging) -> None:
        """Put rows aside that were made ready."""
        triggers.stage_bound(tx, made.rows, staging)
        made.rows.clear()

    def write(self, tx: Any, made: ReadyTriggers) -> None:
        """Write rows that were made ready."""
        for namespace, flow_id, kept in made.fewer:
            triggers.remove(tx.connection, namespace, flow_id, keep=kept)
        triggers.put_bound(tx, made.rows)

    def _new_rows(
        self, flow: Flow, before: Mapping[str, TriggerState], now: datetime
    ) -> Iterator[TriggerState]:
        for trigger in flow.triggers:
            known = before.get(trigger.id)
            digest = digest_of(flow, trigger)
            if known is not None and known.digest == digest:
                continue
            yield TriggerState(
                namespace=flow.namespace,
                flow_id=flow.id,
                trigger_id=trigger.id,
                type=trigger.kind,
                digest=digest,
                updated_at=now,
                next_date=self._first(flow, trigger, now),
                execution_id=known.execution_id if known is not None else None,
                disabled=known.disabled if known is not None else False,
                last_date=known.last_date if known is not None else None,
                body={"off": True} if flow.disabled or trigger.disabled else None,
            )

    def _first(self, flow: Flow, trigger: Trigger, now: datetime) -> datetime | None:
        if flow.disabled or trigger.disabled:
            return None
        if self._polls(trigger.kind):
            return now
        if trigger.kind not in KINDS:
            return None
        plan = self._reading.plan(flow, trigger)
        first = plan.first(now) if plan is not None else None
        if plan is not None and first is None:
            where = f"{flow.namespace}.{flow.id}"
            log.warning("%s: trigger %s never fires: it has no date to come", where, trigger.id)
        return first
