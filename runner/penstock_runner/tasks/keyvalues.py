"""The rules of the key-value store, pure: which keys are good, what type a value has, when it ends.

Values are plain JSON data: instants, dates and durations are ISO texts, and the entry's `type`
says what they are. `typed_value` gives the date or duration that such a text means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from penstock_runner.flow import durations
from penstock_runner.tasks.api import KvEntry, TaskFailed

KINDS = ("STRING", "NUMBER", "BOOLEAN", "DATETIME", "DATE", "DURATION", "JSON")

_KEY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_LIKE_DURATION = re.compile(r"P(?=\d|T\d)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[-+]\d{2}:?\d{2})")


class BadKey(TaskFailed):
    """The text cannot be a key."""


class BadValue(TaskFailed):
    """The value does not fit the type it is said to have."""


class KeyExists(TaskFailed):
    """The key holds a value that may not be overwritten."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Cannot set value for key '{key}'. "
            "Key already exists and `overwrite` is set to `false`."
        )


def check_key(key: str | None) -> str:
    """The key, when it is one."""
    if not key:
        raise BadKey("Key cannot be null or empty")
    if not _KEY.fullmatch(key):
        raise BadKey(
            "Key must start with an alphanumeric character (uppercase or lowercase) and can "
            "contain alphanumeric characters (uppercase or lowercase), dots (.), "
            "underscores (_), and hyphens (-) only."
        )
    return key


def check_namespace(namespace: str, caller: str | None, existing: Iterable[str]) -> str:
    """The namespace, when a flow of `caller` may use its keys.

    Its own and those above it always; any other must exist: a flow is in it or below it, or it
    holds keys (`existing` are the namespaces of flows and of keys).
    """
    if caller is not None and caller.startswith(namespace):
        return namespace
    if any(known == namespace or known.startswith(f"{namespace}.") for known in existing):
        return namespace
    raise TaskFailed(f"Cannot access the KV store. The namespace '{namespace}' does not exist.")


def make_entry(
    key: str,
    value: object,
    kind: str | None,
    ttl: timedelta | None,
    now: datetime,
    previous: KvEntry | None,
) -> KvEntry:
    """The entry that a write makes; `kind` converts a text, else the value says what it is."""
    if ttl is not None and ttl < timedelta(0):
        raise BadValue("ttl cannot be negative")
    if ttl is not None and ttl > durations.LONGEST:
        raise BadValue("ttl is too long: leave it out to keep the value for ever")
    plain, type_ = _typed(value, kind)
    current = previous if previous is not None and not expired(previous, now) else None
    return KvEntry(
        key=check_key(key),
        value=plain,
        type=type_,
        created=current.created if current is not None else now,
        updated=now,
        expires=None if ttl is None else now + ttl,
    )


def expired(entry: KvEntry, now: datetime) -> bool:
    """Whether the time of the entry is over."""
    return entry.expires is not None and entry.expires <= now


def typed_value(entry: KvEntry) -> object:
    """The value as expressions see it: an instant, date or duration where the type says so."""
    if not isinstance(entry.value, str):
        return entry.value
    match entry.type:
        case "DATETIME":
            return datetime.fromisoformat(entry.value)
        case "DATE":
            return date.fromisoformat(entry.value)
        case "DURATION":
            return durations.parse_iso(entry.value)
        case _:
            return entry.value


def read_text(text: str) -> object:
    """The value that the body of a request means: JSON, or an instant or date without quotes."""
    stripped = text.strip()
    if _INSTANT.fullmatch(stripped):
        return datetime.fromisoformat(stripped)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", stripped):
        return date.fromisoformat(stripped)
    try:
        value: object = json.loads(stripped)
    except ValueError:
        raise BadValue("The value must be JSON: put a text into quotes") from None
    return value


def _typed(value: object, kind: str | None) -> tuple[object, str]:
    if kind is not None and kind not in KINDS:
        raise BadValue(f"Unknown type {kind!r}: use one of {', '.join(KINDS)}")
    if kind is not None and isinstance(value, str):
        value = _converted(value, kind)
    match value:
        case bool():
            return value, "BOOLEAN"
        case int() | float():
            return value, "NUMBER"
        case datetime():
            return _instant(value), "DATETIME"
        case date():
            return value.isoformat(), "DATE"
        case timedelta():
            return durations.to_iso(value), "DURATION"
        case str():
            return value, "DURATION" if _LIKE_DURATION.fullmatch(value) else "STRING"
        case _:
            return _plain(value), "JSON"


def _converted(text: str, kind: str) -> object:
    try:
        match kind:
            case "NUMBER":
                number = json.loads(text)
                if isinstance(number, bool) or not isinstance(number, (int, float)):
                    raise ValueError  # noqa: TRY004 - one error for every text that does not fit
                return number
            case "BOOLEAN":
                return text.strip().lower() == "true"
            case "DATETIME":
                return datetime.fromisoformat(text.strip())
            case "DATE":
                stripped = text.strip()
                whole = "T" in stripped
                return datetime.fromisoformat(stripped) if whole else date.fromisoformat(stripped)
            case "DURATION":
                return durations.parse_iso(text.strip())
            case "JSON":
                return json.loads(text)
            case _:
                return text
    except ValueError:
        raise BadValue(f"Cannot read the value as {kind}: {text[:100]!r}") from None


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case datetime():
            return _instant(value)
        case date():
            return value.isoformat()
        case timedelta():
            return durations.to_iso(value)
        case _:
            return value


def _instant(value: datetime) -> str:
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
