"""Reading plain data with care: what every part of a flow file needs when it is bound.

A `Reading` has the document and the faults found in it so far. Its methods turn a piece of data
into a value or into a fault at the place of that piece, and never raise for what a person wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar, cast

from pydantic import ValidationError

from penstock_runner.flow import durations, model
from penstock_runner.flow.document import Document, pointer_of
from penstock_runner.flow.faults import MAX_FAULTS, Fault, Severity
from penstock_runner.flow.labels import read_labels
from penstock_runner.flow.wording import describe, unknown_property

_SPELLINGS = {"run_if": "runIf", "log_level": "logLevel"}
_DURATIONS = frozenset(("interval", "maxInterval", "minInterval", "maxDuration", "duration"))

_SUCCESSORS = {
    "listeners": "use a Flow trigger or 'afterExecution'",
    "taskDefaults": "write 'pluginDefaults'",
}

M = TypeVar("M", bound=model.Model)
T = TypeVar("T")


class Reading:
    """The document that is read, and what was found wrong in it."""

    def __init__(self, document: Document, *, strict: bool = True) -> None:
        self.document = document
        self.strict = strict
        self.faults: list[Fault] = []

    def common(
        self,
        data: Mapping[str, object],
        fields: Mapping[str, str],
        values: dict[str, object],
        pointer: str,
    ) -> None:
        """Put what every task or trigger has into the values, by its field."""
        for name, field in fields.items():
            value = data.get(name)
            if value is None:
                continue
            if field in values:
                other = next(n for n, f in fields.items() if f == field and n != name)
                message = f"'{name}' and '{other}' mean the same: leave one out"
                self.add("BAD_VALUE", message, f"{pointer}/{name}", key=True)
            values[field] = self.text(value) if field == "run_if" else value

    def each(
        self, data: object, pointer: str, read: Callable[[object, str], T | None]
    ) -> tuple[T, ...]:
        """Read every item of a list; those that cannot be read are left out."""
        if data is None:
            return ()
        if not isinstance(data, list):
            name = pointer.rpartition("/")[2]
            self.add("WRONG_TYPE", f"'{name}' must be a list", pointer)
            return ()
        found = [read(item, f"{pointer}/{index}") for index, item in enumerate(data)]
        return tuple(item for item in found if item is not None)

    def maps(self, data: object, pointer: str) -> tuple[Mapping[str, object], ...]:
        """A list of maps."""

        def one(item: object, at: str) -> Mapping[str, object] | None:
            if isinstance(item, Mapping):
                return item
            self.add("WRONG_TYPE", "a condition is a map with type", at)
            return None

        return self.each(data, pointer, one)

    def map(
        self, data: object, allowed: Collection[str], pointer: str, what: str
    ) -> dict[str, object] | None:
        """A small object without its nulls, its durations read; None when it is no map."""
        if not isinstance(data, Mapping):
            self.add("WRONG_TYPE", f"{what} must be a map", pointer)
            return None
        self.known(data, allowed, pointer, what)
        values = {k: v for k, v in data.items() if k in allowed and v is not None}
        for name in _DURATIONS & values.keys():
            values[name] = self.duration(values[name], f"{pointer}/{name}")
        return values

    def labels(self, data: object, pointer: str) -> dict[str, str]:
        """Labels in either spelling."""
        labels, bad = read_labels(data)
        for fault in bad:
            self.add(fault.code, fault.message, pointer + pointer_of(*fault.where))
        return labels

    def id(self, data: Mapping[str, object], pointer: str, pattern: re.Pattern[str]) -> str:
        """The id of an object; empty when there is none."""
        text = self.text(data.get("id"))
        name = "name" if "id" not in data and "name" in data else "id"
        if text is None:
            self.add("MISSING_PROPERTY", "'id' must not be null", f"{pointer}/id")
            return ""
        if not pattern.fullmatch(text):
            message = f"'id' must match \"^{pattern.pattern}\""
            self.add("BAD_ID", message, f"{pointer}/{name}")
        return text

    def text(self, value: object) -> str | None:
        """A scalar as text: ids and conditions may look like numbers or booleans."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, str | int | float) else None

    def timeout(self, value: object, pointer: str) -> str | None:
        """A time-out as text; an expression is judged when it is rendered."""
        if isinstance(value, str) and "{{" in value:
            return value
        return None if self.duration(value, pointer) is None else str(value)

    def duration(self, value: object, pointer: str) -> timedelta | None:
        """A duration, or None after a fault."""
        try:
            return durations.parse(value)
        except durations.BadDuration as error:
            self.add("BAD_VALUE", str(error), pointer)
            return None

    def wait(self, value: object, pointer: str, longest: timedelta | None) -> timedelta | None:
        """A duration that is not negative and not too long, or None after a fault."""
        found = self.duration(value, pointer)
        if found is None:
            return None
        if found < timedelta() or (longest is not None and found > longest):
            most = "" if longest is None else f" and at most {durations.to_iso(longest)}"
            self.add("BAD_VALUE", f"{value} is no time to wait: at least PT0S{most}", pointer)
            return None
        return found

    def known(
        self, data: Mapping[str, object], allowed: Collection[str], pointer: str, what: str
    ) -> None:
        """Refuse properties that nobody knows, unless reading is not strict."""
        if not self.strict:
            return
        for name in data:
            if name not in allowed and self.room(Severity.ERROR):
                self.faults.append(unknown_property(self.document, pointer, name, what, allowed))

    def model(self, kind: type[M], values: Mapping[str, object], pointer: str) -> M | None:
        """A value of the language from its parts; None after a fault."""
        before = len(self.faults)
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False) if self.room(Severity.ERROR) else ():
                fault = self._fault_of(cast("Mapping[str, object]", detail), pointer)
                # An id or type that is missing has been told already, in better words.
                if not any(f.pointer == fault.pointer for f in self.faults):
                    self.faults.append(fault)
            if len(self.faults) == before and not self.errors_since(0):
                self.add("BAD_VALUE", str(error).splitlines()[0], pointer)
            return None

    def _fault_of(self, detail: Mapping[str, object], pointer: str) -> Fault:
        where = cast("Sequence[str | int]", detail["loc"])
        steps = [_SPELLINGS.get(str(s), _camel(s)) for s in where if not str(s).startswith("dict[")]
        at = pointer + pointer_of(*[s for s in steps if s not in ("bool", "json-or-python")])
        code, message, hint = describe(str(at.rpartition("/")[2]), detail)
        return replace(self.document.fault(code, message, at), hint=hint)

    def errors_since(self, count: int) -> bool:
        """Whether an error was found after so many faults."""
        return any(fault.severity is Severity.ERROR for fault in self.faults[count:])

    def add(self, code: str, message: str, pointer: str, *, key: bool = False) -> None:
        """Keep an error at the place of a pointer."""
        if self.room(Severity.ERROR):
            self.faults.append(self.document.fault(code, message, pointer, key=key))

    def room(self, severity: Severity) -> bool:
        """Whether another fault of this severity is kept; finding its place takes time."""
        if len(self.faults) < MAX_FAULTS:
            return True
        return sum(fault.severity is severity for fault in self.faults) < MAX_FAULTS

    def warn(self, code: str, message: str, pointer: str, child: str | None) -> None:
        """Keep a warning about an object, at one of its properties."""
        if not self.room(Severity.WARNING):
            return
        at = pointer if child is None else f"{pointer}/{child}"
        fault = self.document.fault(code, message, at)
        self.faults.append(replace(fault, pointer=pointer, severity=Severity.WARNING))

    def deprecated_property(self, pointer: str, old: str, way_out: str | None = None) -> None:
        """Keep a warning about an old name of a property."""
        if not self.room(Severity.WARNING):
            return
        way_out = way_out or _SUCCESSORS.get(old, "leave it out")
        fault = self.document.fault(
            "DEPRECATED_PROPERTY", f"'{old}' is deprecated: {way_out}", pointer, key=True
        )
        self.faults.append(replace(fault, severity=Severity.WARNING))


def _camel(step: str | int) -> str | int:
    if isinstance(step, int) or "_" not in step:
        return step
    head, *rest = step.strip("_").split("_")
    return head + "".join(word.title() for word in rest)
