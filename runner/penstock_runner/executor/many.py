"""The same action on many executions, in one transaction: all of them, or none.

Each is asked first whether the action suits it; one that refuses keeps it from all. `Many` with
`check` only asks, `leave_out` acts on those that agree: with these two, whoever has more to do than
fits into one transaction checks all of it and then acts slice by slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution
from penstock_runner.executor.held import Held
from penstock_runner.executor.inbox import Deed, Many
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import ManyRefused, Outcome, Refusal, Refused, Start
from penstock_runner.executor.removals import Removals
from penstock_runner.executor.starts import Starts

Agreed = tuple[Live, Deed, Sequence[e.Event]]


class Actions:
    """What is done to many executions, within the batch under construction."""

    def __init__(
        self,
        *,
        held: Held,
        starts: Starts,
        now: Callable[[], datetime],
        advance: Callable[[Live], None],
        create: Callable[[Start], Live],
        begin: Callable[[Live], None],
        removals: Removals,
    ) -> None:
        self._held = held
        self._starts = starts
        self._now = now
        self._advance = advance
        self._create = create
        self._begin = begin
        self._removals = removals

    def act(self, many: Many) -> None:
        """Ask all of them, then act on all of them, or on none."""
        agreed: list[Agreed] = []
        refusals: list[Refusal] = []
        for deed in many.deeds:
            try:
                agreed.append(self._asked(deed))
            except Refused as refused:
                refusals.append(Refusal(execution_id=deed.execution_id, reason=str(refused)))
        if refusals and not many.leave_out:
            self._held.answer_failure(many, ManyRefused(refusals))
            return
        done: list[Execution] = []
        if not many.check:
            for live, deed, events in agreed:
                done.append(live.execution())
                self._held.guarded(live, None, partial(self._do, live, deed, events))
        if many.done is not None:
            answer = many.done
            outcome = Outcome(executions=tuple(done), refusals=tuple(refusals))
            self._held.working.after.append(lambda: answer(outcome))

    def _asked(self, deed: Deed) -> Agreed:
        """What the action comes to for one execution; raises `Refused`, and changes nothing."""
        live = self._held.get(deed.execution_id)
        if live is None and self._removals.unreadable(deed.execution_id) is not None:
            raise Refused("the flow of the execution is gone: it can only be deleted, by itself")
        if live is None:
            raise Refused("execution not found", status=404)
        events = deed.make(live, live.time(self._now()))
        if deed.starts is not None:
            self._starts.prepare(deed.starts(live.execution()), deed.execution_id)
        return live, deed, events

    def _do(self, live: Live, deed: Deed, events: Sequence[e.Event]) -> None:
        if deed.removes is not None:
            self._removals.remove(live.execution(), deed.removes)
            return
        if deed.starts is not None:
            child = self._create(deed.starts(live.execution()))
            self._held.guarded(child, None, partial(self._begin, child))
            return
        # Another of them may have moved this one since it was asked.
        at = live.time(self._now())
        for event in events:
            live.feed(replace(event, at=at))
        self._advance(live)
