"""The dates of a schedule trigger, pure: which comes next, which came before, which were missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from penstock_runner.expressions.dates.moments import to_moment, zone
from penstock_runner.flow.model import Trigger
from penstock_server.scheduler.cron import parse_cron

SCHEDULE = "io.kestra.plugin.core.trigger.Schedule"
ON_DATES = "io.kestra.plugin.core.trigger.ScheduleOnDates"
KINDS = frozenset({SCHEDULE, ON_DATES})
ALL, LAST, NONE = "ALL", "LAST", "NONE"


class Dates(Protocol):
    """Moments in order."""

    def after(self, moment: datetime) -> datetime | None:
        """The first one after a moment."""
        ...

    def before(self, moment: datetime) -> datetime | None:
        """The last one before a moment."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """Dates that are written out."""

    dates: tuple[datetime, ...]

    def after(self, moment: datetime) -> datetime | None:
        """The first one after a moment."""
        return next((one for one in self.dates if one > moment), None)

    def before(self, moment: datetime) -> datetime | None:
        """The last one before a moment."""
        return next((one for one in reversed(self.dates) if one < moment), None)


class _Properties(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    cron: str = ""
    with_seconds: bool = False
    timezone: str | None = None
    late_maximum_delay: timedelta | None = None
    recover_missed_schedules: str | None = None
    schedule_conditions: tuple[Mapping[str, Any], ...] | None = None
    dates: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When a trigger fires, and what is done about dates that were missed."""

    dates: Dates
    zone: tzinfo
    recover: str = ALL
    late: timedelta | None = None
    conditions: tuple[Mapping[str, Any], ...] = ()

    def first(self, now: datetime) -> datetime | None:
        """The next date of a trigger that has just been seen."""
        if isinstance(self.dates, Listed):
            return self.dates.dates[0] if self.dates.dates else None
        return self.dates.after(now)

    def following(self, last: datetime, now: datetime) -> datetime | None:
        """The next date after one that was evaluated; those that are too late are left out."""
        if self.late is not None and not self.conditions and last + self.late < now:
            last = max(last, now - self.late - timedelta(microseconds=1))
        return self.dates.after(last)

    def recovered(self, pending: datetime, now: datetime) -> datetime | None:
        """Where to go on after a stop, when the date that waits has passed."""
        if pending > now or self.recover == ALL:
            return pending
        if self.recover == LAST:
            last = self.dates.before(now)
            return last if last is not None and last > pending else pending
        return self.dates.after(now)


def plan_of(trigger: Trigger, default_zone: str, default_recover: str = ALL) -> Plan:
    """Read a Schedule or a ScheduleOnDates; raises `BadCron` and `ExpressionFailed`."""
    properties = _Properties.model_validate(trigger.properties)
    local = zone(properties.timezone or default_zone)
    if trigger.kind == ON_DATES:
        moments = (to_moment(one, local).astimezone(UTC) for one in properties.dates)
        dates: Dates = Listed(tuple(sorted(moments)))
    else:
        dates = parse_cron(properties.cron, local, with_seconds=properties.with_seconds)
    return Plan(
        dates=dates,
        zone=local,
        recover=properties.recover_missed_schedules or default_recover,
        late=properties.late_maximum_delay,
        conditions=(*trigger.conditions, *(properties.schedule_conditions or ())),
    )
