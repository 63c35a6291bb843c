"""From properties of a flow file to an instance of a task's class: rendered, converted, checked.

Every text is rendered to text, in lists and maps too. A field marked `Typed()` keeps the type of
its value, a field marked `Raw()` is not rendered: its task does that, with variables of its own.
Properties that the type does not have are left out, since defaults by prefix may carry some; a
property written in the flow file itself was refused when the file was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.tasks.api import Raw, TaskFailed, Typed
from penstock_runner.tasks.fitting import fields_by_spelling

WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a known property",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a map",
    "mapping_type": "must be a map",
    "int_parsing": "must be a whole number",
    "bool_parsing": "must be true or false",
    "time_delta_parsing": "must be a duration such as PT5M",
    "time_delta_type": "must be a duration such as PT5M",
}


class Render(Protocol):
    """How expressions are rendered for one task run."""

    def text(self, template: str) -> str | None:
        """A template as text."""
        ...

    def typed(self, value: object) -> object:
        """Texts, maps and lists through; an expression alone keeps the type of its value."""
        ...

    def deep(self, value: object) -> object:
        """Texts, maps and lists through, every expression as text."""
        ...


M = TypeVar("M", bound=BaseModel)


def bind(cls: type[M], properties: Mapping[str, Any], render: Render) -> M:
    """The task with its rendered properties; what does not fit is a `TaskFailed` that names it."""
    fields = fields_by_spelling(cls)
    values = {
        name: _rendered(name, fields[name], value, render)
        for name, value in properties.items()
        if name in fields
    }
    for name, field in cls.model_fields.items():
        if isinstance(field.default, str) and "{{" in field.default and not _mark(field):
            spellings = {name, field.alias}
            if not any(values.get(str(spelling)) is not None for spelling in spellings):
                values[name] = _rendered(name, field, field.default, render)
    # What was written but came out as nothing counts as left out, unless it has to be given.
    kept = {n: v for n, v in values.items() if v is not None or fields[n].is_required()}
    return validated(cls, kept)


def validated(cls: type[M], values: Mapping[str, Any]) -> M:
    """An instance of already rendered values, or a `TaskFailed` with all that is wrong."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise TaskFailed("; ".join(_fault(detail) for detail in error.errors())) from None


def _rendered(name: str, field: FieldInfo, value: object, render: Render) -> object:
    try:
        match _mark(field):
            case "raw":
                return value
            case "typed":
                return render.typed(value)
            case _:
                return render.text(value) if isinstance(value, str) else render.deep(value)
    except ExpressionFailed as error:
        raise TaskFailed(f"{name}: {error}") from error


def _mark(field: FieldInfo) -> str:
    for mark in field.metadata:
        if isinstance(mark, Raw):
            return "raw"
        if isinstance(mark, Typed):
            return "typed"
    return ""


def _fault(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "properties"
    words = WORDS.get(detail["type"])
    if words is None:
        message = str(detail["msg"])
        words = message.removeprefix("Value error, ")
        words = words[:1].lower() + words[1:]
    if detail["type"] in {"missing", "extra_forbidden"}:
        return f"`{place}` {words}"
    shown = repr(detail["input"])
    return f"`{place}` {words}, not {shown[:100]}"
