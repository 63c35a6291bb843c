"""Executions that cannot go on: they end FAILED and say why, rather than wait for ever.

Their flow can no longer be read, or a fault of ours stopped the engine. Neither leaves an engine
that could end them in order, so the end is written beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from penstock_runner.engine import events as e
from penstock_runner.engine.altered import altered
from penstock_runner.engine.state import DONE, Execution, State
from penstock_runner.executor.dispatch import Dispatch
from penstock_runner.executor.held import GivenUp, Held
from penstock_runner.executor.live import PARENT_RUN
from penstock_runner.executor.neighbourhood import news_for_parent, send_cancel
from penstock_runner.executor.store import ExecutionWrite, LogRow, Store, Write
from penstock_runner.flow.model import Level

log = logging.getLogger(__name__)


class Broken:
    """Ends what `Held` found broken, in the batch that found it."""

    def __init__(
        self,
        *,
        store: Store,
        held: Held,
        dispatch: Dispatch,
        on_end: Callable[[Execution], Sequence[Write]],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._held = held
        self._dispatch = dispatch
        self._on_end = on_end
        self._now = now

    def end_all(self) -> list[Execution]:
        """End them, and give them as they are now."""
        working = self._held.working
        found, self._held.broken = self._held.broken, {}
        unborn, working.stillborn = working.stillborn, {}
        stored = self._store.load(list(found)) if found else {}
        ended = [
            self._end(execution, found[execution.id])
            for execution in stored.values()
            if not execution.through
        ]
        for given_up in unborn.values():
            if given_up.new is not None:
                given_up.new.shown = [self._end(given_up.new.base, given_up)]
                ended.extend(given_up.new.shown)
        return ended

    def _end(self, execution: Execution, given_up: GivenUp) -> Execution:
        at = max(self._now(), execution.history[-1][1])
        ended = failed(execution, at)
        new, reason = given_up.new is not None, given_up.reason
        working = self._held.working
        working.touched.pop(execution.id, None)
        changed = {key for key, run in ended.runs.items() if new or run is not execution.runs[key]}
        working.given_up.append(
            ExecutionWrite(
                execution=altered(ended, {"version": execution.version + 1}),
                read_version=None if new else execution.version,
                changed=changed,
                events=[e.Queued(at=at, state=State.FAILED, reason=reason)],
            )
        )
        line = LogRow(
            execution_id=execution.id,
            n=1 if new else self._store.last_line(execution.id) + 1,
            at=at,
            level=Level.ERROR.value,
            message=reason,
            namespace=execution.namespace,
            flow_id=execution.flow_id,
        )
        working.last_words.append(line)
        for row in self._store.jobs():
            if row.execution_id == execution.id:
                self._drop_job((row.execution_id, row.key, row.attempt))
        working.mail.extend(news_for_parent(execution.facts.get(PARENT_RUN), ended, None, None))
        working.writes.extend(self._on_end(ended))
        working.after.extend(partial(waiter, ended) for waiter in given_up.waiters)
        return ended

    def _drop_job(self, job: tuple[str, str, int]) -> None:
        seat = self._dispatch.seat_of(job)
        if seat is not None:
            self._held.working.after.append(lambda: send_cancel(seat, job))
        else:
            self._dispatch.free(job)
        self._held.working.jobs_ended.append(job)


def failed(execution: Execution, at: datetime) -> Execution:
    """The execution with everything in it that has not ended FAILED."""
    end = (State.FAILED, at)
    runs = {
        key: run if run.state.terminal else altered(run, {"history": (*run.history, end)})
        for key, run in execution.runs.items()
    }
    facts = {**execution.facts, "stage": DONE}
    changes = {"history": (*execution.history, end), "runs": runs, "facts": facts}
    return altered(execution, changes)
