"""The own properties of triggers that the server fires: models only.

What every trigger has (`id`, `conditions`, `inputs`, `labels` ...) is the language's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Literal

from pydantic import Field

from penstock_runner.engine.state import State
from penstock_runner.tasks.api import Properties, TaskProperties, task

Recover = Literal["ALL", "LAST", "NONE"]
Texts = tuple[str, ...]


@task("io.kestra.plugin.core.trigger.Schedule", kind="trigger")
class Schedule(TaskProperties):
    """Start an execution at the times of a cron expression."""

    cron: str
    with_seconds: bool = False
    timezone: str | None = None
    late_maximum_delay: timedelta | None = None
    recover_missed_schedules: Recover | None = None
    schedule_conditions: tuple[Mapping[str, object], ...] | None = None
    backfill: Mapping[str, object] | None = None
    interval: object = None
    stop_on_failure: bool = False
    fail_on_trigger_error: bool = False
    allow_concurrent: bool = False


@task("io.kestra.plugin.core.trigger.ScheduleOnDates", kind="trigger")
class ScheduleOnDates(TaskProperties):
    """Start an execution at each of the given dates."""

    dates: tuple[datetime, ...]
    timezone: str | None = None
    recover_missed_schedules: Recover | None = None


class Signature(Properties):
    """How the sender of a webhook proves who it is: as a forge does it, or by a header.

    Of several secrets any will do, so that one can be changed for another.
    """

    secret: str | tuple[str, ...]
    forge: Literal["github", "gitlab", "gitea", "forgejo", "bitbucket", "generic"] | None = None
    header: str | None = None
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    prefix: str | None = None
    encoding: Literal["hex", "base64"] = "hex"


@task("io.kestra.plugin.core.trigger.Webhook", kind="trigger")
class Webhook(TaskProperties):
    """Start an execution when its address is called."""

    key: str
    signature: Signature | None = None
    wait: bool = False
    return_outputs: bool = False
    response_content_type: str | None = None
    response_code: int | None = None


class TimeWindow(Properties):
    """Within which time all preconditions must have held."""

    type: Literal[
        "DURATION_WINDOW", "SLIDING_WINDOW", "DAILY_TIME_WINDOW", "DAILY_TIME_DEADLINE"
    ] = "DURATION_WINDOW"
    window: timedelta | None = None
    window_advance: timedelta | None = None
    deadline: time | None = None
    start_time: time | None = None
    end_time: time | None = None


class UpstreamFlow(Properties):
    """An execution to wait for: of a flow or of a whole namespace."""

    namespace: str
    flow_id: str | None = None
    states: tuple[State, ...] | None = None
    labels: Mapping[str, object] | tuple[Mapping[str, object], ...] | None = None


class Filter(Properties):
    """One comparison with a fact of an execution."""

    field: Literal["FLOW_ID", "NAMESPACE", "STATE", "EXPRESSION"]
    type: str
    value: str | None = None
    values: Texts | None = None


class Where(Properties):
    """Comparisons of which all (or any) must hold for an execution."""

    id: str
    operand: Literal["AND", "OR"] = "AND"
    filters: tuple[Filter, ...]


class Preconditions(Properties):
    """Executions that must all have happened within a window of time."""

    id: str
    time_window: TimeWindow = TimeWindow()
    reset_on_success: bool = True
    flows: tuple[UpstreamFlow, ...] = ()
    where: tuple[Where, ...] = ()


@task("io.kestra.plugin.core.trigger.Flow", kind="trigger")
class Flow(TaskProperties):
    """Start an execution when executions of other flows change their state.

    `preconditions` stays plain data, since the language checks it; `wanted` reads it.
    """

    states: tuple[State, ...] | None = None
    preconditions: Mapping[str, object] | None = None

    @property
    def wanted(self) -> Preconditions | None:
        """The preconditions as typed values."""
        return Preconditions.model_validate(self.preconditions) if self.preconditions else None


@task("io.penstock.trigger.Push", kind="trigger")
class Push(TaskProperties):
    """Start an execution for each commit of a Git source that was applied."""

    source: str | None = None
    branches: Texts | None = None
    tags: Texts | None = None
    paths: Texts | None = None
    events: tuple[Literal["push", "tag"], ...] = Field(default=("push", "tag"), min_length=1)
    initial: bool = False
