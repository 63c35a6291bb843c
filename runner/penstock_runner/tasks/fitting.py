"""Fits what flow files and rendered expressions hold to the types that properties declare.

Rendering gives text, YAML gives whatever was easiest to write: a number for a text, a JSON text
for a list, `3600` for a duration. What pydantic would refuse is turned here into what it takes;
what cannot be turned is left as it is, so that pydantic's message names the property.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from penstock_runner.flow import durations

Shape = Literal["text", "list", "map", "data", "duration", "model", "scalar", "any"]


def fit_properties(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, each fitted to its field; unknown ones are left for the model to refuse."""
    fields = fields_by_spelling(model)
    fitted: dict[str, Any] = {}
    for name, value in values.items():
        field = fields.get(name)
        fitted[name] = value if field is None else fit(field.annotation, value)
    return fitted


@lru_cache(maxsize=1024)
def fields_by_spelling(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """The fields of a model under every name that flow files may use."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        found[name] = field
        if field.alias:
            found[field.alias] = field
        for choice in getattr(field.validation_alias, "choices", ()):
            found[str(choice)] = field
    return found


def fit(annotation: object, value: object) -> object:
    """The value in a form that the annotated type takes, when there is an obvious one."""
    bare, optional = _bare(annotation)
    shape = _shape(bare)
    if isinstance(value, str) and optional and not value.strip() and shape not in {"text", "any"}:
        return None
    match shape:
        case "text":
            return _text(value)
        case "list":
            items = _json(value, "[") if isinstance(value, str) else value
            inner = _inner(bare, 0)
            if isinstance(items, Iterable) and not isinstance(items, (str, Mapping)):
                return [fit(inner, item) for item in items]
            return items
        case "map":
            parsed = _json(value, "{") if isinstance(value, str) else value
            inner = _inner(bare, 1)
            if isinstance(parsed, Mapping):
                return {str(key): fit(inner, item) for key, item in parsed.items()}
            return parsed
        case "model":
            return _json(value, "{") if isinstance(value, str) else value
        case "data":
            return _json(value, "{[") if isinstance(value, str) else value
        case "duration":
            return _duration(value)
        case "scalar":
            return value.strip() if isinstance(value, str) else value
        case "any":
            return value


@lru_cache(maxsize=4096)
def _bare(annotation: object) -> tuple[Any, bool]:
    """The annotation without `Annotated` and `None`, and whether None was allowed."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, types.UnionType}:
        members = [_bare(a)[0] for a in get_args(annotation) if a is not type(None)]
        optional = len(members) < len(get_args(annotation))
        if len(members) == 1:
            return members[0], optional
        return tuple(members), optional
    return annotation, False


def _shape(bare: Any) -> Shape:
    if isinstance(bare, tuple):
        shapes = {_shape(member) for member in bare}
        return "data" if shapes <= {"list", "map", "model", "data"} else "any"
    origin = get_origin(bare) or bare
    if origin is Literal:
        return "scalar"
    if not isinstance(origin, type):
        return "any"
    if issubclass(origin, BaseModel):
        return "model"
    if issubclass(origin, Mapping):
        return "map"
    if origin is str:
        return "text"
    if issubclass(origin, timedelta):
        return "duration"
    if issubclass(origin, (Sequence, set, frozenset)) and not issubclass(origin, str):
        return "list"
    return "any" if origin is object else "scalar"


def _inner(bare: Any, position: int) -> object:
    arguments = get_args(bare)
    return arguments[position] if len(arguments) > position else object


def _text(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


def _json(text: str, starts: str) -> object:
    stripped = text.strip()
    if not stripped or stripped[0] not in starts:
        return text
    try:
        return json.loads(stripped)
    except ValueError:
        return text


def _duration(value: object) -> object:
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return value
    try:
        return durations.parse(value)
    except durations.BadDuration:
        return value
