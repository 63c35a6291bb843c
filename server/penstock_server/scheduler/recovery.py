"""What becomes of dates that passed while nobody looked: all are run, the last one, or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from penstock_server.scheduler.evaluation import Evaluation, Firing
from penstock_server.scheduler.schedules import ALL, LAST
from penstock_server.store.triggers import TriggerState


def may_be_late(state: TriggerState, now: datetime) -> bool:
    """Whether a row can need recovery, seen without its flow: most do not."""
    if state.backfill is not None or state.disabled:
        return False
    if state.next_date is None:
        return state.body is None and state.last_date is not None
    return state.next_date < now


def recovered(firing: Firing, evaluation: Evaluation) -> TriggerState:
    """The row as it goes on after a stop of the service."""
    state = firing.state
    if not may_be_late(state, firing.now) or firing.flow.disabled or firing.trigger.disabled:
        return state
    if state.next_date is None and state.last_date is not None:
        # A date is known, but not the one after it.
        following = evaluation.following(replace(firing, date=state.last_date))
        if following is None:
            return state
        state = replace(state, next_date=following)
        firing = replace(firing, state=state, date=following.astimezone(firing.plan.zone))
    return replace(state, next_date=_moved(firing, evaluation))


def switched_on(firing: Firing, evaluation: Evaluation) -> TriggerState:
    """The row of a trigger that a person has switched on again."""
    state = replace(firing.state, disabled=False)
    if state.backfill is not None or state.next_date is not None:
        return state
    recover = firing.plan.recover
    if recover == LAST:
        return replace(state, next_date=evaluation.last_missed(firing))
    if recover == ALL and state.last_date is not None:
        following = evaluation.following(replace(firing, date=state.last_date))
        return replace(state, next_date=following)
    return replace(state, next_date=firing.plan.dates.after(firing.now))


def _moved(firing: Firing, evaluation: Evaluation) -> datetime | None:
    """The date to go on with, when the one that waits has passed."""
    pending = firing.date
    if pending >= firing.now or firing.plan.recover == ALL:
        return pending
    if firing.plan.recover == LAST:
        last = evaluation.last_missed(firing)
        return last if last is not None and last > pending else pending
    return firing.plan.dates.after(firing.now)
