"""YAML text as plain data that remembers where everything was written.

PyYAML's C composer makes nodes with marks; a walk of ours turns them into dicts, lists and
scalars by the flow language's own rules (see `scalars`) and finds what PyYAML lets pass: keys
given twice. Limits are held while the text is composed, so hostile files end in a fault and not
in an exhausted machine. Marks stay in the nodes until somebody asks for the place of a JSON
pointer.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import yaml as pyyaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from penstock_runner.flow import scalars
from penstock_runner.flow.document import Document, placed, pointer_of, span_of
from penstock_runner.flow.faults import MAX_FAULTS, Fault
from penstock_runner.flow.positions import Span, line_and_column

try:
    from yaml._yaml import CParser as _Composer

    FAST = True
except ImportError:  # pragma: no cover - only where PyYAML was built without libyaml
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Composer(Reader, Scanner, Parser, Composer):  # type: ignore[no-redef]
        """The same composer in pure Python, seven times slower."""

        def __init__(self, stream: str) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)

    FAST = False

__all__ = ["Document", "decode", "load_documents", "placed", "pointer_of"]

MAX_BYTES = 1024 * 1024
MAX_NODES = 200_000
MAX_ALIASES = 1_000
MAX_DEPTH = 100

_PLAIN = "plain"
_TEXT = "text"
_COLLECTION = "collection"
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_SEPARATOR = re.compile(r"^---[ \t]*(?:#.*)?\r?$|^---(?=[ \t])", re.MULTILINE)


class _Refused(Exception):
    """The text is stopped at a limit."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Loader(_Composer):  # type: ignore[misc, valid-type, unused-ignore]
    """Composes nodes whose tag only says whether they were plain, quoted or tagged."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.nodes = 0
        self.depth = 0
        self.parent: Node | None = None

    def check_resolver_prefix(self, *_: object) -> bool:
        return False

    def resolve(self, kind: type[Node], _value: object, implicit: object) -> str:
        if kind is not ScalarNode:
            return _COLLECTION
        return _PLAIN if isinstance(implicit, tuple) and implicit[0] else _TEXT

    def descend_resolver(self, parent: Node | None, _index: object) -> None:
        self.parent = parent
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES:
            raise _Refused("YAML_SYNTAX", f"more than {MAX_NODES:,} values in one file: split it")
        if self.depth > MAX_DEPTH:
            raise _Refused("YAML_SYNTAX", f"nested more than {MAX_DEPTH} deep: flatten it")

    def ascend_resolver(self) -> None:
        self.depth -= 1


def decode(data: bytes, path: str) -> str | Fault:
    """The text of a file, or the fault that says where it stops being UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        line, column = line_and_column(before, len(before))
        message = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8"
        return Fault(code="YAML_SYNTAX", message=message, path=path, line=line, column=column)


def load_documents(text: str, path: str = "") -> list[Document]:
    """The documents of a YAML text, as the parser splits them; a broken one ends the list."""
    text = text.removeprefix("\ufeff")
    if refused := _refuse(text, path):
        return [Document(faults=(refused,), path=path, text=text[:1000], source=text[:1000])]
    documents: list[Document] = []
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                documents.append(_document(node, text, path))
    except pyyaml.YAMLError as error:
        documents.append(Document(faults=(_syntax(error, text, path),), path=path, text=text))
    except _Refused as refusal:
        at = span_of(loader.parent) if loader is not None and loader.parent is not None else Span()
        fault = placed(Fault(code=refusal.code, message=str(refusal), path=path), at)
        documents.append(Document(faults=(fault,), path=path, text=text))
    return _with_sources(documents, text)


def _refuse(text: str, path: str) -> Fault | None:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        message = f"the file has {size:,} bytes, more than {MAX_BYTES:,}: split it"
        return Fault(code="FILE_TOO_LARGE", message=message, path=path)
    if found := _UNPRINTABLE.search(text):
        line, column = line_and_column(text, found.start())
        message = f"the character U+{ord(found[0]):04X} is not allowed: write it as an escape"
        return Fault(code="YAML_SYNTAX", message=message, path=path, line=line, column=column)
    return None


def _syntax(error: pyyaml.YAMLError, text: str, path: str) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    context = getattr(error, "context", None)
    if mark is None:
        return Fault(code="YAML_SYNTAX", message=problem, path=path)
    at = Span(
        line=mark.line + 1,
        column=mark.column + 1,
        end_line=mark.line + 1,
        end_column=mark.column + 2,
    )
    if text[mark.index : mark.index + 1] == "\t":
        message = "a tab cannot indent YAML: use spaces"
        return placed(Fault(code="YAML_TAB", message=message, path=path), at)
    message = f"{problem} ({context})" if context else problem
    return placed(Fault(code="YAML_SYNTAX", message=message, path=path), at)


def _with_sources(documents: list[Document], text: str) -> list[Document]:
    """Each document with its own part of the text; the only one has all of it."""
    if len(documents) <= 1:
        return [replace(document, source=text) for document in documents]
    starts = [0]
    for before, after in pairwise(documents):
        low = before.node.end_mark.index if before.node is not None else starts[-1]
        high = after.node.start_mark.index if after.node is not None else len(text)
        marks = [found.end() for found in _SEPARATOR.finditer(text, low, high + 3)]
        starts.append(marks[0] if marks else low)
    ends = [*(_before_separator(text, start) for start in starts[1:]), len(text)]
    return [
        replace(document, source=text[start:end].lstrip("\r\n"))
        for document, start, end in zip(documents, starts, ends, strict=True)
    ]


def _before_separator(text: str, start: int) -> int:
    return max(text.rfind("---", 0, start), 0)


def _document(node: Node, text: str, path: str) -> Document:
    walk = _Walk()
    try:
        data = walk.build(node)
    except _Refused as refusal:
        fault = placed(Fault(code=refusal.code, message=str(refusal), path=path), walk.at())
        return Document(faults=(fault,), path=path, text=text, node=node)
    faults = tuple(replace(fault, path=path) for fault in walk.faults)
    return Document(data=data, faults=faults, path=path, text=text, node=node)


class _Walk:
    """Turns nodes into plain data; an aliased node is built once and counted at each place."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._built: dict[int, tuple[object, int, int]] = {}
        self._open: set[int] = set()
        self._scalars: set[int] = set()
        self._aliases = 0
        self._size = 0
        self._depth = 0
        self._node: Node | None = None

    def at(self) -> Span:
        """The place of the node that was being built."""
        return span_of(self._node) if self._node is not None else Span()

    def build(self, node: Node) -> object:
        """The data of a node; `_size` and `_depth` are afterwards those of what was built."""
        if type(node) is ScalarNode:
            return self._scalar(node)
        known = self._built.get(id(node))
        if known is not None:
            self._alias(node)
            data, self._size, self._depth = known
            return data
        if id(node) in self._open:
            self._node = node
            raise _Refused("YAML_ALIAS_LIMIT", "an alias inside the value that it names: remove it")
        if node.tag != _COLLECTION:
            self._fault("YAML_SYNTAX", f"the tag {node.tag} is not allowed: leave it out", node)
        self._open.add(id(node))
        data = self._sequence(node) if type(node) is SequenceNode else self._mapping(node)
        self._open.discard(id(node))
        self._built[id(node)] = (data, self._size, self._depth)
        return data

    def _scalar(self, node: ScalarNode) -> object:
        if id(node) in self._scalars:
            self._alias(node)
        else:
            self._scalars.add(id(node))
        self._size = 1
        self._depth = 0
        tag = node.tag
        if tag == _TEXT:
            return node.value
        if tag == _PLAIN:
            return scalars.plain(node.value)
        try:
            return scalars.tagged(tag, node.value)
        except ValueError as error:
            self._fault("YAML_SYNTAX", str(error), node)
            return node.value

    def _sequence(self, node: Node) -> list[object]:
        items: list[object] = []
        size, depth = 1, 0
        for child in node.value:
            items.append(self.build(child))
            size += self._size
            depth = max(depth, self._depth)
        self._close(node, size, depth + 1)
        return items

    def _mapping(self, node: Node) -> dict[str, object]:
        if not isinstance(node, MappingNode):
            return {}
        data: dict[str, object] = {}
        size, depth = 1, 0
        merged: list[object] = []
        for key_node, value_node in node.value:
            value = self.build(value_node)
            size += self._size + 1
            depth = max(depth, self._depth)
            if type(key_node) is not ScalarNode:
                self._fault("YAML_SYNTAX", "a key must be text, not a list or a map", key_node)
                continue
            key = key_node.value
            if key == "<<" and key_node.tag == _PLAIN:
                merged.extend(self._merge(value, value_node))
            elif key in data:
                self._twice(node, key_node)
            else:
                data[key] = value
        self._close(node, size, depth + 1)
        for base in merged:
            if isinstance(base, dict):
                data |= {k: v for k, v in base.items() if k not in data}
        return data

    def _merge(self, value: object, node: Node) -> list[object]:
        bases = value if isinstance(value, list) else [value]
        if not all(isinstance(base, dict) for base in bases):
            self._fault("YAML_SYNTAX", "'<<' takes a map or a list of maps", node)
        return bases

    def _twice(self, mapping: MappingNode, key: ScalarNode) -> None:
        first = next(k for k, _ in mapping.value if k.value == key.value)
        where = span_of(first)
        message = f"Duplicate field '{key.value}', first given at {where.line}:{where.column}"
        self._fault("YAML_DUPLICATE_KEY", message, key)

    def _close(self, node: Node, size: int, depth: int) -> None:
        self._size, self._depth = size, depth
        if size > MAX_NODES:
            self._node = node
            message = f"more than {MAX_NODES:,} values once aliases are expanded: use fewer aliases"
            raise _Refused("YAML_ALIAS_LIMIT", message)
        if depth > MAX_DEPTH:
            self._node = node
            raise _Refused("YAML_ALIAS_LIMIT", f"nested more than {MAX_DEPTH} deep by aliases")

    def _alias(self, node: Node) -> None:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._node = node
            raise _Refused("YAML_ALIAS_LIMIT", f"more than {MAX_ALIASES:,} aliases: write it out")

    def _fault(self, code: str, message: str, node: Node) -> None:
        if len(self.faults) >= MAX_FAULTS:
            return
        self.faults.append(placed(Fault(code=code, message=message), span_of(node)))
