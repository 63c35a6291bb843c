"""Rules of the triggers and conditions that belong to the language itself.

Their properties are named here, so that a flow can be checked where no class of them is at hand;
schedules, preconditions and time windows have rules over several values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from penstock_runner.flow.literals import cron_reason, is_template, zone_reason
from penstock_runner.flow.types import CORE, Shape, shape

SCHEDULE = CORE + "trigger.Schedule"
FLOW_TRIGGER = CORE + "trigger.Flow"


_HTTP = (
    "method body formData contentType headers options sslOptions params encryptBody interval "
    "responseCondition stopAfter stopOnFailure failOnTriggerError allowConcurrent"
)
TRIGGERS: Mapping[str, Shape] = {
    SCHEDULE: shape(
        "cron",
        "withSeconds timezone lateMaximumDelay recoverMissedSchedules scheduleConditions backfill "
        "interval stopOnFailure failOnTriggerError allowConcurrent",
    ),
    CORE + "trigger.ScheduleOnDates": shape("dates", "timezone recoverMissedSchedules"),
    CORE + "trigger.Webhook": shape("key", "wait returnOutputs responseContentType responseCode"),
    FLOW_TRIGGER: shape("", "states preconditions"),
    CORE + "http.Trigger": shape("uri", _HTTP),
}

CONDITIONS: Mapping[str, Shape] = {
    CORE + "condition." + name: known
    for name, known in {
        "DateTimeBetween": shape("", "date after before"),
        "TimeBetween": shape("", "date after before"),
        "DayWeek": shape("dayOfWeek", "date"),
        "DayWeekInMonth": shape("dayOfWeek dayInMonth", "date"),
        "Weekend": shape("", "date"),
        "PublicHoliday": shape("", "date country subDivision"),
        "Expression": shape("expression"),
        "ExecutionOutputs": shape("expression"),
        "Not": shape("conditions"),
        "Or": shape("conditions"),
        "ExecutionFlow": shape("namespace flowId"),
        "ExecutionNamespace": shape("namespace", "comparison prefix"),
        "ExecutionStatus": shape("", "in notIn"),
        "ExecutionLabels": shape("labels"),
        "HasRetryAttempt": shape("", "in notIn"),
        "FlowCondition": shape("namespace flowId"),
        "FlowNamespaceCondition": shape("namespace", "prefix comparison"),
        "MultipleCondition": shape(
            "id conditions", "timeWindow window windowAdvance resetOnSuccess"
        ),
    }.items()
}

# A finding is the steps from the object to the place, a code and a message.
Finding = tuple[tuple[str | int, ...], str, str]


def schedule_findings(data: Mapping[str, object]) -> Iterator[Finding]:
    """What is wrong with a Schedule."""
    cron = data.get("cron")
    if isinstance(cron, str) and not is_template(cron):
        reason = cron_reason(cron, with_seconds=data.get("withSeconds") is True)
        if reason is not None:
            yield ("cron",), "BAD_CRON", reason
    if data.get("interval") is not None:
        yield ("interval",), "BAD_VALUE", "'interval' must be null"
    yield from _zone(data)


def _zone(data: Mapping[str, object]) -> Iterator[Finding]:
    zone = data.get("timezone")
    if isinstance(zone, str) and not is_template(zone) and (reason := zone_reason(zone)):
        yield ("timezone",), "BAD_VALUE", reason


def trigger_findings(kind: str, data: Mapping[str, object]) -> Iterator[Finding]:
    """What is wrong with a trigger of this kind, beyond its properties one by one."""
    if kind == SCHEDULE:
        yield from schedule_findings(data)
    elif kind == CORE + "trigger.ScheduleOnDates":
        yield from _zone(data)
    elif kind == CORE + "trigger.Webhook":
        key = data.get("key")
        if isinstance(key, str) and len(key) > 256:
            yield ("key",), "BAD_VALUE", "'key' size must be between 0 and 256"
    elif kind == FLOW_TRIGGER and isinstance(found := data.get("preconditions"), Mapping):
        for where, code, message in precondition_findings(found):
            yield ("preconditions", *where), code, message


_PRECONDITIONS = frozenset(("id", "timeWindow", "resetOnSuccess", "flows", "where"))


def precondition_findings(data: Mapping[str, object]) -> Iterator[Finding]:
    """What is wrong with the preconditions of a Flow trigger."""
    if data.get("id") is None:
        yield ("id",), "MISSING_PROPERTY", "'id' must not be null"
    yield from _unknown(data, _PRECONDITIONS)
    if isinstance(window := data.get("timeWindow"), Mapping):
        for where, code, message in time_window_findings(window):
            yield ("timeWindow", *where), code, message
    flows = data.get("flows")
    for index, flow in enumerate(flows if isinstance(flows, list) else ()):
        if isinstance(flow, Mapping) and flow.get("namespace") is None:
            message = "'namespace' must not be null"
            yield ("flows", index, "namespace"), "MISSING_PROPERTY", message
    groups = data.get("where")
    for index, group in enumerate(groups if isinstance(groups, list) else ()):
        filters = group.get("filters") if isinstance(group, Mapping) else None
        for at, one in enumerate(filters if isinstance(filters, list) else ()):
            if isinstance(one, Mapping):
                for where, code, message in filter_findings(one):
                    yield ("where", index, "filters", at, *where), code, message


_FIELDS = ("FLOW_ID", "NAMESPACE", "STATE", "EXPRESSION")
_MANY = ("IN", "NOT_IN")
_TYPES = (
    "EQUAL_TO", "NOT_EQUAL_TO", "IS_TRUE", "IS_FALSE", "IS_NULL", "IS_NOT_NULL", "STARTS_WITH",
    "ENDS_WITH", "REGEX", "CONTAINS", *_MANY,
)  # fmt: skip


def filter_findings(data: Mapping[str, object]) -> Iterator[Finding]:
    """What is wrong with one filter of a precondition: the first thing only."""
    type_ = data.get("type")
    for name, known in (("field", _FIELDS), ("type", _TYPES)):
        if data.get(name) not in known:
            yield (name,), "BAD_VALUE", f"'{name}' must be one of {', '.join(known)}"
            return
    wanted, other = ("values", "value") if type_ in _MANY else ("value", "values")
    if data.get(other) is not None and (data.get(wanted) is not None or wanted == "values"):
        yield (other,), "BAD_VALUE", f"`{other}` must be null for type {type_}"
    elif data.get(wanted) is None:
        yield (), "BAD_VALUE", f"`{wanted}` cannot be null for type {type_}"


_LENGTH = ("window", "windowAdvance")
_TIMES = ("startTime", "endTime")
# What each type needs, and what it refuses: any of these properties, and how they are called. A
# length between two times of day would be another end, so it counts as a deadline too.
_WINDOWS: Mapping[str, tuple[tuple[str, ...], tuple[tuple[tuple[str, ...], str], ...]]] = {
    "DURATION_WINDOW": ((), ((("deadline",), "a deadline"), (_TIMES, "a start or end time"))),
    "SLIDING_WINDOW": ((), ((("deadline",), "a deadline"), (_TIMES, "a start or end time"))),
    "DAILY_TIME_WINDOW": (
        _TIMES,
        ((_LENGTH, "a window"), (("deadline", "window"), "a deadline")),
    ),
    "DAILY_TIME_DEADLINE": (
        ("deadline",),
        ((_LENGTH, "a window"), (_TIMES, "a start or end time")),
    ),
}
_WINDOW_NAMES = frozenset(("type", "window", "windowAdvance", "deadline", "startTime", "endTime"))


def time_window_findings(data: Mapping[str, object]) -> Iterator[Finding]:
    """What is wrong with a time window: properties that its type has no use for, or lacks."""
    yield from _unknown(data, _WINDOW_NAMES)
    type_ = data.get("type") or "DURATION_WINDOW"
    if type_ not in _WINDOWS:
        yield ("type",), "BAD_VALUE", f"'type' must be one of {', '.join(_WINDOWS)}"
        return
    given = {name for name in _WINDOW_NAMES if data.get(name) is not None}
    required, refused = _WINDOWS[str(type_)]
    for name in required:
        if name not in given:
            yield (), "MISSING_PROPERTY", f"Time window of type `{type_}` must have a {name}."
    for names, shown in refused:
        found = next((name for name in names if name in given), None)
        if found is not None:
            message = f"Time window of type `{type_}` cannot have {shown}."
            yield (found,), "BAD_VALUE", message


def _unknown(data: Mapping[str, object], known: frozenset[str]) -> Iterator[Finding]:
    for name in data:
        if name not in known:
            message = f'Unrecognized field "{name}", known are {", ".join(sorted(known))}'
            yield (name,), "UNKNOWN_PROPERTY", message
