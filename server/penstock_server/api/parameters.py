"""Query values of requests as typed values; what cannot be read is a 422 that says why."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from werkzeug.datastructures import MultiDict

from penstock_runner.engine.state import State
from penstock_runner.flow.model import Level
from penstock_server.api.problems import bad_request, illegal_argument
from penstock_server.store.queries import ExecutionFilter, FlowFilter, LogFilter, Paging

Args = MultiDict[str, str]

MAX_SIZE = 10_000
_WHOLE = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_RANGE = re.compile(
    r"P(?:(?P<days>[0-9]{1,7})D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,9}(?:\.[0-9]{1,9})?)S)?)?",
    re.ASCII,
)
_SPACED_OFFSET = re.compile(r"(T[0-9:.]+) ([0-9]{2}:?[0-9]{2})$")
_FILTER = re.compile(r"filters\[(\w+)\]\[(\w+)\](?:\[([^\]]+)\])?", re.ASCII)
_FILTER_NAMES = {"query": "q", "flowId": "flowId", "childFilter": "childFilter"}


def whole(args: Args, name: str, default: int | None = None) -> int | None:
    """A whole number."""
    text = args.get(name)
    if text is None or text == "":
        return default
    if not _WHOLE.fullmatch(text):
        raise illegal_argument(f"{name} must be a whole number, not '{_short(text)}'")
    return int(text)


def flag(args: Args, name: str, *, default: bool) -> bool:
    """True or false."""
    text = args.get(name)
    if text is None or text == "":
        return default
    if text.lower() not in {"true", "false"}:
        raise illegal_argument(f"{name} must be true or false, not '{_short(text)}'")
    return text.lower() == "true"


def required(args: Args, name: str) -> str:
    """A value that must be there."""
    text = args.get(name)
    if text is None:
        raise bad_request(f"Required QueryValue [{name}] not specified")
    return text


def instant(args: Args, name: str) -> datetime | None:
    """An ISO date-time with offset."""
    text = args.get(name)
    if not text:
        return None
    return read_instant(text, name)


def read_instant(text: str, name: str) -> datetime:
    """An ISO date-time with offset, in UTC."""
    # A `+` that the client did not encode arrives as a blank.
    spelled = _SPACED_OFFSET.sub(r"\1+\2", text)
    try:
        at = datetime.fromisoformat(spelled)
        if at.tzinfo is None:
            raise ValueError
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise illegal_argument(
            f"{name} must be a date-time with offset such as 2026-01-31T12:00:00Z,"
            f" not '{_short(text)}'"
        ) from None


def paging(args: Args, default_size: int = 10) -> Paging:
    """Page, size and sort."""
    page = whole(args, "page", 1)
    size = whole(args, "size", default_size)
    if page is None or page < 1:
        raise illegal_argument("page must be greater than or equal to 1")
    if size is None or size < 1:
        raise illegal_argument("size must be greater than or equal to 1")
    if size > MAX_SIZE:
        raise illegal_argument(f"size must be less than or equal to {MAX_SIZE}")
    return Paging(page=page, size=size, sort=tuple(_sort(s) for s in args.getlist("sort") if s))


def labels(args: Args) -> list[tuple[str, str]]:
    """Every `labels=key:value`; the first colon parts key and value."""
    found = []
    for text in args.getlist("labels"):
        key, colon, value = text.partition(":")
        key, value = key.strip(), value.strip()
        if not colon or not key or not value:
            raise illegal_argument(f"a label is written key:value, not '{_short(text)}'")
        found.append((key, value))
    return found


def execution_filter(args: Args, now: datetime) -> ExecutionFilter:
    """Which executions a search or an action by query is about."""
    args = plain(args)
    start, end = _time(args, now)
    child = _one_of(args, "childFilter", ("CHILD", "MAIN"))
    return ExecutionFilter(
        text=args.get("q") or None,
        scopes=_scopes(args),
        namespace=args.get("namespace") or None,
        flow_id=args.get("flowId") or None,
        start=start,
        end=end,
        states=_states(args),
        labels=labels(args),
        trigger_execution_id=args.get("triggerExecutionId") or None,
        child=child,
    )


def flow_filter(args: Args) -> FlowFilter:
    """Which flows a search or an action by query is about."""
    args = plain(args)
    return FlowFilter(
        text=args.get("q") or None,
        scopes=_scopes(args),
        namespace=args.get("namespace") or None,
        labels=labels(args),
    )


def log_filter(args: Args, now: datetime) -> LogFilter:
    """Which log lines a search is about."""
    args = plain(args)
    start, end = _time(args, now)
    return LogFilter(
        text=args.get("q") or None,
        namespace=args.get("namespace") or None,
        flow_id=args.get("flowId") or None,
        trigger_id=args.get("triggerId") or None,
        min_level=level(args),
        start=start,
        end=end,
    )


def level(args: Args) -> Level | None:
    """The least important level that is wanted."""
    found = _one_of(args, "minLevel", [known.value for known in Level])
    return None if found is None else Level(found)


def state(text: str, name: str) -> State:
    """A state by its name."""
    try:
        return State(text.upper())
    except ValueError:
        raise illegal_argument(f"{name} '{_short(text)}' is not a state") from None


def duration(text: str, name: str) -> timedelta:
    """An ISO duration of days at most."""
    found = _RANGE.fullmatch(text)
    parts = {k: float(v) for k, v in found.groupdict().items() if v} if found else {}
    if not parts:
        raise illegal_argument(
            f"{name} must be a duration of days or less, such as PT12H or P7D, not '{_short(text)}'"
        )
    return timedelta(**parts)


def _time(args: Args, now: datetime) -> tuple[datetime | None, datetime | None]:
    start, end = instant(args, "startDate"), instant(args, "endDate")
    text = args.get("timeRange")
    if text:
        if start is not None:
            raise illegal_argument("Parameters 'startDate' and 'timeRange' are mutually exclusive")
        try:
            start = now - duration(text, "timeRange")
        except OverflowError:
            raise illegal_argument(f"timeRange '{_short(text)}' is too long") from None
    if start is not None and end is not None and start > end:
        raise illegal_argument("Start date must be before End Date")
    return start, end


def _sort(text: str) -> tuple[str, bool]:
    name, colon, direction = text.partition(":")
    if not colon or not name:
        raise illegal_argument(f"Invalid sort parameter '{_short(text)}', write field:asc")
    return name, direction.lower() != "asc"


def _states(args: Args) -> list[str]:
    return [state(part, "state").value for part in _parts(args.getlist("state"))]


def _scopes(args: Args) -> list[str]:
    found = [part.upper() for part in _parts(args.getlist("scope"))]
    if not set(found) <= {"USER", "SYSTEM"}:
        raise illegal_argument("scope is USER or SYSTEM")
    return found


def _parts(texts: Iterable[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _one_of(args: Args, name: str, known: Iterable[str]) -> str | None:
    text = args.get(name)
    if not text:
        return None
    if text.upper() not in known:
        raise illegal_argument(f"{name} is one of {', '.join(known)}, not '{_short(text)}'")
    return text.upper()


def plain(args: Args) -> Args:
    """The newer `filters[field][OP]=value` as the plain names."""
    if not any(name.startswith("filters[") for name in args):
        return args
    told: Args = MultiDict(
        [(k, v) for k, v in args.items(multi=True) if not k.startswith("filters[")]
    )
    for name, value in args.items(multi=True):
        if not name.startswith("filters["):
            continue
        found = _FILTER.fullmatch(name)
        if found is None or found[2] not in _OPERATIONS.get(found[1], _OPERATIONS[""]):
            raise illegal_argument(f"the filter '{_short(name)}' is not known")
        if found[1] == "labels":
            told.add("labels", f"{found[3]}:{value}" if found[3] else value)
        else:
            told.add(_FILTER_NAMES.get(found[1], found[1]), value)
    return told


_OPERATIONS = {
    "": {"EQUALS"},
    "query": {"EQUALS"},
    "labels": {"EQUALS"},
    "state": {"EQUALS", "IN"},
    "scope": {"EQUALS", "IN"},
    "namespace": {"EQUALS", "STARTS_WITH", "PREFIX"},
    "startDate": {"EQUALS", "GREATER_THAN", "GREATER_THAN_OR_EQUAL_TO"},
    "endDate": {"EQUALS", "LESS_THAN", "LESS_THAN_OR_EQUAL_TO"},
    "level": {"EQUALS"},
}


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."
