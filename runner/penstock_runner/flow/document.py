"""A YAML document as data, with the place of everything in it.

The data comes from `yaml`, which also composes the nodes; marks stay in the nodes until somebody
asks for the place of a JSON pointer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from penstock_runner.flow.faults import Fault
from penstock_runner.flow.positions import Span, line_and_column, locate, offset_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document: its plain data, its faults, and where everything was written."""

    data: object = None
    faults: tuple[Fault, ...] = ()
    path: str = ""
    text: str = field(default="", repr=False)
    source: str = field(default="", repr=False)
    node: Node | None = field(default=None, repr=False)

    def place(self, pointer: str) -> Span:
        """Where the value at a JSON pointer is; the nearest one above when there is none."""
        _, node = self._find(pointer)
        return span_of(node) if node is not None else Span()

    def key_place(self, pointer: str) -> Span:
        """Where the key is that leads to a JSON pointer; the value itself in a list."""
        key, node = self._find(pointer)
        return span_of(key or node) if node is not None else Span()

    def has(self, pointer: str) -> bool:
        """Whether something is written at this pointer."""
        node = self.node
        for token in _tokens(pointer):
            pair = _child(node, token)
            if pair is None:
                return False
            node = pair[1]
        return node is not None

    def place_in(self, pointer: str, line: int, column: int) -> Span:
        """Where a line and column (from 1) of a scalar's value are in the file."""
        _, node = self._find(pointer)
        if not isinstance(node, ScalarNode):
            return self.place(pointer)
        offset = offset_of(node.value, line, column)
        start, end = node.start_mark.index, node.end_mark.index
        raw = self.text[start:end]
        index = start + locate(raw, node.style or "", node.value, offset)
        at = line_and_column(self.text, index)
        return Span(line=at[0], column=at[1], end_line=at[0], end_column=at[1] + 1)

    def fault(self, code: str, message: str, pointer: str, *, key: bool = False) -> Fault:
        """A fault at a pointer, placed at its value or at its key."""
        span = self.key_place(pointer) if key else self.place(pointer)
        return placed(Fault(code=code, message=message, path=self.path, pointer=pointer), span)

    def _find(self, pointer: str) -> tuple[Node | None, Node | None]:
        key: Node | None = None
        node = self.node
        for token in _tokens(pointer):
            pair = _child(node, token)
            if pair is None:
                break
            key, node = pair
        return key, node


def placed(fault: Fault, span: Span) -> Fault:
    """The fault at a span."""
    return replace(
        fault,
        line=span.line,
        column=span.column,
        end_line=span.end_line,
        end_column=span.end_column,
    )


def pointer_of(*tokens: str | int) -> str:
    """A JSON pointer to a path of keys and indexes."""
    return "".join("/" + str(t).replace("~", "~0").replace("/", "~1") for t in tokens)


def span_of(node: Node) -> Span:
    """Where a node is."""
    start, end = node.start_mark, node.end_mark or node.start_mark
    return Span(
        line=start.line + 1,
        column=start.column + 1,
        end_line=end.line + 1,
        end_column=end.column + 1,
    )


def _tokens(pointer: str) -> list[str]:
    return [t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:]]


def _child(node: Node | None, token: str) -> tuple[Node | None, Node] | None:
    """The key and value nodes of one step down; the key of a list item is None."""
    if isinstance(node, SequenceNode):
        index = int(token) if token.isdecimal() else -1
        return (None, node.value[index]) if 0 <= index < len(node.value) else None
    if not isinstance(node, MappingNode):
        return None
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == token:
            return key, value
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == "<<":
            bases = value.value if isinstance(value, SequenceNode) else [value]
            for base in bases:
                if found := _child(base, token):
                    return found
    return None
