"""Rules over a whole flow: ids that differ, labels that are reserved, defaults that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from penstock_runner.flow.catalogue import Catalogue
from penstock_runner.flow.document import Document, pointer_of
from penstock_runner.flow.faults import Fault
from penstock_runner.flow.input_rules import dependency_findings, input_findings
from penstock_runner.flow.labels import READ_ONLY, offending, read_labels
from penstock_runner.flow.parse import Parsed
from penstock_runner.flow.sites import Site, trigger_sites
from penstock_runner.flow.types import (
    COMMON_TASK,
    COMMON_TRIGGER,
    ENGINE_TASKS,
    FLOWABLES,
    FOR_EACH_ITEM,
    SUBFLOW,
    canonical,
)


def flow_faults(
    parsed: Parsed, data: Mapping[str, object], tasks: list[Site], catalogue: Catalogue
) -> Iterator[Fault]:
    """Everything that is wrong with the flow as a whole."""
    document = parsed.document
    places = [(site.id, site.pointer) for site in tasks]
    yield from _twice(document, places, "DUPLICATE_TASK_ID", "task id")
    triggers = [(s.id, s.pointer) for s in trigger_sites(data, data)]
    yield from _twice(document, triggers, "DUPLICATE_TRIGGER_ID", "trigger id")
    yield from _recursion(document, data, tasks)
    for name, code in (("inputs", "DUPLICATE_INPUT"), ("outputs", "DUPLICATE_OUTPUT")):
        yield from _twice(document, _named(data, name), code, name[:-1])
    inputs = data.get("inputs")
    if isinstance(inputs, list):
        yield from _inputs(document, inputs)
    for message in offending(read_labels(data.get("labels"))[0], (READ_ONLY,)):
        yield document.fault("SYSTEM_LABEL", message, "/labels")
    yield from _concurrency(document, data.get("concurrency"))
    yield from _sla(document, data.get("sla"))
    for name in ("pluginDefaults", "taskDefaults"):
        yield from _defaults(document, data.get(name), name, catalogue)


def identity_faults(previous: Mapping[str, object], parsed: Parsed) -> Iterator[Fault]:
    """What an update may not change: the id and the namespace of the flow that it replaces."""
    data = parsed.document.data
    if isinstance(data, Mapping):
        for name, message in renamed(previous, data):
            yield parsed.document.fault("BAD_VALUE", message, f"/{name}")


def renamed(previous: Mapping[str, object], now: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The names that an update changes though it may not, each with what is said of it."""
    for name, what in (("id", "flow id"), ("namespace", "namespace")):
        if now.get(name) != previous.get(name):
            yield name, f"Illegal {what} update"


def _named(data: Mapping[str, object], name: str) -> list[tuple[str, str]]:
    items = data.get(name)
    return [
        (str(item.get("id", item.get("name", ""))), f"/{name}/{index}")
        for index, item in enumerate(items if isinstance(items, list) else ())
        if isinstance(item, Mapping)
    ]


def _twice(
    document: Document, places: list[tuple[str, str]], code: str, what: str
) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for id_, pointer in places:
        if not id_:
            continue
        if id_ in first:
            at = document.place(first[id_] + "/id")
            fault = document.fault(code, f"Duplicate {what} with name [{id_}]", pointer + "/id")
            yield replace(fault, hint=f"first at {at.line}:{at.column}")
        else:
            first[id_] = pointer


def _recursion(
    document: Document, data: Mapping[str, object], tasks: list[Site]
) -> Iterator[Fault]:
    own = (data.get("namespace"), data.get("id"))
    for site in tasks:
        named = (site.written.get("namespace"), site.written.get("flowId"))
        if site.kind in (SUBFLOW, FOR_EACH_ITEM) and named == own:
            message = f"Recursive call to flow [{own[0]}.{own[1]}]"
            yield document.fault("SUBFLOW_CYCLE", message, site.pointer + "/flowId")


def _inputs(document: Document, inputs: list[object]) -> Iterator[Fault]:
    for where, _, message in dependency_findings(inputs):
        yield document.fault("INPUT_DEPENDENCY", message, "/inputs" + pointer_of(*where))
    for index, item in enumerate(inputs):
        if isinstance(item, Mapping):
            for where, code, message in input_findings(item):
                yield document.fault(code, message, f"/inputs/{index}" + pointer_of(*where))


def _concurrency(document: Document, data: object) -> Iterator[Fault]:
    if isinstance(data, Mapping):
        limit = data.get("limit")
        if isinstance(limit, int) and not isinstance(limit, bool) and limit < 1:
            message = "'limit' must be greater than 0"
            yield document.fault("BAD_VALUE", message, "/concurrency/limit")


def _sla(document: Document, data: object) -> Iterator[Fault]:
    required = {"MAX_DURATION": "duration", "EXECUTION_ASSERTION": "assert"}
    for index, item in enumerate(data if isinstance(data, list) else ()):
        if not isinstance(item, Mapping):
            continue
        pointer = f"/sla/{index}"
        name = required.get(str(item.get("type")))
        if name is not None and item.get(name) is None:
            message = f"'{name}' must not be null"
            yield document.fault("MISSING_PROPERTY", message, f"{pointer}/{name}")
        for message in offending(read_labels(item.get("labels"))[0]):
            yield document.fault("BAD_VALUE", message + ".", f"{pointer}/labels")


def _defaults(document: Document, data: object, name: str, catalogue: Catalogue) -> Iterator[Fault]:
    for index, item in enumerate(data if isinstance(data, list) else ()):
        if not isinstance(item, Mapping):
            continue
        reasons = default_reasons(item, catalogue)
        if reasons:
            message = "Invalid Plugin Default: " + ", ".join(reasons)
            yield document.fault("BAD_VALUE", message, f"/{name}/{index}")


def default_reasons(item: Mapping[str, object], catalogue: Catalogue) -> list[str]:
    """What is wrong with one plugin default."""
    values = item.get("values")
    if not isinstance(values, Mapping):
        return ["No 'values' provided"]
    type_ = item.get("type")
    if not isinstance(type_, str) or not type_:
        return ["No 'type' provided"]
    reasons = [f"No value provided for key '{key}'" for key, v in values.items() if v is None]
    known = _properties_of(type_, catalogue)
    if known is not None:
        lower = {word.lower() for word in known}
        reasons += [
            f"No property '{key}' exists in plugin '{type_}'"
            for key in values
            if key.lower() not in lower
        ]
    return reasons


def _properties_of(type_: str, catalogue: Catalogue) -> frozenset[str] | None:
    """All properties of a type; None for a prefix and for what is unknown or only a name."""
    kind = canonical(type_)
    if kind in FLOWABLES:
        return FLOWABLES[kind].names | COMMON_TASK
    info = catalogue.find(type_)
    if info is None or info.properties is None:
        return ENGINE_TASKS[kind].names | COMMON_TASK if kind in ENGINE_TASKS else None
    common = COMMON_TRIGGER if info.kind == "trigger" else COMMON_TASK
    return common | property_names(info.properties.model_fields)


def property_names(fields: Mapping[str, object]) -> frozenset[str]:
    """The spellings of a model's fields in flow files."""
    return frozenset(str(getattr(f, "alias", None) or name) for name, f in fields.items())
