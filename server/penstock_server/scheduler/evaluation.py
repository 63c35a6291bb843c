"""What a schedule does at one of its dates: whether it runs, with what, and which date is next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock_runner.engine.state import TriggerOrigin
from penstock_runner.executor.messages import Start
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.variables import trigger_map
from penstock_runner.flow.model import Flow, Trigger
from penstock_runner.tasks.api import TaskFailed
from penstock_server.scheduler.backfills import Backfill, backfill_of
from penstock_server.scheduler.rendering import Load, Services, TriggerRender
from penstock_server.scheduler.schedules import ON_DATES, Plan, by_day
from penstock_server.store.triggers import TriggerState

_YEARS = timedelta(days=3653)
_MOST_DATES = 4000


class CannotEvaluate(Exception):
    """An expression or a condition of a trigger failed; the message names the trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A trigger whose date has come, with all that is known of it."""

    state: TriggerState
    flow: Flow
    trigger: Trigger
    plan: Plan
    date: datetime
    now: datetime

    @property
    def backfill(self) -> Backfill | None:
        """The backfill that the date belongs to."""
        return backfill_of(self.state)


class Evaluation:
    """Evaluates schedules; pure but for what expressions ask of the services."""

    def __init__(
        self,
        expressions: Expressions,
        services: Services,
        load: Load,
        constants: Mapping[str, Any],
    ) -> None:
        self._expressions = expressions
        self._services = services
        self._load = load
        self._constants = constants

    def start(self, firing: Firing, execution_id: str) -> Start | None:
        """The execution of this date; None when a condition does not hold."""
        try:
            if not self._holds(firing, firing.date, firing.plan.conditions):
                return None
        except (ExpressionFailed, TaskFailed) as failed:
            message = f"Unable to evaluate the trigger '{firing.trigger.id}': {failed}"
            raise CannotEvaluate(message) from failed
        try:
            return self._start(firing, execution_id)
        except (ExpressionFailed, TaskFailed) as failed:
            message = f"Unable to evaluate the Schedule trigger '{firing.trigger.id}': {failed}"
            raise CannotEvaluate(message) from failed

    def failure(self, firing: Firing, message: str, execution_id: str) -> Start:
        """The execution that only says what went wrong."""
        variables = {"date": firing.date.isoformat()}
        return Start(
            namespace=firing.flow.namespace,
            flow_id=firing.flow.id,
            trigger=_origin(firing.trigger, variables),
            schedule_date=firing.date.astimezone(UTC),
            origin="schedule",
            id=execution_id,
            failure=message,
            correlate=False,
        )

    def following(self, firing: Firing) -> datetime | None:
        """The next date, of the backfill or of the schedule."""
        plan = firing.plan
        if firing.backfill is not None:
            plain = plan.dates.after(firing.date)
        else:
            plain = plan.following(firing.date, firing.now)
        return self._chosen(firing, plain)

    def first_of(self, firing: Firing, start: datetime) -> datetime | None:
        """The first date of a backfill that starts at a moment."""
        return self._chosen(firing, firing.plan.at_or_after(start))

    def nearest(self, firing: Firing, *, forwards: bool) -> datetime | None:
        """The nearest date on one side for which the conditions hold."""
        dates = firing.plan.dates
        plain = dates.after(firing.date) if forwards else dates.before(firing.date)
        found, _ = self._search(firing, plain, forwards=forwards)
        return found

    def last_missed(self, firing: Firing) -> datetime | None:
        """The last date before now that would have run."""
        plain = firing.plan.dates.before(firing.now)
        try:
            found, _ = self._search(firing, plain, forwards=False)
        except (ExpressionFailed, TaskFailed):
            return plain
        return found

    def _start(self, firing: Firing, execution_id: str) -> Start | None:
        trigger = firing.trigger
        dates = {"date": firing.date.isoformat()}
        for name, moment in (
            ("next", self.nearest(firing, forwards=True)),
            ("previous", self.nearest(firing, forwards=False)),
        ):
            if moment is not None:
                dates[name] = moment.astimezone(firing.plan.zone).isoformat()
        full = self._render(firing, dates)
        if not all(full.holds(one, self._load) for one in firing.plan.choosing):
            return None
        # Dates that are written out have no variables.
        variables: dict[str, object] = {} if trigger.kind == ON_DATES else dict(dates)
        render = self._render(firing, variables)
        inputs = dict(render.value(dict(trigger.inputs)))
        labels = render.labels(trigger.labels)
        backfill = firing.backfill
        if backfill is not None:
            inputs |= render.value(dict(backfill.inputs))
            labels |= render.labels(backfill.labels)
        return Start(
            namespace=firing.flow.namespace,
            flow_id=firing.flow.id,
            inputs=inputs,
            resolve=True,
            labels=labels,
            trigger=_origin(trigger, variables),
            schedule_date=firing.date.astimezone(UTC),
            origin="schedule",
            id=execution_id,
            correlate=False,
        )

    def _chosen(self, firing: Firing, plain: datetime | None) -> datetime | None:
        """The first date from a plain one on for which the conditions hold, else the plain one."""
        try:
            found, reached = self._search(firing, plain, forwards=True)
        except (ExpressionFailed, TaskFailed):
            # It is said at that date, when the condition is asked again.
            return plain
        # After so many refusals in a row the search goes on from there, at the date itself.
        return found or reached or plain

    def _search(
        self, firing: Firing, start: datetime | None, *, forwards: bool
    ) -> tuple[datetime | None, datetime | None]:
        """The first date from `start` on that is chosen, within ten years; or how far it looked."""
        dates, choosing, moment = firing.plan.dates, firing.plan.choosing, start
        whole_days = bool(choosing) and all(by_day(one) for one in choosing)
        for _ in range(_MOST_DATES):
            if moment is None or abs(moment - firing.date) > _YEARS:
                return None, None
            if self._holds(firing, moment, choosing):
                return moment, None
            if whole_days:
                moment = _edge_of_day(moment.astimezone(firing.plan.zone), forwards=forwards)
            moment = dates.after(moment) if forwards else dates.before(moment)
        return None, moment

    def _holds(
        self, firing: Firing, moment: datetime, conditions: Sequence[Mapping[str, Any]]
    ) -> bool:
        if not conditions:
            return True
        variables = {"date": moment.astimezone(firing.plan.zone).isoformat()}
        render = self._render(firing, variables)
        return all(render.holds(condition, self._load) for condition in conditions)

    def _render(self, firing: Firing, dates: Mapping[str, object]) -> TriggerRender:
        services = self._services(firing.flow.namespace, firing.now)
        own = trigger_map(firing.trigger.id, firing.trigger.type, dates)
        seen = {**self._constants, "trigger": own, "schedule": dates}
        return TriggerRender(self._expressions, services, firing.flow, seen)


def _origin(trigger: Trigger, variables: Mapping[str, object]) -> TriggerOrigin:
    return TriggerOrigin(id=trigger.id, type=trigger.kind, variables=variables)


def _edge_of_day(local: datetime, *, forwards: bool) -> datetime:
    """The last second of a day, or its first moment: what comes beyond is another day."""
    if forwards:
        return local.replace(hour=23, minute=59, second=59, microsecond=0, fold=1)
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
