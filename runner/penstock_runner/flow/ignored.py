"""Properties that the language knows and nothing here acts on: who writes one is told.

A flow that uses them is kept as it is, since it runs without them; what it would run like with them
is not pretended. Whoever makes one work takes its name out of here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from penstock_runner.flow.document import Document
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.sites import Site
from penstock_runner.flow.types import APPROVAL, SUBFLOW

OF_FLOWS = ("quota",)
OF_TASKS = ("assets", "version", "pluginDefaultsRef")
OF_KINDS = {SUBFLOW: ("restartBehavior",), APPROVAL: ("assignment",)}


def ignored(document: Document, data: Mapping[str, object]) -> Iterator[Fault]:
    """A warning for each property without effect, at its place."""
    yield from _of(document, data, OF_FLOWS, "")


def ignored_of_task(document: Document, site: Site) -> Iterator[Fault]:
    """A warning for each property of a task without effect, at its place."""
    names = (*OF_TASKS, *OF_KINDS.get(site.kind, ()))
    yield from _of(document, site.written, names, site.pointer)


def _of(document: Document, written: object, names: Iterable[str], pointer: str) -> Iterator[Fault]:
    if not isinstance(written, Mapping):
        return
    for name in names:
        if written.get(name) not in (None, False):
            message = f"'{name}' has no effect here: the flow runs as if it were not written"
            fault = document.fault("NO_EFFECT", message, f"{pointer}/{name}")
            yield replace(fault, severity=Severity.WARNING)
