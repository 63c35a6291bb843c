"""Forms out of declared inputs, and what a person filled in. Pure.

Each input is a field named `in.<id>`, so that no input can take the name of another part of the
form. A field left empty is not given at all: the flow's default counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import FileStorage, MultiDict

from penstock_runner.flow.model import Input
from penstock_server.api.starts import Given

PREFIX = "in."
RADIOS = 5
LONG = frozenset({"JSON", "YAML", "ARRAY", "ION"})
NUMBERS = frozenset({"INT", "FLOAT"})
HINTS: Mapping[str, str] = {
    "DATETIME": "A date and time with zone, such as 2026-01-31T12:00:00Z.",
    "DATE": "A date, such as 2026-01-31.",
    "TIME": "A time, such as 12:00:00.",
    "DURATION": "A duration, such as PT45M.",
    "JSON": "JSON.",
    "YAML": "YAML.",
    "ARRAY": "A JSON list.",
    "URI": "An address with its scheme.",
    "EMAIL": "An e-mail address.",
    "SECRET": "Masked in logs.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input as a field."""

    id: str
    label: str
    control: str
    required: bool
    value: str = ""
    chosen: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    hint: str = ""
    error: str = ""
    free: bool = False

    @property
    def name(self) -> str:
        """The name of the field in the form."""
        return PREFIX + self.id

    @property
    def named(self) -> bool:
        """Whether the label is another word than the id."""
        return self.label != self.id


def fields(
    inputs: Sequence[Input],
    sent: MultiDict[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> tuple[Field, ...]:
    """The fields of a form; `sent` is what was filled in before, with what was wrong."""
    return tuple(_field(one, sent, (errors or {}).get(one.id, "")) for one in inputs)


def filled(
    inputs: Sequence[Input], form: MultiDict[str, str], files: MultiDict[str, FileStorage]
) -> Given:
    """What a person gave."""
    values: dict[str, Any] = {}
    uploads: dict[str, FileStorage] = {}
    for one in inputs:
        name = PREFIX + one.id
        if one.type == "FILE":
            file = files.get(name)
            if file is not None and file.filename:
                uploads[one.id] = file
        elif one.type in {"BOOLEAN", "BOOL"}:
            values[one.id] = "true" if form.get(name) else "false"
        elif one.type == "MULTISELECT":
            if chosen := [text for text in form.getlist(name) if text]:
                values[one.id] = chosen
        elif form.get(name, "") != "":
            values[one.id] = form[name].replace("\r\n", "\n")
    return Given(values=values, files=uploads)


def labels(text: str) -> list[tuple[str, str]] | None:
    """Labels written `key: value`, parted by commas; None when one cannot be read."""
    found = []
    for part in text.split(","):
        if not part.strip():
            continue
        key, colon, value = part.partition(":")
        if not colon or not key.strip() or not value.strip():
            return None
        found.append((key.strip(), value.strip()))
    return found


def _field(one: Input, sent: MultiDict[str, str] | None, error: str) -> Field:
    default = one.defaults if one.defaults is not None else one.prefill
    expression = isinstance(default, str) and "{{" in default
    name = PREFIX + one.id
    value = "" if default is None or expression else _text(default)
    chosen = tuple(_text(item) for item in default) if isinstance(default, list | tuple) else ()
    if sent is not None:
        value = sent.get(name, "")
        chosen = tuple(sent.getlist(name))
    options = _options(one)
    control = _control(one, options)
    if control == "check" and sent is not None:
        value = "true" if sent.get(name) else "false"
    return Field(
        id=one.id,
        label=one.display_name or one.id,
        control=control,
        required=one.required and default is None and control != "check",
        value="" if one.type == "SECRET" else value,
        chosen=chosen,
        options=options,
        hint=_hint(one, default if expression else None),
        error=error,
        free=bool(one.options.get("allowCustomValue")),
    )


def _control(one: Input, options: Sequence[str]) -> str:
    if one.type in {"BOOLEAN", "BOOL"}:
        return "check"
    if one.type == "MULTISELECT":
        return "checks" if options else "long"
    if options:
        few = len(options) <= RADIOS and one.required and not one.options.get("allowCustomValue")
        return "radios" if few else "select"
    if one.type in LONG:
        return "long"
    if one.type in NUMBERS:
        return "number"
    return {"FILE": "file", "SECRET": "secret", "DATE": "date", "TIME": "time"}.get(
        one.type, "text"
    )


def _options(one: Input) -> tuple[str, ...]:
    values = one.options.get("values") or one.options.get("options") or ()
    return tuple(_text(value) for value in values) if isinstance(values, list | tuple) else ()


def _hint(one: Input, expression: object) -> str:
    parts = [one.description.strip()] if one.description else []
    if one.type in HINTS and not one.description:
        parts.append(HINTS[one.type])
    if expression is not None:
        parts.append(f"Left empty, it is {expression}.")
    low, high = one.options.get("min"), one.options.get("max")
    if low is not None or high is not None:
        parts.append(
            f"From {low}."
            if high is None
            else f"Up to {high}."
            if low is None
            else f"From {low} to {high}."
        )
    if one.depends_on:
        condition = one.depends_on.get("condition")
        parts.append(f"Counts only if {condition}." if condition else "")
    return " ".join(part for part in parts if part)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, indent=2, default=str)
    return str(value)
