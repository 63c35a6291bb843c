"""Rules over the declared inputs of a flow: options that fit, dependencies that end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from penstock_runner.flow.cycles import in_circles
from penstock_runner.flow.literals import pattern_reason
from penstock_runner.flow.trigger_rules import Finding
from penstock_runner.flow.types import INPUT_OPTIONS


def input_findings(data: Mapping[str, object]) -> Iterator[Finding]:
    """What is wrong with one input; its name is in front where the whole input is meant."""
    name = data.get("id", data.get("name"))
    for where, message in _wrong(data):
        if message.endswith("must not be null"):
            yield where, "MISSING_PROPERTY", message
        elif where == ("validator",):
            yield where, "BAD_VALUE", message
        else:
            yield where, "BAD_VALUE", f"{name}: {message}"


def _wrong(data: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], str]]:
    type_ = data.get("type")
    pattern = data.get("validator")
    if isinstance(pattern, str) and (reason := pattern_reason(pattern)):
        yield ("validator",), reason
    if type_ == "FILE" and data.get("defaults") is not None and not _file_default(data):
        yield ("defaults",), "no `defaults` can be set for inputs of type 'FILE'"
    if type_ in ("ARRAY", "MULTISELECT"):
        yield from _item_type(data, required=type_ == "ARRAY")
    if type_ == "ENUM" and not data.get("values"):
        yield ("values",), "'values' must not be null"
    if type_ in ("SELECT", "MULTISELECT"):
        yield from _choices(data)
    depends = data.get("dependsOn")
    if depends is not None and not isinstance(depends, Mapping):
        yield ("dependsOn",), "`dependsOn` is a map with `inputs` and `condition`"


def _file_default(data: Mapping[str, object]) -> bool:
    default = data["defaults"]
    return isinstance(default, str) and default.startswith("nsfile:///")


def _item_type(
    data: Mapping[str, object], *, required: bool
) -> Iterator[tuple[tuple[str, ...], str]]:
    item = data.get("itemType")
    if item is None:
        if required:
            yield ("itemType",), "'itemType' must not be null"
    elif item == "ARRAY":
        yield ("itemType",), "`itemType` cannot be `ARRAY`"
    elif item not in INPUT_OPTIONS:
        yield ("itemType",), f"`itemType` cannot be `{item}`: known are {', '.join(INPUT_OPTIONS)}"


def _choices(data: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], str]]:
    values, options = data.get("values"), data.get("options")
    if values is not None and options is not None:
        yield ("options",), "you can't define both `values` and `options`"
    if values is None and options is None and data.get("expression") is None:
        yield (), "you must define `values` or `expression`"
    if (values or options) and data.get("expression") is not None:
        yield ("expression",), "you can't define both `values` and `expression`"


def dependency_findings(inputs: Sequence[object]) -> Iterator[Finding]:
    """Dependencies on inputs that are not there, and those that go in a circle."""
    needs: dict[str, list[str]] = {}
    places: dict[str, int] = {}
    for index, item in enumerate(inputs):
        if isinstance(item, Mapping):
            name = str(item.get("id", item.get("name")))
            depends = item.get("dependsOn")
            wanted = depends.get("inputs") if isinstance(depends, Mapping) else None
            needs[name] = [str(w) for w in wanted] if isinstance(wanted, list) else []
            places[name] = index
    for name, wanted in needs.items():
        at = (places[name], "dependsOn")
        for other in wanted:
            if other not in needs:
                message = f"Input with id '{name}' depends on a non-existent input '{other}'."
                yield at, "BAD_VALUE", message
    for name in in_circles(needs):
        chain = ", ".join(_reached(name, needs))
        message = f"Cycle dependency detected for input with id '{name}': [{chain}]"
        yield (places[name], "dependsOn"), "BAD_VALUE", message


def _reached(start: str, needs: Mapping[str, list[str]]) -> list[str]:
    """Everything that an input waits for, nearest first."""
    found: dict[str, None] = {}
    waiting = deque(needs.get(start, ()))
    while waiting:
        name = waiting.popleft()
        if name not in found:
            found[name] = None
            waiting.extend(needs.get(name, ()))
    return list(found)
