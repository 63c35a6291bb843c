"""Whether an execution that was created may start now, waits, or ends before it has begun."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from penstock_runner.engine import events as e
from penstock_runner.engine.state import State
from penstock_runner.executor.held import Held
from penstock_runner.executor.live import Live
from penstock_runner.executor.slots import Acts, Slots, waits
from penstock_runner.executor.store import Store, TimerRow
from penstock_runner.flow.model import Level


class Admission:
    """Lets executions begin; `advance` goes on with one as far as its share of the batch allows."""

    def __init__(
        self,
        *,
        store: Store,
        held: Held,
        now: Callable[[], datetime],
        advance: Callable[[Live], None],
    ) -> None:
        self._now = now
        self._advance = advance
        acts = Acts(start=self._start, kill=self._overtaken, cancel=self._passed_over)
        self.slots = Slots(store, held, acts)

    def begin(self, live: Live) -> None:
        """Start an execution that was created, if there is a slot for it."""
        at = live.time(self._now())
        if live.failure is not None:
            live.feed(e.Queued(at=at, state=State.FAILED, reason=live.failure))
            self._advance(live)
        elif live.replay_from is not None:
            live.feed(e.ReplayRequested(at=at, key=live.replay_from), live.shown)
            self._advance(live)
        elif live.base.schedule_date is not None and live.base.schedule_date > at:
            live.part.timers.append(
                TimerRow(
                    execution_id=live.id,
                    key="",
                    attempt=0,
                    purpose="schedule",
                    at=live.base.schedule_date,
                )
            )
            live.part.events.append(e.LabelsSet(at=at, labels={}))
        else:
            self._ask_for_slot(live, at)

    def _ask_for_slot(self, live: Live, at: datetime) -> None:
        rule = live.loaded.flow.concurrency
        if rule is None or self.slots.free(live, rule):
            self._start(live)
        elif waits(rule):
            live.feed(e.Queued(at=at, state=State.QUEUED))
            self._advance(live)
            self.slots.enqueue(live, rule)
        else:
            state = State.CANCELLED if rule.behavior == "CANCEL" else State.FAILED
            live.feed(e.Queued(at=at, state=state))
            self._advance(live)

    def _start(self, live: Live) -> None:
        live.feed(e.Started(at=live.time(self._now())))
        # The children that it starts at once must see the slot taken.
        self.slots.recount(live)
        self._advance(live)

    def _overtaken(self, live: Live, why: str) -> None:
        """A newer execution of the same pool does not wait for this one."""
        at = live.time(self._now())
        live.log(at, Level.WARN, f"Killed: {why}")
        live.feed(e.KillRequested(at=at))
        self._advance(live)

    def _passed_over(self, live: Live, why: str) -> None:
        """A newer execution of the same pool waits, and only the newest does."""
        at = live.time(self._now())
        live.feed(e.Queued(at=at, state=State.CANCELLED, reason=f"Cancelled: {why}"))
        self._advance(live)
