"""The values of the page of a flow's triggers: what each does next, and its backfill. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.model import Flow, Trigger
from penstock_server.scheduler.cron import BadCron
from penstock_server.scheduler.schedules import KINDS, Plan, between, plan_of
from penstock_server.store.queries import TriggerRecord
from penstock_server.web import forms

COUNTED = 5000
THEN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillShown:
    """How far a backfill is; without a number when there are too many dates to count."""

    start: datetime
    end: datetime
    current: datetime
    paused: bool
    done: int | None
    whole: int | None
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRow:
    """One trigger of a flow."""

    id: str
    kind: str
    when: str
    detail: str
    next: datetime | None
    then: tuple[datetime, ...]
    last: datetime | None
    execution_id: str | None
    backfill: BackfillShown | None
    on: bool
    switchable: bool
    schedule: bool
    polled: bool


def trigger_rows(
    flow: Flow | None,
    records: Sequence[TriggerRecord],
    zone: str,
    polls: Callable[[str], bool],
) -> tuple[TriggerRow, ...]:
    """What a flow's file says of its triggers, with where each stands."""
    if flow is None:
        return ()
    known = {record.trigger_id: record for record in records}
    return tuple(
        _row(flow, one, known.get(one.id), zone, polled=polls(one.kind)) for one in flow.triggers
    )


def _row(
    flow: Flow, trigger: Trigger, record: TriggerRecord | None, zone: str, *, polled: bool
) -> TriggerRow:
    plan = _plan(trigger, zone)
    when, detail = _when(flow, trigger, zone)
    off = trigger.disabled or (record is not None and record.disabled)
    following = None if record is None or off else record.next_date
    backfill = None if record is None else _backfill(record.backfill, plan)
    further = plan is not None and following is not None and backfill is None
    return TriggerRow(
        id=trigger.id,
        kind=_kind(trigger.kind),
        when=when,
        detail=detail,
        next=following,
        then=_then(plan, following) if further else (),
        last=None if record is None else record.last_date,
        execution_id=None if record is None else record.execution_id,
        backfill=backfill,
        on=not off,
        switchable=record is not None and not trigger.disabled,
        schedule=plan is not None and record is not None and not off,
        polled=polled,
    )


def _kind(name: str) -> str:
    """The type in short; many are called Trigger, and then the word before says which."""
    *_, group, last = ("", *name.split("."))
    return f"{group}.{last}" if last == "Trigger" else last


def _when(flow: Flow, trigger: Trigger, zone: str) -> tuple[str, str]:
    told = trigger.properties
    if "cron" in told:
        return str(told["cron"]), str(told.get("timezone") or zone)
    if trigger.kind.endswith(".Webhook"):
        # The key is a password: whoever has it may start the flow.
        return f"…/webhook/{flow.namespace}/{flow.id}/••••", ""
    if "interval" in told:
        return str(told["interval"]), "interval"
    return "", ""


def _plan(trigger: Trigger, zone: str) -> Plan | None:
    if trigger.kind not in KINDS:
        return None
    try:
        return plan_of(trigger, zone)
    except (BadCron, ExpressionFailed, ValueError):
        return None


def _then(plan: Plan | None, following: datetime | None) -> tuple[datetime, ...]:
    """The dates after the next one; those that conditions leave out are not known here."""
    if plan is None or following is None or plan.choosing:
        return ()
    end = following + timedelta(days=3660)
    after = between(plan.dates, following + timedelta(seconds=1), end)
    return tuple(date.astimezone(UTC) for date in islice(after, THEN))


def _backfill(stored: Mapping[str, Any] | None, plan: Plan | None) -> BackfillShown | None:
    if stored is None:
        return None
    start, end, current = (
        datetime.fromisoformat(str(stored[name])) for name in ("start", "end", "currentDate")
    )
    done = whole = None
    if plan is not None and not plan.choosing:
        dates = list(islice(between(plan.dates, start, end), COUNTED + 1))
        if len(dates) <= COUNTED:
            done, whole = sum(1 for date in dates if date < current), len(dates)
    span = (end - start).total_seconds()
    share = (current - start).total_seconds() / span if span > 0 else 0.0
    if done is not None and whole:
        share = done / whole
    return BackfillShown(
        start=start,
        end=end,
        current=current,
        paused=bool(stored.get("paused")),
        done=done,
        whole=whole,
        percent=max(0.0, min(share, 1.0)) * 100,
    )


class Unreadable(Exception):
    """A field of the form holds what is no value for it; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def asked_for(form: Mapping[str, str]) -> dict[str, Any]:
    """The backfill that a form asks for, as core takes it; raises `Unreadable`."""
    start = _moment("start", form.get("start", ""))
    end = _moment("end", form.get("end", "")) if form.get("end", "").strip() else None
    if end is not None and end < start:
        raise Unreadable("end", "The last date is before the first.")
    labels = forms.labels(form.get("labels", ""))
    if labels is None:
        raise Unreadable("labels", "A label is written key: value.")
    found: dict[str, Any] = {
        "start": start.isoformat(),
        "inputs": _inputs(form.get("inputs", "")),
        "labels": [{"key": key, "value": value} for key, value in labels],
    }
    return found if end is None else {**found, "end": end.isoformat()}


def _moment(field: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Unreadable(field, "A date, such as 2026-01-31T06:00.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _inputs(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unreadable("inputs", 'Inputs are a JSON object, such as {"full": true}.')
    return found
