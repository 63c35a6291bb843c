"""Another namespace in the text of a flow: its own, and those by which it names flows of its set.

Only the characters of a value are exchanged, so comments, quotes and everything else stay as they
were written. What cannot be followed (an expression, a flow that is elsewhere) is left and noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from penstock_runner.flow.document import Document, placed, span_of
from penstock_runner.flow.faults import Fault, Severity

Name = tuple[str, str]
_CALLS = re.compile(r"\.(Subflow|ForEachItem|Loop|flows\.Flow|EachSequentialItem)$")
_WAITS = re.compile(r"\.(trigger\.Flow|triggers\.types\.Flow)$")
# What a user passes on is data, whatever its keys are called.
_DATA = frozenset({"inputs", "labels", "variables", "body", "headers", "env"})
_PLAIN = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_ALIAS = re.compile(r"\s*:\s*(\*[^\s,\]}]+)")
_PROPERTIES = re.compile(r"(?:[&!][^\s]*\s+)*")


@dataclass(slots=True)
class Renames:
    """Where the flows of a set are put: by namespace and id as declared."""

    _flows: dict[Name, set[str]] = field(default_factory=dict)
    _namespaces: dict[str, set[str]] = field(default_factory=dict)

    def add(self, declared: Name, namespace: str) -> None:
        """One more flow of the set."""
        self._flows.setdefault(declared, set()).add(namespace)
        self._namespaces.setdefault(declared[0], set()).add(namespace)

    def of(self, namespace: str, flow_id: str | None, near: str) -> str | None:
        """The new namespace for a reference; of several, that of the flow which refers (`near`)."""
        found = (
            self._namespaces.get(namespace)
            if flow_id is None
            else self._flows.get((namespace, flow_id))
        )
        if not found:
            return None
        if len(found) == 1:
            return next(iter(found))
        return near if near in found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """The new text, how many lines were put in above the rest, and what was not followed."""

    text: str
    inserted: int = 0
    notes: tuple[Fault, ...] = ()


def rewritten(document: Document, namespace: str, renames: Renames | None = None) -> Rewritten:
    """The text of a document (which is all of its text) with its namespace set."""
    edits, inserted = _own(document, namespace)
    notes: list[Fault] = []
    if renames is not None:
        more, notes = _references(document, namespace, renames)
        edits += more
    text = document.text
    for start, end, new in sorted(set(edits), reverse=True):
        text = text[:start] + new + text[end:]
    return Rewritten(text=text, inserted=inserted, notes=tuple(notes))


Edit = tuple[int, int, str]


def _own(document: Document, namespace: str) -> tuple[list[Edit], int]:
    node = document.node
    if not isinstance(node, MappingNode) or not node.value:
        return [], 0
    for key, value in node.value:
        if key.value == "namespace":
            return [_exchange(document.text, value, namespace, key)], 0
    first = node.value[0][0].start_mark
    if node.flow_style:
        return [(first.index, first.index, f"namespace: {_scalar(namespace)}, ")], 0
    line = f"namespace: {_scalar(namespace)}\n{' ' * first.column}"
    return [(first.index, first.index, line)], 1


def _exchange(text: str, node: Node, new: str, key: Node | None = None) -> Edit:
    """Put a value in place of another one; an anchor stays, an alias goes."""
    start, end = node.start_mark.index, node.end_mark.index
    if key is not None and start < key.end_mark.index:
        alias = _ALIAS.match(text, key.end_mark.index)
        if alias is not None:
            return alias.start(1), alias.end(1), _scalar(new)
    properties = _PROPERTIES.match(text, start, end)
    start = properties.end() if properties is not None else start
    style = getattr(node, "style", None)
    if style in ("'", '"'):
        return start, end, f"{style}{new}{style}"
    return start, end, _scalar(new) + ("\n" if style in ("|", ">") else "")


def _scalar(namespace: str) -> str:
    plain = _PLAIN.fullmatch(namespace) and namespace not in _WORDS
    return namespace if plain else f'"{namespace}"'


@dataclass(frozen=True, slots=True)
class _Reference:
    """A namespace that is named, with the flow that is meant in it."""

    node: ScalarNode
    key: Node | None
    flow_id: str | None


def _references(
    document: Document, namespace: str, renames: Renames
) -> tuple[list[Edit], list[Fault]]:
    edits: list[Edit] = []
    notes: list[Fault] = []
    for found in sorted(_found(document.node), key=lambda one: one.node.start_mark.index):
        old, new = found.node.value, None
        if "{{" not in old and "{{" not in (found.flow_id or ""):
            new = renames.of(old, found.flow_id, namespace)
        if new is None:
            notes.append(_note(document, found))
        elif new != old:
            edits.append(_exchange(document.text, found.node, new, found.key))
    return edits, notes


def _note(document: Document, found: _Reference) -> Fault:
    name = ".".join(part for part in (found.node.value, found.flow_id) if part)
    why = (
        "is built by an expression"
        if "{{" in name
        else "is not one flow of this source"
        if found.flow_id
        else "is not one namespace of this source"
    )
    fault = Fault(
        code="REF_NOT_REWRITTEN",
        message=f"{name} {why} and stays as it is written",
        path=document.path,
        severity=Severity.NOTE,
    )
    return placed(fault, span_of(found.node))


def _found(root: Node | None) -> Iterator[_Reference]:
    """All references of a flow, without recursion into what is only data."""
    waiting: list[tuple[Node, bool]] = [(root, False)] if root is not None else []
    seen: set[int] = set()
    while waiting:
        node, waits = waiting.pop()
        if id(node) in seen or isinstance(node, ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            waiting += [(one, waits) for one in node.value]
        elif isinstance(node, MappingNode):
            kind = _text(node, "type") or ""
            waits = waits or bool(_WAITS.search(kind))
            if waits or _CALLS.search(kind):
                yield from _named(node)
            if _CALLS.search(kind):
                yield from _named(_value(node, "subflow"))
            yield from _borrowed(_value(node, "namespaceFiles"))
            waiting += [
                (value, waits)
                for key, value in node.value
                if getattr(key, "value", None) not in _DATA
            ]


def _named(node: Node | None) -> Iterator[_Reference]:
    if not isinstance(node, MappingNode):
        return
    for key, value in node.value:
        if key.value == "namespace" and isinstance(value, ScalarNode):
            yield _Reference(value, key, _text(node, "flowId"))


def _borrowed(node: Node | None) -> Iterator[_Reference]:
    named = _value(node, "namespaces")
    items: Sequence[Node | None] = named.value if isinstance(named, SequenceNode) else [named]
    for item in items:
        if isinstance(item, ScalarNode):
            yield _Reference(item, None, None)


def _value(node: Node | None, name: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _text(node: MappingNode, name: str) -> str | None:
    found = _value(node, name)
    return found.value if isinstance(found, ScalarNode) else None
