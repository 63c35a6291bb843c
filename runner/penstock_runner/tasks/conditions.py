"""Conditions: when a trigger or a listener may start something.

Their properties are bound like those of tasks, so dates and expressions are rendered texts here,
and `holds` is pure. A `Situation` says what the condition is asked about.
"""
# ruff: noqa: ARG002 - every condition is given the situation, few look at it

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from penstock_runner.engine.state import Execution, State
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.tasks.api import Raw, TaskFailed, TaskProperties, task
from penstock_runner.tasks.binding import Render, bind
from penstock_runner.tasks.core_execution import read_labels

Day = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
Plain = Mapping[str, object]
TRIGGER_DATE = "{{ trigger.date }}"
_DAYS: Sequence[str] = Day.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What conditions are asked about: the flow of the trigger, and perhaps an execution.

    `each` evaluates a condition that is written inside another one, `text` renders a template.
    """

    namespace: str
    flow_id: str
    each: Callable[[Plain], bool]
    text: Callable[[str], str | None]
    execution: Execution | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> Execution:
        """The execution that the condition is about."""
        if self.execution is None:
            raise TaskFailed("Invalid condition with null execution")
        return self.execution


class Condition(TaskProperties):
    """What all conditions can do."""

    def holds(self, situation: Situation) -> bool:
        """Whether the condition is true."""
        raise NotImplementedError


def evaluate(
    written: Plain,
    render: Render,
    load: Callable[[str], type[Any]],
    *,
    namespace: str,
    flow_id: str,
    execution: Execution | None = None,
    outputs: Mapping[str, Any] | None = None,
) -> bool:
    """Whether a condition as written in a flow holds; `TaskFailed` when it cannot be told."""

    def each(one: Plain) -> bool:
        own = {name: value for name, value in one.items() if name != "type"}
        condition: Condition = bind(load(str(one["type"])), own, render)
        return condition.holds(situation)

    def text(template: str) -> str | None:
        try:
            return render.text(template)
        except ExpressionFailed as error:
            raise TaskFailed(f"expression: {error}") from error

    situation = Situation(
        namespace=namespace,
        flow_id=flow_id,
        each=each,
        text=text,
        execution=execution,
        outputs=outputs or {},
    )
    return each(written)


@task("io.kestra.plugin.core.condition.DateTimeBetween", kind="condition")
class DateTimeBetween(Condition):
    """The date is between two moments."""

    date: str = TRIGGER_DATE
    after: datetime | None = None
    before: datetime | None = None

    def holds(self, situation: Situation) -> bool:
        """Compare the moments."""
        return _between(_moment(self.date), _aware(self.after), _aware(self.before))


@task("io.kestra.plugin.core.condition.TimeBetween", kind="condition")
class TimeBetween(Condition):
    """The time of day is between two times."""

    date: str = TRIGGER_DATE
    after: time | None = None
    before: time | None = None

    def holds(self, situation: Situation) -> bool:
        """Compare the times, each at its own offset."""
        moment = _moment(self.date)
        return _between(_of_day(moment.timetz()), _of_day(self.after), _of_day(self.before))


@task("io.kestra.plugin.core.condition.DayWeek", kind="condition")
class DayWeek(Condition):
    """The date is a given day of the week."""

    date: str = TRIGGER_DATE
    day_of_week: Day

    def holds(self, situation: Situation) -> bool:
        """Compare the days."""
        return _DAYS[_day(self.date).weekday()] == self.day_of_week


@task("io.kestra.plugin.core.condition.DayWeekInMonth", kind="condition")
class DayWeekInMonth(Condition):
    """The date is, for example, the first Monday of its month."""

    date: str = TRIGGER_DATE
    day_of_week: Day
    day_in_month: Literal["FIRST", "SECOND", "THIRD", "FOURTH", "LAST"]

    def holds(self, situation: Situation) -> bool:
        """Count the day in its month."""
        day = _day(self.date)
        if _DAYS[day.weekday()] != self.day_of_week:
            return False
        if self.day_in_month == "LAST":
            return (day + timedelta(days=7)).month != day.month
        return (day.day - 1) // 7 == ("FIRST", "SECOND", "THIRD", "FOURTH").index(self.day_in_month)


@task("io.kestra.plugin.core.condition.Weekend", kind="condition")
class Weekend(Condition):
    """The date is a Saturday or a Sunday."""

    date: str = TRIGGER_DATE

    def holds(self, situation: Situation) -> bool:
        """Look at the day."""
        return _day(self.date).weekday() >= 5


@task("io.kestra.plugin.core.condition.PublicHoliday", kind="condition", extra="holidays")
class PublicHoliday(Condition):
    """The date is a public holiday of a country."""

    date: str = TRIGGER_DATE
    country: str | None = None
    sub_division: str | None = None

    def holds(self, situation: Situation) -> bool:
        """Look the day up."""
        try:
            holidays = importlib.import_module("holidays")
        except ImportError:
            raise TaskFailed(
                "PublicHoliday needs the package holidays: pip install holidays"
            ) from None
        day = _day(self.date)
        country = (self.country or "US").upper()
        try:
            known = holidays.country_holidays(country, subdiv=self.sub_division, years=day.year)
        except NotImplementedError as error:
            raise TaskFailed(f"No holidays are known for {country}: {error}") from None
        return day in known


@task("io.kestra.plugin.core.condition.Expression", kind="condition")
class Expression(Condition):
    """A rendered text is neither blank nor `false`."""

    expression: str

    def holds(self, situation: Situation) -> bool:
        """Look at the text."""
        return _true(self.expression)


@task("io.kestra.plugin.core.condition.ExecutionOutputs", kind="condition")
class ExecutionOutputs(Condition):
    """The execution has outputs, and an expression over them is true."""

    expression: Annotated[str, Raw()]

    def holds(self, situation: Situation) -> bool:
        """Look at the outputs, and only then at the text, which may need them."""
        return bool(situation.outputs) and _true(situation.text(self.expression) or "")


@task("io.kestra.plugin.core.condition.Not", kind="condition")
class Not(Condition):
    """None of some conditions holds."""

    conditions: Annotated[tuple[Plain, ...], Raw()]

    def holds(self, situation: Situation) -> bool:
        """Evaluate them in order."""
        return not any(situation.each(condition) for condition in self.conditions)


@task("io.kestra.plugin.core.condition.Or", kind="condition")
class Or(Condition):
    """Any of some conditions holds."""

    conditions: Annotated[tuple[Plain, ...], Raw()]

    def holds(self, situation: Situation) -> bool:
        """Evaluate them in order."""
        return any(situation.each(condition) for condition in self.conditions)


@task("io.kestra.plugin.core.condition.ExecutionFlow", kind="condition")
class ExecutionFlow(Condition):
    """The execution is of a given flow."""

    namespace: str
    flow_id: str

    def holds(self, situation: Situation) -> bool:
        """Compare the names."""
        execution = situation.ended
        return (execution.namespace, execution.flow_id) == (self.namespace, self.flow_id)


class _InNamespace(Condition):
    namespace: str
    comparison: Literal["EQUALS", "PREFIX", "SUFFIX"] | None = None
    prefix: bool = False

    def _fits(self, namespace: str) -> bool:
        match self.comparison or ("PREFIX" if self.prefix else "EQUALS"):
            case "PREFIX":
                return namespace.startswith(self.namespace)
            case "SUFFIX":
                return namespace.endswith(self.namespace)
            case _:
                return namespace == self.namespace


@task("io.kestra.plugin.core.condition.ExecutionNamespace", kind="condition")
class ExecutionNamespace(_InNamespace):
    """The execution is of a given namespace, or of one that starts or ends so."""

    def holds(self, situation: Situation) -> bool:
        """Compare the namespaces."""
        return self._fits(situation.ended.namespace)


@task("io.kestra.plugin.core.condition.ExecutionStatus", kind="condition")
class ExecutionStatus(Condition):
    """The execution is in one of some states, and in none of others."""

    in_: Annotated[tuple[State, ...] | None, Field(alias="in")] = None
    not_in: tuple[State, ...] | None = None

    def holds(self, situation: Situation) -> bool:
        """Look at the state."""
        return _among(situation.ended.state, self.in_, self.not_in)


@task("io.kestra.plugin.core.condition.ExecutionLabels", kind="condition")
class ExecutionLabels(Condition):
    """The execution has all of some labels."""

    labels: object

    def holds(self, situation: Situation) -> bool:
        """Look for each label."""
        wanted = read_labels(self.labels)
        return wanted.items() <= dict(situation.ended.labels).items()


@task("io.kestra.plugin.core.condition.HasRetryAttempt", kind="condition")
class HasRetryAttempt(Condition):
    """Some task was tried more than once, with an attempt in one of some states."""

    in_: Annotated[tuple[State, ...] | None, Field(alias="in")] = None
    not_in: tuple[State, ...] | None = None

    def holds(self, situation: Situation) -> bool:
        """Look at the attempts."""
        return any(
            _among(attempt.state, self.in_, self.not_in)
            for run in situation.ended.runs.values()
            if len(run.attempts) > 1
            for attempt in run.attempts
        )


@task("io.kestra.plugin.core.condition.FlowCondition", kind="condition")
class FlowCondition(Condition):
    """The flow of the trigger is a given one (deprecated)."""

    namespace: str
    flow_id: str

    def holds(self, situation: Situation) -> bool:
        """Compare the names."""
        return (situation.namespace, situation.flow_id) == (self.namespace, self.flow_id)


@task("io.kestra.plugin.core.condition.FlowNamespaceCondition", kind="condition")
class FlowNamespaceCondition(_InNamespace):
    """The flow of the trigger is in a given namespace (deprecated)."""

    def holds(self, situation: Situation) -> bool:
        """Compare the namespaces."""
        return self._fits(situation.namespace)


@task("io.kestra.plugin.core.condition.MultipleCondition", kind="condition")
class MultipleCondition(Condition):
    """Several conditions have held within a window of time (deprecated)."""

    id: str | None = None
    time_window: Plain | None = None
    window: timedelta | None = None
    window_advance: timedelta | None = None
    reset_on_success: bool = True
    conditions: Annotated[Mapping[str, Plain], Raw()]

    def holds(self, situation: Situation) -> bool:
        """Whether all hold at once; over time, the window's store says it."""
        return all(situation.each(condition) for condition in self.conditions.values())


def _among(
    state: State, included: tuple[State, ...] | None, excluded: tuple[State, ...] | None
) -> bool:
    return (included is None or state in included) and (excluded is None or state not in excluded)


def _true(text: str) -> bool:
    return bool(text.strip()) and text.strip() != "false"


def _between(value: Any, after: Any, before: Any) -> bool:
    if after is None and before is None:
        raise TaskFailed("Invalid condition with no before nor after")
    return (after is None or value > after) and (before is None or value < before)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.partition("[")[0].strip())
    except ValueError:
        raise TaskFailed(f"`date` is no date with a time: {text!r}") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


def _day(text: str) -> date:
    stripped = text.strip()
    try:
        return date.fromisoformat(stripped) if len(stripped) == 10 else _moment(stripped).date()
    except ValueError:
        raise TaskFailed(f"`date` is no date: {text!r}") from None


def _of_day(moment: time | None) -> timedelta | None:
    """The time since midnight, moved to UTC."""
    if moment is None:
        return None
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    offset = moment.utcoffset() or timedelta(0)
    return timedelta(seconds=seconds, microseconds=moment.microsecond) - offset
