"""Faults in the form of the language's API: one text of `path: message` lines.

That form differs from a list of faults in two ways: reading stops at the first thing that cannot
be read, and what is wrong with the flow as a whole is one violation that starts with `Invalid
Flow:`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from penstock_runner.flow.faults import Fault, Severity

_UNREADABLE = frozenset(
    ("UNKNOWN_PROPERTY", "WRONG_TYPE", "UNKNOWN_TASK_TYPE", "UNKNOWN_TRIGGER_TYPE")
)
FLOW_WIDE = frozenset(
    (
        "DUPLICATE_TASK_ID",
        "DUPLICATE_TRIGGER_ID",
        "DUPLICATE_INPUT",
        "DUPLICATE_OUTPUT",
        "SUBFLOW_CYCLE",
        "INPUT_DEPENDENCY",
        "SYSTEM_LABEL",
    )
)
_INVALID_TYPE = "Invalid type: "
_EMPTY = "must not be empty"
_LISTED = re.compile(r"(.* with name) \[(.*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One reason against a flow, with the path of what it is about."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def violations(faults: Iterable[Fault], data: object = None) -> list[Violation]:
    """The violations that faults amount to; with the data, unreadable places are named by class."""
    errors = [fault for fault in faults if fault.severity is Severity.ERROR]
    unreadable = [fault for fault in errors if _stops_reading(fault)]
    if unreadable:
        first = min(unreadable, key=lambda fault: (fault.line, fault.column))
        path = reference_path(data, first.pointer) if data is not None else dotted(first.pointer)
        return _unreadable(first, path)
    found = [
        Violation(path=dotted(fault.pointer), message=message)
        for fault in errors
        if fault.code not in FLOW_WIDE
        for message in _messages(fault, data)
    ]
    if reasons := _flow_wide([fault for fault in errors if fault.code in FLOW_WIDE]):
        found.append(Violation(path="", message="Invalid Flow: " + ", ".join(reasons)))
    return found


def joined_message(faults: Iterable[Fault], data: object = None) -> str:
    """All violations as one text, one a line."""
    return "".join(f"{violation}\n" for violation in violations(faults, data))


def _stops_reading(fault: Fault) -> bool:
    return (
        fault.code in _UNREADABLE
        or fault.code.startswith("YAML_")
        or fault.message.startswith(_INVALID_TYPE)
    )


def _unreadable(fault: Fault, path: str) -> list[Violation]:
    message = fault.formal or fault.message
    if fault.code.startswith("YAML_"):
        message += f" (line {fault.line}, column {fault.column})"
    found = [Violation(path=path, message=message)]
    if fault.message.startswith(_INVALID_TYPE):
        name = fault.message.removeprefix(_INVALID_TYPE)
        message = f"Could not resolve type id '{name}'"
        if name == "null":
            steps = [step for step in fault.pointer.split("/") if step and not step.isdecimal()]
            message = f"missing type id property 'type' (for POJO property '{steps[0]}')"
        if fault.hint:
            message += f", {fault.hint}"
        found.append(Violation(path=path, message=message))
    return found


def _flow_wide(faults: Sequence[Fault]) -> list[str]:
    """The reasons in the order in which the language gives them, names of one kind together."""
    reasons: dict[str, list[str]] = {}
    for fault in faults:
        listed = _LISTED.fullmatch(fault.message)
        names = reasons.setdefault(listed[1] if listed else fault.message, [])
        if listed and listed[2] not in names:
            names.append(listed[2])
    return [
        f"{reason} [{', '.join(names)}]" if names else reason for reason, names in reasons.items()
    ]


def _messages(fault: Fault, data: object) -> list[str]:
    """The message without the property's name in front, since the path says it already.

    A list that is not there is both null and empty in the language's own counting.
    """
    name = fault.pointer.rpartition("/")[2]
    message = fault.message.removeprefix(f"'{name}' ")
    absent = data is not None and message == _EMPTY and _value(data, fault.pointer) is None
    return ["must not be null", message] if absent else [message]


def _value(data: object, pointer: str) -> object:
    for step in _steps(pointer):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data


def dotted(pointer: str) -> str:
    """A JSON pointer as `tasks[0].retry`."""
    path = ""
    for step in _steps(pointer):
        path += f"[{step}]" if step.isdecimal() else f".{step}" if path else step
    return path


def reference_path(data: object, pointer: str) -> str:
    """A JSON pointer as the chain of classes that the language's API writes."""
    links: list[str] = []
    at = data
    owner = "io.kestra.core.models.flows.Flow"
    for step in _steps(pointer):
        if isinstance(at, Sequence) and not isinstance(at, str):
            links.append(f"java.util.ArrayList[{step}]")
            at = at[int(step)] if step.isdecimal() and int(step) < len(at) else None
        else:
            type_ = at.get("type") if links and isinstance(at, Mapping) else None
            if links:
                owner = str(type_) if type_ else "java.util.LinkedHashMap"
            links.append(f'{owner}["{step}"]')
            at = at.get(step) if isinstance(at, Mapping) else None
    return "->".join(links)


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
