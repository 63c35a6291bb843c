"""The dates of a schedule trigger, pure: which comes next, which came before, which were missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
BY_DAY = frozenset({"DayWeek", "DayWeekInMonth", "Weekend", "PublicHoliday"})
_ABOUT_DATES = frozenset({"DateTimeBetween", "TimeBetween"})


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


def between(dates: Dates, start: datetime, end: datetime) -> Iterator[datetime]:
    """The dates from one moment to another, both included."""
    moment = dates.after(_just_before(start))
    while moment is not None and moment <= end:
        yield moment
        moment = dates.after(moment)


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
    """All that must hold before a run."""
    choosing: tuple[Mapping[str, Any], ...] = ()
    """Those that choose among the dates: the next date is one for which they hold."""

    def first(self, now: datetime) -> datetime | None:
        """The next date of a trigger that has just been seen."""
        if isinstance(self.dates, Listed):
            return self.dates.dates[0] if self.dates.dates else None
        return self.dates.after(now)

    def at_or_after(self, moment: datetime) -> datetime | None:
        """The first date that is not before a moment, to the second."""
        return self.dates.after(_just_before(moment))

    def following(self, last: datetime, now: datetime) -> datetime | None:
        """The next date after one that was evaluated; those that are too late are left out."""
        last = last.astimezone(UTC)
        if self.late is not None and not self.choosing and last + self.late < now:
            last = max(last, now.astimezone(UTC) - self.late - timedelta(microseconds=1))
        return self.dates.after(last)


def plan_of(trigger: Trigger, default_zone: str, default_recover: str = ALL) -> Plan:
    """Read a Schedule or a ScheduleOnDates; raises `BadCron` and `ExpressionFailed`."""
    properties = _Properties.model_validate(trigger.properties)
    local = zone(properties.timezone or default_zone)
    if trigger.kind == ON_DATES:
        moments = {_to_the_second(to_moment(one, local)) for one in properties.dates}
        dates: Dates = Listed(tuple(sorted(moments)))
    else:
        dates = parse_cron(properties.cron, local, with_seconds=properties.with_seconds)
    return Plan(
        dates=dates,
        zone=local,
        recover=properties.recover_missed_schedules or default_recover,
        late=properties.late_maximum_delay,
        conditions=(*trigger.conditions, *(properties.schedule_conditions or ())),
        choosing=tuple(one for one in trigger.conditions if chooses(one)),
    )


def chooses(condition: Mapping[str, Any]) -> bool:
    """Whether a condition is about the date, and not about the state of the world at a run."""
    kind = str(condition.get("type", "")).rpartition(".")[2]
    if kind == "Expression":
        return any(name in str(condition.get("expression", "")) for name in ("trigger", "schedule"))
    parts = condition.get("conditions")
    if kind in ("Not", "Or"):
        return isinstance(parts, list | tuple) and all(chooses(part) for part in parts)
    return kind in _ABOUT_DATES or kind in BY_DAY


def by_day(condition: Mapping[str, Any]) -> bool:
    """Whether a condition is the same for all dates of one day."""
    kind = str(condition.get("type", "")).rpartition(".")[2]
    if kind in ("Not", "Or"):
        return all(by_day(part) for part in condition.get("conditions") or ())
    return kind in BY_DAY and "date" not in condition


def _just_before(moment: datetime) -> datetime:
    """In UTC: where an hour comes twice, the wall clock would go back to the first of them."""
    return _to_the_second(moment) - timedelta(microseconds=1)


def _to_the_second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
