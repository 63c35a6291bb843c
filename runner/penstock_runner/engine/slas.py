"""Promises about an execution: a longest duration, or an assertion that always holds."""

from __future__ import annotations

from collections.abc import Iterator

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine import kills
from penstock_runner.engine.draft import Draft
from penstock_runner.engine.state import State
from penstock_runner.engine.truth import constant, truthy
from penstock_runner.flow import durations
from penstock_runner.flow.model import Level, Sla

PURPOSE = "sla:"
_ENDS = {"FAIL": State.FAILED, "CANCEL": State.CANCELLED}


def promise(draft: Draft) -> None:
    """Start the timers of the longest durations, once; they count from the creation."""
    if draft.fact("promised"):
        return
    for place, sla in enumerate(draft.plan.flow.sla):
        if sla.duration is not None:
            at = draft.head.history[0][1] + sla.duration
            number = draft.head.attempt_number
            purpose = f"{PURPOSE}{place}"
            draft.command(c.StartTimer(key=None, attempt=number, at=at, purpose=purpose))
    if draft.plan.flow.sla:
        draft.note(promised=True)
        draft.stale = True


def overdue(draft: Draft, event: e.TimerFired) -> None:
    """The execution has lasted too long."""
    sla = draft.plan.flow.sla[int(event.purpose.removeprefix(PURPOSE))]
    if draft.state.terminal or draft.killing or sla.duration is None:
        return
    lasted = durations.to_iso(draft.at - draft.head.history[0][1])
    most = durations.to_iso(sla.duration)
    _break(draft, sla, f"execution duration of {lasted} exceed the maximum duration of {most}.")


def look(draft: Draft) -> None:
    """Something has ended: ask whether the assertions still hold."""
    if draft.state.terminal or draft.killing or draft.fact("stage") is None:
        return
    for place, sla in enumerate(draft.plan.flow.sla):
        if sla.assertion is None or draft.fact(_broken(place)):
            continue
        if constant(sla.assertion):
            _judge(draft, place, sla, sla.assertion)
        elif draft.fact(f"{PURPOSE}{place}") is None:
            ask(draft, place, sla.assertion)
        else:
            draft.note(**{_stale(place): True})


def ask(draft: Draft, place: int, assertion: str) -> None:
    """Have an assertion rendered."""
    count = int(str(draft.fact(f"{PURPOSE}{place}.asked") or 0)) + 1
    purpose = f"{PURPOSE}{place}#{count}"
    draft.command(c.Evaluate(key=None, purpose=purpose, expressions={"assert": assertion}))
    facts = {f"{PURPOSE}{place}": purpose, f"{PURPOSE}{place}.asked": count, _stale(place): None}
    draft.note(**facts)


def pending(draft: Draft) -> Iterator[c.Evaluate]:
    """The assertions that were asked for and have no answer."""
    for place, sla in enumerate(draft.plan.flow.sla):
        purpose = draft.fact(f"{PURPOSE}{place}")
        if purpose is not None and not draft.state.terminal:
            asked = {"assert": sla.assertion}
            yield c.Evaluate(key=None, purpose=str(purpose), expressions=asked)


def answered(draft: Draft, event: e.Evaluated) -> None:
    """An assertion holds, or is broken; one that cannot be rendered is only logged."""
    place = int(event.purpose.removeprefix(PURPOSE).split("#")[0])
    if draft.fact(f"{PURPOSE}{place}") != event.purpose or draft.state.terminal:
        return
    draft.note(**{f"{PURPOSE}{place}": None})
    sla = draft.plan.flow.sla[place]
    if event.error is not None:
        draft.say(None, Level.WARN, f"SLA '{sla.id}' cannot be checked: {event.error}")
    else:
        _judge(draft, place, sla, event.values.get("assert"))
    if sla.assertion is not None and draft.fact(_stale(place)) and not draft.fact(_broken(place)):
        ask(draft, place, sla.assertion)


def _judge(draft: Draft, place: int, sla: Sla, value: object) -> None:
    if not truthy(value) and not draft.killing:
        draft.note(**{_broken(place): True})
        _break(draft, sla, f"assertion is false: {sla.assertion}.")


def _break(draft: Draft, sla: Sla, reason: str) -> None:
    if sla.labels:
        draft.update(labels={**draft.head.labels, **sla.labels})
    state = _ENDS.get(sla.behavior)
    if state is None:
        return
    word = "failed" if state is State.FAILED else "cancelled"
    draft.say(None, Level.ERROR, f"Execution {word} due to SLA '{sla.id}' violated: {reason}")
    kills.requested(draft, e.KillRequested(at=draft.at, state=state, reason=reason))


def _stale(place: int) -> str:
    return f"{PURPOSE}{place}.stale"


def _broken(place: int) -> str:
    return f"{PURPOSE}{place}.broken"
