"""Deleting an execution: its jobs are stopped, its slot goes to the next, its rows go."""

from __future__ import annotations

from dataclasses import replace

from penstock_runner.engine.state import Execution, State
from penstock_runner.executor.dispatch import Dispatch
from penstock_runner.executor.held import Held
from penstock_runner.executor.inbox import Remove
from penstock_runner.executor.live import PARENT_RUN
from penstock_runner.executor.messages import Outcome, Refused
from penstock_runner.executor.neighbourhood import news_for_parent, send_cancel
from penstock_runner.executor.slots import Slots
from penstock_runner.executor.store import KEEPABLE, Store


class Removals:
    """Deletes executions within the batch under construction."""

    def __init__(self, store: Store, held: Held, dispatch: Dispatch, slots: Slots) -> None:
        self._store = store
        self._held = held
        self._dispatch = dispatch
        self._slots = slots

    def asked(self, message: Remove) -> None:
        """Delete one execution, whatever its state."""
        live = self._held.get(message.execution_id)
        execution = self.unreadable(message.execution_id) if live is None else live.execution()
        if execution is None:
            self._held.answer_failure(message, Refused("execution not found", status=404))
            return
        self.remove(execution, message)
        if message.done is not None:
            done = message.done
            self._held.working.after.append(lambda: done(Outcome(executions=(execution,))))

    def unreadable(self, execution_id: str) -> Execution | None:
        """An execution that cannot be held, as its flow cannot be read any more."""
        if execution_id in self._held.working.deleted:
            return None
        return self._store.load([execution_id]).get(execution_id)

    def remove(self, execution: Execution, what: Remove) -> None:
        """Delete an execution that is held, or that nobody can hold."""
        working = self._held.working
        for seat in self._dispatch.seats:
            for job in [job for job in seat.busy if job[0] == execution.id]:
                send_cancel(seat, job)
        if what.also is not None:
            working.writes.append(what.also(execution))
        if not execution.state.terminal:
            # Its parent waits for an end that will never come by itself.
            last = (*execution.history, (State.KILLED, execution.history[-1][1]))
            parent = execution.facts.get(PARENT_RUN)
            killed = replace(execution, history=last)
            working.mail.extend(news_for_parent(parent, killed, None, None))
        # Before its slot goes on: who looks for the next must not read it from the store again.
        working.deleted.append(execution.id)
        live = self._held.lives.get(execution.id)
        if live is not None:
            self._held.drop(live)
            self._slots.release(live)
        else:
            self._held.broken.pop(execution.id, None)
            self._slots.forget()
        working.kept.update((execution.id, name) for name in what.keep & KEEPABLE)
