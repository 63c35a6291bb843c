"""Reading flow files: text in, `Parsed` out, every fault at once and at its place.

`Parsed.flow` is what the author wrote. `Parsed.effective` is what runs: the same after plugin
defaults were put in. `check` then judges a `Parsed` against the types that exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from penstock_runner.flow.binding import Binder
from penstock_runner.flow.defaults import Given, apply_defaults, read_defaults
from penstock_runner.flow.document import Document
from penstock_runner.flow.faults import Fault, Severity, without_echoes
from penstock_runner.flow.model import Flow
from penstock_runner.flow.yaml import load_documents

_REVISION_LINE = re.compile(r"^revision:[^\n]*(?:\n|\Z)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """One document of a flow file, read.

    `flow` and `effective` are None when an error stands in the way; warnings and notes do not.
    `effective_data` is the plain data with defaults applied.
    """

    document: Document
    flow: Flow | None = None
    effective: Flow | None = None
    faults: tuple[Fault, ...] = ()
    effective_data: Mapping[str, object] = field(default_factory=dict, repr=False)
    strict: bool = True

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that block."""
        return tuple(f for f in self.faults if f.severity is Severity.ERROR)


def parse_flow(
    text: str,
    path: str = "",
    *,
    strict: bool = True,
    global_defaults: Sequence[Given] = (),
    namespace: str | None = None,
) -> Parsed:
    """Read a file that holds one flow; `namespace` stands in for the one of the file."""
    read = parse_documents(
        text, path, strict=strict, global_defaults=global_defaults, namespace=namespace
    )
    if len(read) <= 1:
        return read[0] if read else _empty(path)
    fault = read[1].document.fault(
        "WRONG_TYPE", f"the file holds {len(read)} documents where one flow is expected", ""
    )
    return replace(read[0], faults=(*read[0].faults, fault), flow=None, effective=None)


def parse_documents(
    text: str,
    path: str = "",
    *,
    strict: bool = True,
    global_defaults: Sequence[Given] = (),
    namespace: str | None = None,
) -> list[Parsed]:
    """Read every document of a file; those with nothing in them are left out."""
    return [
        _parse(document, strict=strict, global_defaults=global_defaults, namespace=namespace)
        for document in load_documents(text, path)
        if document.faults or document.data is not None
    ]


def _empty(path: str) -> Parsed:
    message = "the file is empty: a flow has id, namespace and tasks"
    fault = Fault(code="YAML_SYNTAX", message=message, path=path)
    return Parsed(document=Document(path=path, faults=(fault,)), faults=(fault,))


def _parse(
    document: Document,
    *,
    strict: bool,
    global_defaults: Sequence[Given],
    namespace: str | None,
) -> Parsed:
    if any(fault.severity is Severity.ERROR for fault in document.faults):
        return Parsed(document=document, faults=document.faults, strict=strict)
    data = document.data
    if namespace is not None and isinstance(data, Mapping):
        data = {**data, "namespace": namespace}
    source = _REVISION_LINE.sub("", document.source)
    binder = Binder(document, strict=strict)
    flow = binder.flow(data, source)
    if not isinstance(data, Mapping):
        return Parsed(document=document, faults=tuple(binder.faults), strict=strict)
    effective_data = apply_defaults(data, read_defaults(data), global_defaults)
    effective, faults = _effective(document, data, effective_data, flow, binder.faults)
    name = flow_name(data)
    in_order = sorted(without_echoes(faults), key=lambda fault: (fault.line, fault.column))
    blocked = any(fault.severity is Severity.ERROR for fault in in_order)
    return Parsed(
        document=document,
        flow=None if blocked else flow,
        effective=None if blocked else effective,
        faults=tuple(replace(fault, flow=name) for fault in in_order),
        effective_data=effective_data,
        strict=strict,
    )


def flow_name(data: Mapping[str, object]) -> str:
    """The full name of a flow as far as its data tells it."""
    return ".".join(str(data[part]) for part in ("namespace", "id") if data.get(part))


def _effective(
    document: Document,
    data: Mapping[str, object],
    effective_data: Mapping[str, object],
    flow: Flow | None,
    faults: list[Fault],
) -> tuple[Flow | None, list[Fault]]:
    if effective_data is data or flow is None:
        return flow, faults
    binder = Binder(document, strict=False)
    effective = binder.flow(effective_data, flow.source)
    told = {fault.pointer for fault in faults}
    new = [f for f in binder.faults if f.severity is Severity.ERROR and f.pointer not in told]
    return effective, [*faults, *new]
