"""The executions in memory, and what the batch under construction does to them.

A fault in one execution drops what the batch did to it, and only that: the others go on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from penstock_runner.engine.flowables.template import known
from penstock_runner.engine.state import Execution
from penstock_runner.executor.dispatch import Dispatch
from penstock_runner.executor.flows import Flows, LoadedFlow
from penstock_runner.executor.inbox import Message
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import Outcome, Refused
from penstock_runner.executor.store import (
    ExecutionWrite,
    JobRow,
    KvWrite,
    LogRow,
    MailRow,
    Store,
    Write,
)
from penstock_runner.jobs.secrets import named_in, values_named

HELD_EXECUTIONS = 20_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """Why an execution cannot go on, and who waits for its end.

    `new` is the execution when the batch itself creates it, so that no store has it yet.
    """

    reason: str
    waiters: Sequence[Callable[[Execution], None]] = ()
    new: Live | None = None


@dataclass(slots=True)
class Working:
    """The batch under construction."""

    touched: dict[str, Live] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    kv: list[KvWrite] = field(default_factory=list)
    jobs_assigned: list[JobRow] = field(default_factory=list)
    jobs_ended: list[tuple[str, str, int]] = field(default_factory=list)
    timers_ended: list[tuple[str, str, int, str]] = field(default_factory=list)
    mail_ended: list[int] = field(default_factory=list)
    mail: deque[MailRow] = field(default_factory=deque)
    deleted: list[str] = field(default_factory=list)
    kept: set[tuple[str, str]] = field(default_factory=set)
    idempotency: list[tuple[str, str, datetime]] = field(default_factory=list)
    given_up: list[ExecutionWrite] = field(default_factory=list)
    last_words: list[LogRow] = field(default_factory=list)
    stillborn: dict[str, GivenUp] = field(default_factory=dict)
    after: list[Callable[[], None]] = field(default_factory=list)
    handled: list[Message] = field(default_factory=list)


class Held:
    """Executions by id; those that have steps left are in `again`."""

    def __init__(
        self,
        store: Store,
        flows: Flows,
        dispatch: Dispatch,
        constants: Mapping[str, Any],
        decrypt: Callable[[str], str] | None = None,
        secrets: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.lives: dict[str, Live] = {}
        self.again: dict[str, Live] = {}
        # Stored executions that cannot go on; they are ended before the batch is written.
        self.broken: dict[str, GivenUp] = {}
        self.working = Working()
        self._store = store
        self._flows = flows
        self._dispatch = dispatch
        self._constants = dict(constants)
        self._decrypt = decrypt
        self._secrets = secrets

    def new(self, loaded: LoadedFlow, execution: Execution) -> Live:
        """Hold an execution that the batch creates."""
        live = self._made(loaded, execution, new=True)
        self.lives[live.id] = live
        self.working.touched[live.id] = live
        return live

    def _made(self, loaded: LoadedFlow, execution: Execution, *, new: bool) -> Live:
        """In memory; the secrets that its flow names are masked, whichever task asks for them."""
        live = Live(loaded, execution, self._constants, new=new, decrypt=self._decrypt)
        if loaded.secrets is None or loaded.secrets:
            live.mask(values_named(self._secrets, loaded.secrets))
        if templates := known(execution):
            live.mask(values_named(self._secrets, named_in(str(templates))))
        return live

    def get(self, execution_id: str) -> Live | None:
        """The execution, read from the store when it is not in memory."""
        live = self.lives.get(execution_id)
        if live is None:
            execution = self._store.load([execution_id]).get(execution_id)
            if execution is None or execution_id in self.working.deleted:
                return None
            try:
                loaded = self._flows.get(
                    execution.namespace, execution.flow_id, execution.flow_revision
                )
            except Refused as reason:
                if not execution.through:
                    self.broken[execution_id] = GivenUp(
                        reason=f"Revision {execution.flow_revision} of {execution.namespace}."
                        f"{execution.flow_id}, which this execution runs, cannot be read: {reason}"
                    )
                return None
            live = self._made(loaded, execution, new=False)
            live.lines = self._store.last_line(execution_id)
            self.lives[execution_id] = live
        self.working.touched[execution_id] = live
        return live

    def drop(self, live: Live) -> None:
        """Forget what the batch did to an execution."""
        self.lives.pop(live.id, None)
        self.again.pop(live.id, None)
        self.working.touched.pop(live.id, None)
        for row in live.part.jobs:
            self._dispatch.free((row.execution_id, row.key, row.attempt))

    def guarded(self, live: Live, message: Message | None, act: Callable[[], None]) -> bool:
        """Do something to one execution; a fault drops what the batch did to it, and only that.

        The execution itself is ended with the batch, also one that the batch creates: whoever asked
        for that is answered with an execution, which must be there.
        """
        try:
            act()
        except Refused as refused:
            if message is not None:
                self.answer_failure(message, refused)
            return False
        except Exception as fault:
            if hasattr(fault, "status"):
                raise  # the store cannot be read: nothing is wrong with this execution
            log.exception("execution %s: %s failed", live.id, type(message).__name__)
            self.drop(live)
            if live.read_version is None:
                self.working.stillborn[live.id] = _given_up(fault, live.waiters, live)
                return False
            self.give_up(live.id, fault, live.waiters)
            if message is not None:
                self.answer_failure(message, fault)
            return False
        return True

    def give_up(
        self,
        execution_id: str,
        fault: Exception,
        waiters: Sequence[Callable[[Execution], None]],
    ) -> None:
        """A stored execution cannot go on, through a fault of ours."""
        self.broken[execution_id] = _given_up(fault, waiters)

    def answer_failure(self, message: Message, error: Exception) -> None:
        """Tell who asked, after the commit, that it was not done."""
        done = getattr(message, "done", None)
        if done is not None:
            self.working.after.append(lambda: done(Outcome(error=error)))

    def let_go(self) -> None:
        """Forget executions that wait, when there are too many in memory."""
        if len(self.lives) <= HELD_EXECUTIONS:
            return
        for live in list(self.lives.values()):
            if len(self.lives) <= HELD_EXECUTIONS // 2:
                return
            if not (live.busy or live.evaluating or live.waiters):
                del self.lives[live.id]


def _given_up(
    fault: Exception, waiters: Sequence[Callable[[Execution], None]], new: Live | None = None
) -> GivenUp:
    return GivenUp(
        reason="The engine could not go on with this execution, which is a fault of Penstock: "
        f"{type(fault).__name__}: {fault}",
        waiters=waiters,
        new=new,
    )
