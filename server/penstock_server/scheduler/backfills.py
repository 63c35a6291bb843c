"""Backfills, pure: the dates of the past that a schedule runs again, one after the other.

A backfill lives in the state of its trigger. While it goes on, the trigger's next date is the
backfill's; when it is over, the date that was next before it is next again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from penstock_runner.executor.messages import Refused
from penstock_runner.tasks.core_execution import read_labels
from penstock_server.store.triggers import TriggerState

Dates = Callable[[datetime], datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Dates from `start` to `end`, both of them included; `current` is the one that is next."""

    start: datetime
    end: datetime
    current: datetime
    paused: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    restores: datetime | None = None

    def stored(self) -> dict[str, Any]:
        """As the state of a trigger holds it, and clients see it."""
        return {
            "start": _iso(self.start),
            "end": _iso(self.end),
            "currentDate": _iso(self.current),
            "paused": self.paused,
            "inputs": dict(self.inputs),
            "labels": [{"key": key, "value": value} for key, value in self.labels.items()],
            "previousNextExecutionDate": _iso(self.restores) if self.restores else None,
        }


def backfill_of(state: TriggerState) -> Backfill | None:
    """The backfill of a trigger, if one goes on."""
    data = state.backfill
    if data is None:
        return None
    restores = data.get("previousNextExecutionDate")
    return Backfill(
        start=_instant(data["start"]),
        end=_instant(data["end"]),
        current=_instant(data["currentDate"]),
        paused=bool(data.get("paused")),
        inputs=data.get("inputs") or {},
        labels=read_labels(data.get("labels") or {}),
        restores=_instant(restores) if restores else None,
    )


def begun(
    state: TriggerState, asked: Mapping[str, Any], first: Dates, now: datetime
) -> TriggerState:
    """The state with a backfill; one without any date is over at once."""
    start = _instant(asked["start"])
    end = _instant(asked["end"]) if asked.get("end") else now
    known = backfill_of(state)
    if known is not None:
        if known.start == start and (known.end == end or not asked.get("end")):
            return state
        raise Refused(
            f"trigger {state.trigger_id} has a backfill from {_iso(known.start)} to "
            f"{_iso(known.end)} under way: wait until it is over, or delete it",
            status=409,
        )
    if end < start:
        raise Refused("Illegal argument: the backfill's start must be before its end")
    backfill = Backfill(
        start=start,
        end=end,
        current=start,
        inputs=asked.get("inputs") or {},
        labels=read_labels(asked.get("labels") or {}),
        restores=state.next_date,
    )
    return moved(replace(state, backfill=backfill.stored()), first(start))


def moved(state: TriggerState, following: datetime | None) -> TriggerState:
    """The state when `following` is the next date, of the backfill or of the schedule."""
    backfill = backfill_of(state)
    if backfill is None:
        return replace(state, next_date=following)
    if following is None or following > backfill.end:
        return over(state)
    went_on = replace(backfill, current=following)
    return replace(state, next_date=following, backfill=went_on.stored())


def paused(state: TriggerState) -> TriggerState:
    """The state with its backfill stopped for now."""
    backfill = _under_way(state)
    return replace(state, next_date=None, backfill=replace(backfill, paused=True).stored())


def unpaused(state: TriggerState) -> TriggerState:
    """The state with its backfill going on."""
    backfill = _under_way(state)
    went_on = replace(backfill, paused=False).stored()
    return replace(state, next_date=backfill.current, backfill=went_on)


def over(state: TriggerState) -> TriggerState:
    """The state without its backfill, as it was before."""
    return replace(state, next_date=_under_way(state).restores, backfill=None)


def _under_way(state: TriggerState) -> Backfill:
    backfill = backfill_of(state)
    if backfill is None:
        raise Refused("No backfill found", status=400)
    return backfill


def _instant(text: Any) -> datetime:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise Refused(f"Illegal argument: {text!r} is no date of a backfill") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
