"""The same action on many executions: all of them are checked first, then all are acted on.

What fits into one transaction is done in one, or not at all. More than that is checked slice by
slice, then done slice by slice, so that the work of others comes in between; what no longer suits
by then is left out, and the answer names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.inbox import Deed
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import ManyRefused, Outcome, Refusal, Refused
from penstock_server.core.operations import makes
from penstock_server.core.operations.executions import once_more, removal
from penstock_server.core.operations.makes import Arguments, Make
from penstock_server.core.room import Answer, Operation, Room
from penstock_server.core.rules import Rule, rule_of

AT_ONCE = 100

MAKERS: Mapping[str, Callable[[Arguments], Make]] = {
    "restart": makes.restart,
    "kill": makes.kill,
    "resume": makes.resume,
    "pause": makes.pause,
    "replay": makes.nothing,
    "change-status": makes.status,
    "labels": makes.labels,
    "unqueue": makes.unqueue,
    "force-run": makes.force,
    "delete": makes.nothing,
}


def act(room: Room, a: Arguments, answer: Answer) -> None:
    """Do `action` to the executions `ids`; `arguments` is what the action needs besides."""
    name, more = str(a["action"]), a.get("arguments") or {}
    rule = rule_of(name, any_state=bool(more.get("any_state")))
    make = _suiting(rule, MAKERS[name](more))
    removes = name == "delete"
    deeds = [
        Deed(
            execution_id=execution_id,
            make=make,
            removes=removal(room, execution_id, more) if removes else None,
            starts=once_more if name == "replay" else None,
        )
        for execution_id in a["ids"]
    ]
    after = room.leftovers.gone if removes and more.get("storage", True) else _nothing
    Course(room.executor, deeds, answer, after).begin()


def _nothing(_: Sequence[Execution]) -> None:
    """No more is to be done."""


def _suiting(rule: Rule, make: Make) -> Make:
    def suiting(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state not in rule.states:
            raise Refused(rule.unsuited, status=400)
        return make(live, at)

    return suiting


class Course:
    """One action on its way through its slices."""

    def __init__(
        self,
        executor: Executor,
        deeds: Sequence[Deed],
        answer: Answer,
        after: Callable[[Sequence[Execution]], None],
    ) -> None:
        self._executor = executor
        self._answer = answer
        self._after = after
        self._slices = [deeds[at : at + AT_ONCE] for at in range(0, len(deeds), AT_ONCE)]
        self._refusals: list[Refusal] = []
        self._count = 0

    def begin(self) -> None:
        """Check and act at once, or check all of it first."""
        if len(self._slices) > 1:
            self._check(0)
        else:
            self._act(0, leave_out=False)

    def _check(self, place: int) -> None:
        if place == len(self._slices):
            self._checked()
            return

        def done(outcome: Outcome) -> None:
            if isinstance(outcome.error, ManyRefused):
                self._refusals.extend(outcome.error.refusals)
            elif outcome.error is not None:
                self._answer.fail(outcome.error)
                return
            self._check(place + 1)

        self._executor.act_on_many(self._slices[place], done, check=True)

    def _checked(self) -> None:
        if self._refusals:
            self._refuse()
        else:
            self._act(0, leave_out=True)

    def _act(self, place: int, *, leave_out: bool) -> None:
        if place >= len(self._slices):
            self._answer.ok({"count": self._count, "invalids": _told(self._refusals)})
            return

        def done(outcome: Outcome) -> None:
            if isinstance(outcome.error, ManyRefused):
                self._refusals.extend(outcome.error.refusals)
                self._refuse()
            elif outcome.error is not None:
                self._break_off(outcome.error)
            else:
                self._refusals.extend(outcome.refusals)
                self._count += len(outcome.executions)
                self._after(outcome.executions)
                self._act(place + 1, leave_out=leave_out)

        self._executor.act_on_many(self._slices[place], done, leave_out=leave_out)

    def _refuse(self) -> None:
        details = {"invalids": _told(self._refusals)}
        self._answer.refuse("the action does not suit all of the executions", 400, details)

    def _break_off(self, error: Exception) -> None:
        if not self._count:
            self._answer.fail(error)
            return
        total = sum(map(len, self._slices))
        message = f"{self._count} of {total} executions were dealt with, then: {error}"
        self._answer.refuse(message, getattr(error, "status", 500))


def _told(refusals: Sequence[Refusal]) -> list[dict[str, str]]:
    return [{"message": one.reason, "path": one.execution_id} for one in refusals]


OPERATIONS: Mapping[str, Operation] = {"executions.act": act}
