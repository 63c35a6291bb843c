"""Labels: both spellings, the reserved prefix, and which label wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SYSTEM_PREFIX = "system."
READ_ONLY = "system.readOnly"
CORRELATION_ID = "system.correlationId"
REPLAY = "system.replay"
RESTARTED = "system.restarted"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLabel:
    """Why a label is refused; `where` are the steps from the labels to it."""

    where: tuple[str | int, ...]
    message: str
    code: str = "BAD_VALUE"


def read_labels(data: object) -> tuple[dict[str, str], list[BadLabel]]:
    """The labels of a map or of a list of key and value, in order, and what is wrong with them."""
    if data is None:
        return {}, []
    if isinstance(data, Mapping):
        pairs = [((str(key),), str(key), value) for key, value in data.items()]
        return _texts(pairs)
    if not isinstance(data, list):
        message = "labels are a map, or a list of key and value"
        return {}, [BadLabel(where=(), message=message, code="WRONG_TYPE")]
    found: list[tuple[tuple[str | int, ...], str, object]] = []
    faults: list[BadLabel] = []
    for index, item in enumerate(data):
        if not isinstance(item, Mapping) or set(item) != {"key", "value"}:
            message = "a label of a list has exactly 'key' and 'value'"
            faults.append(BadLabel(where=(index,), message=message, code="WRONG_TYPE"))
        elif item["key"] is None or isinstance(item["key"], list | dict):
            faults.append(BadLabel(where=(index, "key"), message="'key' must not be null"))
        else:
            found.append(((index, "value"), text_of(item["key"]), item["value"]))
    labels, more = _texts(found)
    return labels, faults + more


def _texts(
    pairs: Iterable[tuple[tuple[str | int, ...], str, object]],
) -> tuple[dict[str, str], list[BadLabel]]:
    labels: dict[str, str] = {}
    faults: list[BadLabel] = []
    for where, key, value in pairs:
        if isinstance(value, str | bool | int | float):
            # Of two labels with one key the first counts, as it does in expressions.
            labels.setdefault(key, text_of(value))
        else:
            shown = "null" if value is None else str(value)
            message = f"Unsupported type for key: {key}, value: {shown}"
            faults.append(BadLabel(where=where, message=message))
    return labels, faults


def text_of(value: object) -> str:
    """A scalar as label text; booleans as YAML writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_system(key: str) -> bool:
    """Whether a label is reserved."""
    return key.startswith(SYSTEM_PREFIX)


def offending(labels: Mapping[str, str], allowed: Iterable[str] = ()) -> list[str]:
    """One message for each reserved label that may not be set here."""
    permitted = frozenset(allowed)
    return [
        f"System labels can only be set by Kestra itself, offending label: {key}={value}"
        for key, value in labels.items()
        if is_system(key) and key not in permitted
    ]


def of_execution(
    flow: Mapping[str, str],
    given: Mapping[str, str],
    execution_id: str | None = None,
    *,
    trigger: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The labels of a new execution: the flow's own, then the trigger's, then those of the request.

    One value a key, the last wins. An execution id stands in for the correlation id
    when none was inherited.
    """
    labels = {key: value for key, value in flow.items() if not is_system(key)}
    labels |= dict(trigger or {})
    labels |= dict(given)
    if execution_id is not None:
        labels.setdefault(CORRELATION_ID, execution_id)
    return labels
