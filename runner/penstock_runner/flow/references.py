"""What a flow names that lies outside of it: flows that it calls, and secrets that it reads.

Only names that are written out are found; what an expression builds is known when it is rendered.
Whether they exist is for others to say, who know all flows and secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from penstock_runner.flow.document import Document
from penstock_runner.flow.faults import MAX_FAULTS
from penstock_runner.flow.positions import Span, line_and_column
from penstock_runner.flow.sites import Site, task_sites, templates
from penstock_runner.flow.types import FOR_EACH_ITEM, SUBFLOW

FLOW: Literal["flow"] = "flow"
SECRET: Literal["secret"] = "secret"  # noqa: S105 - the kind of a name, and no secret
_SECRET = re.compile(r"""\bsecret\(\s*(?:key\s*=\s*)?(["'])([A-Za-z0-9_.-]+)\1\s*\)""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name at its place; the namespace of a secret is that of the flow which reads it."""

    kind: Literal["flow", "secret"]
    namespace: str
    name: str
    line: int
    column: int
    pointer: str


def references(document: Document, namespace: str) -> list[Reference]:
    """The flows and secrets that the flow of a document names, in the order of the file."""
    data = document.data
    if not isinstance(data, Mapping):
        return []
    found = [*_flows(document, data, namespace)]
    if "secret(" in document.text:
        found += _secrets(document, data, namespace)
    return sorted(found, key=lambda one: (one.line, one.column))[:MAX_FAULTS]


def _flows(document: Document, data: Mapping[str, object], namespace: str) -> Iterator[Reference]:
    for site in task_sites(data, data):
        for written, pointer in _calls(site):
            where, name = written.get("namespace", namespace), written.get("flowId")
            if not isinstance(where, str) or not isinstance(name, str) or "{" in where + name:
                continue
            at = f"{pointer}/flowId"
            span = document.place(at)
            yield _reference(FLOW, where, name, span, at)


def _calls(site: Site) -> Iterator[tuple[Mapping[str, object], str]]:
    if site.kind in (SUBFLOW, FOR_EACH_ITEM):
        yield site.written, site.pointer
    inner = site.written.get("subflow")
    if isinstance(inner, Mapping):
        yield inner, f"{site.pointer}/subflow"


def _secrets(document: Document, data: Mapping[str, object], namespace: str) -> Iterator[Reference]:
    for pointer, text in templates(data):
        for match in _SECRET.finditer(text):
            span = document.place_in(pointer, *line_and_column(text, match.start(2)))
            yield _reference(SECRET, namespace, match[2], span, pointer)


def _reference(
    kind: Literal["flow", "secret"], namespace: str, name: str, span: Span, pointer: str
) -> Reference:
    return Reference(
        kind=kind,
        namespace=namespace,
        name=name,
        line=span.line,
        column=span.column,
        pointer=pointer,
    )
