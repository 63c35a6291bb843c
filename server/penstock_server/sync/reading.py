"""From the files of a commit to flows: which files are flows, what they hold, and what is wrong.

This runs in the child of a look, because reading thousands of files keeps a processor busy for
seconds. What comes out is plain data, ready to be sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from penstock_runner.flow.catalogue import Catalogue
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.model import Flow
from penstock_runner.flow.parse import Parsed, parse_documents
from penstock_runner.flow.rewriting import Renames, rewritten
from penstock_runner.flow.yaml import Document, load_documents
from penstock_runner.tasks.validation import all_faults
from penstock_server.sync.includes import Read as ReadFile
from penstock_server.sync.includes import expand
from penstock_server.sync.named import named_in, reference_data
from penstock_server.sync.namespaces import Placed, allowed, namespace_for
from penstock_server.sync.settings import Mapping as NamespaceMapping
from penstock_server.sync.suite_files import is_suite, suite_data, suite_faults

File = dict[str, Any]
# A flow, what is wrong with it, and what it names outside of itself.
Read = tuple[Flow | None, list[Fault], list[Fault]]


class Reader:
    """Reads flow files by the rules of one source.

    `namespace` puts all flows into one, whatever the mapping says; `renames` are where the flows of
    the set go, `include` reads other files of the source, `labels` are put on every flow.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        folder: str = "",
        mapping: NamespaceMapping | None = None,
        namespaces: Sequence[str] = ("*",),
        namespace: str | None = None,
        renames: Renames | None = None,
        include: ReadFile = lambda _path: None,
        labels: Mapping[str, str] = MappingProxyType({}),
        tests: bool = True,
    ) -> None:
        self._catalogue = catalogue
        self._folder = folder
        self._mapping = mapping or NamespaceMapping()
        self._namespaces = namespaces
        self._namespace = namespace
        self._renames = renames
        self._include = include
        self._labels = labels
        self._tests = tests

    def file(self, path: str, blob: str, text: str | Fault) -> File:
        """One file as plain data; `path` is relative to the folder of the source."""
        shown = self._shown(path)
        if isinstance(text, Fault):
            return file_of(shown, blob, faults=[replace(text, path=shown)])
        expanded = expand(text, path, self._include)
        if expanded.faults:
            placed = [replace(fault, path=self._shown(fault.path)) for fault in expanded.faults]
            return file_of(shown, blob, faults=placed)
        items: list[dict[str, Any]] = []
        faults: list[Fault] = []
        tests: list[dict[str, Any]] = []
        documents = parse_documents(expanded.text, shown)
        for number, parsed in enumerate(documents, 1):
            pointer = f"#{number}" if len(documents) > 1 else ""
            if self._tests and is_suite(parsed.document):
                suite, wrong = self._suite(parsed.document, path)
                faults += [expanded.at_origin(fault, self._shown) for fault in wrong]
                tests += [{**suite, "pointer": pointer}] if suite is not None else []
                continue
            found, wrong, named = self._document(parsed, path)
            faults += [expanded.at_origin(fault, self._shown) for fault in wrong]
            if found is not None:
                placed = [expanded.at_origin(one, self._shown) for one in named]
                item = item_of(found, pointer=pointer, labels=self._labels)
                items.append({**item, "refs": [reference_data(one) for one in placed]})
        included = [self._shown(one) for one in expanded.included]
        read = file_of(shown, blob, items=items, faults=faults, includes=included)
        return {**read, "tests": tests} if tests else read

    def _shown(self, path: str) -> str:
        return f"{self._folder}/{path}" if self._folder else path

    def _place(self, path: str, declared: str | None) -> Placed:
        if self._namespace is not None:
            return Placed(namespace=self._namespace)
        return namespace_for(self._mapping, path, declared)

    def _document(self, parsed: Parsed, path: str) -> Read:
        document = parsed.document
        if any(fault.severity is Severity.ERROR for fault in document.faults):
            return None, list(document.faults), []
        other = not_a_flow(document)
        if other is not None:
            return None, [other], []
        declared = _declared(document)
        placed = self._place(path, declared)
        if placed.problem is not None:
            wrong = document.fault("NAMESPACE_MISMATCH", placed.problem, "/namespace")
            return None, [wrong], []
        if placed.ignored is not None:
            return None, [_note("FILE_IGNORED", placed.ignored, document.path)], []
        told: tuple[Fault, ...] = ()
        inserted = 0
        if self._renames is not None or placed.namespace not in (None, declared):
            parsed, inserted, told = self._renamed(document, placed.namespace or declared or "")
        faults = [*told, *all_faults(parsed, self._catalogue)]
        flow = parsed.effective
        named = named_in(parsed, flow.namespace) if flow is not None else []
        if parsed.document is not document:
            faults = [_lifted(fault, document, inserted) for fault in faults]
            named = [_lifted(one, document, inserted) for one in named]
        if flow is not None and not allowed(flow.namespace, self._namespaces):
            message = f"{flow.namespace!r} is outside {', '.join(self._namespaces)}"
            faults.append(document.fault("NAMESPACE_NOT_ALLOWED", message, "/namespace"))
        broken = any(fault.severity is Severity.ERROR for fault in faults)
        return None if broken else flow, faults, named

    def _suite(self, document: Document, path: str) -> tuple[dict[str, Any] | None, list[Fault]]:
        """A test suite as plain data; it goes where a flow of its file would go."""
        wrong = [fault for fault in document.faults if fault.severity is Severity.ERROR]
        if wrong:
            return None, wrong
        declared = _declared(document)
        placed = self._place(path, declared)
        if placed.problem is not None:
            return None, [document.fault("NAMESPACE_MISMATCH", placed.problem, "/namespace")]
        if placed.ignored is not None:
            return None, [_note("FILE_IGNORED", placed.ignored, document.path)]
        namespace = placed.namespace or declared or ""
        faults = suite_faults(document, namespace)
        if namespace and not allowed(namespace, self._namespaces):
            message = f"{namespace!r} is outside {', '.join(self._namespaces)}"
            faults.append(document.fault("NAMESPACE_NOT_ALLOWED", message, "/namespace"))
        text = document.source or document.text
        if namespace != declared and not faults:
            text = self._renamed(document, namespace)[0].document.text
        return (None if faults else suite_data(document, namespace, text)), faults

    def _renamed(self, document: Document, namespace: str) -> tuple[Parsed, int, tuple[Fault, ...]]:
        """The document read again with another namespace, and the number of lines put in."""
        [alone] = [
            one for one in load_documents(document.source, document.path) if one.data is not None
        ][:1]
        new = rewritten(alone, namespace, self._renames)
        [parsed] = parse_documents(new.text, document.path)[:1]
        notes = tuple(replace(one, line=one.line + new.inserted) for one in new.notes)
        return parsed, new.inserted, notes


def add_names(renames: Renames, mapping: NamespaceMapping, path: str, text: str | Fault) -> None:
    """Remember where the flows of a file go, so that others can be told."""
    if isinstance(text, Fault):
        return
    for document in load_documents(text, path):
        data = document.data
        declared = _declared(document)
        if declared is None or not isinstance(data, Mapping) or not isinstance(data.get("id"), str):
            continue
        placed = namespace_for(mapping, path, declared)
        if placed.problem is None and placed.ignored is None:
            renames.add((declared, data["id"]), placed.namespace or declared)


def _declared(document: Document) -> str | None:
    said = document.data.get("namespace") if isinstance(document.data, Mapping) else None
    return said if isinstance(said, str) else None


def _lifted(fault: Fault, document: Document, inserted: int) -> Fault:
    """The fault at its line of the file: the document may begin further down."""
    above = _first_line(document) - 1 - inserted
    return replace(
        fault,
        line=max(1, fault.line + above),
        end_line=None if fault.end_line is None else max(1, fault.end_line + above),
    )


def _first_line(document: Document) -> int:
    start = document.text.find(document.source) if document.source else 0
    return 1 if start <= 0 else document.text.count("\n", 0, start) + 1


def not_a_flow(document: Document) -> Fault | None:
    """Why a document is no flow: nothing of one is a note, some of one a mistake."""
    data, path = document.data, document.path
    keys = set(data) if isinstance(data, Mapping) else set()
    if is_suite(document):
        return _note("TEST_SKIPPED", "is a test suite", path)
    if {"id", "tasks"} <= keys or {"id", "namespace"} <= keys:
        return None
    if not keys & {"id", "tasks"} or not isinstance(data, Mapping):
        return _note("NO_FLOW", "has no 'id' and 'tasks' and is no flow", path)
    missing = "tasks" if "id" in keys else "id"
    given = "id" if missing == "tasks" else "tasks"
    if missing == "tasks" and not keys & {"triggers", "inputs", "variables", "errors", "labels"}:
        # Many other tools write files with an `id`.
        return _note("NO_FLOW", "has no 'tasks' and is no flow", path)
    return document.fault(
        "MISSING_PROPERTY", f"has {given!r} but no {missing!r}: a flow needs both", ""
    )


def _note(code: str, why: str, path: str) -> Fault:
    return Fault(code=code, message=f"{path} {why}", path=path, severity=Severity.NOTE)


def file_of(
    path: str,
    blob: str,
    *,
    items: Iterable[dict[str, Any]] = (),
    faults: Iterable[Fault] = (),
    includes: Sequence[str] = (),
    known: bool = False,
) -> File:
    """A file as plain data; a known one has not changed since it was applied."""
    return {
        "path": path,
        "includes": list(includes),
        "blob": blob,
        "known": known,
        "items": list(items),
        "faults": [fault_data(fault) for fault in faults],
    }


def item_of(flow: Flow, pointer: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """What core must know of a flow to store and schedule it without reading its text."""
    return {
        "namespace": flow.namespace,
        "id": flow.id,
        "pointer": pointer,
        "disabled": flow.disabled,
        "description": flow.description,
        "labels": {**labels, **flow.labels},
        "triggers": [trigger.model_dump(mode="json") for trigger in flow.triggers],
        "text": flow.source,
    }


def fault_data(fault: Fault) -> dict[str, Any]:
    """A fault as plain data."""
    return {**asdict(fault), "severity": fault.severity.value}


def fault_from(data: Mapping[str, Any]) -> Fault:
    """The fault of plain data."""
    return Fault(**{**data, "severity": Severity(data["severity"])})
