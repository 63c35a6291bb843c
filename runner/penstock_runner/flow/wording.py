"""The words of faults: what pydantic finds, said in the language's own terms."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import cast

from penstock_runner.flow.document import Document, pointer_of
from penstock_runner.flow.faults import Fault
from penstock_runner.flow.suggestions import did_you_mean

_WRONG_TYPE = ("_type", "_parsing", "model_attributes_type")
_PARTS = "io.kestra.core.models."
_CODES = {
    "missing": "MISSING_PROPERTY",
    "literal_error": "BAD_VALUE",
    "enum": "BAD_VALUE",
    "extra_forbidden": "UNKNOWN_PROPERTY",
}
_PLAIN_WORDS = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a map",
    "mapping_type": "must be a map",
    "model_type": "must be a map",
    "time_delta_type": "must be a duration such as PT5M",
    "time_delta_parsing": "must be a duration such as PT5M",
}


def describe(name: str, detail: Mapping[str, object]) -> tuple[str, str, str | None]:
    """The code, the message and the hint of one pydantic error about a property."""
    kind = str(detail["type"])
    if kind == "missing":
        return "MISSING_PROPERTY", f"'{name}' must not be null", None
    code = _CODES.get(kind, "WRONG_TYPE" if kind.endswith(_WRONG_TYPE) else "BAD_VALUE")
    words = _PLAIN_WORDS.get(kind)
    if words is None:
        words = str(detail["msg"]).replace("Input should", "must").removeprefix("Value error, ")
    context = cast("Mapping[str, object]", detail.get("ctx") or {})
    known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    return code, f"'{name}' {words}", did_you_mean(str(detail.get("input"))[:100], known)


def unknown_property(
    document: Document, pointer: str, name: str, what: str, allowed: Collection[str]
) -> Fault:
    """The fault of a property that nobody knows, with the one that was probably meant."""
    known = ", ".join(f'"{word}"' for word in sorted(allowed))
    formal = (
        f'Unrecognized field "{name}" (class {what}), not marked as ignorable'
        f" ({len(allowed)} known properties: {known})"
    )
    hint = did_you_mean(name, allowed)
    message = f"'{name}' is no property of {_owner(what)}"
    if hint is None:
        message += f", which has {', '.join(sorted(allowed))}"
    fault = document.fault("UNKNOWN_PROPERTY", message, pointer + pointer_of(name), key=True)
    return replace(fault, hint=hint, formal=formal)


def _owner(what: str) -> str:
    """A type by its name, a part of the language by its word."""
    if not what.startswith(_PARTS):
        return what
    words = re.findall(r"[A-Z][a-z]*", what.rpartition(".")[2].partition("$")[0])
    return " ".join(["an" if words[0][0] in "AEIO" else "a", *words]).lower() if words else what
