"""Which namespace a flow of a file gets, and how the text says so.

By default it is what the file says. A mapping may take it from the folders instead, or replace it;
then the text that is stored says the same, with every other character (and comment) as it was.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_runner.flow.yaml import Document
from penstock_server.sync.settings import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The namespace for a document: None leaves it as written. `problem` says why there is none."""

    namespace: str | None = None
    problem: str | None = None


def namespace_for(mapping: Mapping, path: str, declared: str | None) -> Placed:
    """The namespace of a flow in the file at `path` (relative to the source's folder)."""
    folders = path.split("/")[:-1]
    match mapping.mode:
        case "declared":
            return Placed()
        case "directory":
            return _directory(mapping, folders, declared)
        case "rewrite":
            below = folders if mapping.children else []
            return Placed(namespace=".".join([mapping.target or "", *below]))
        case "folders":
            return Placed(namespace=folders[0]) if folders else Placed(problem=_NO_FOLDER)
        case "prefix":
            return Placed(namespace=_prefixed(declared, mapping.from_ or "", mapping.to or ""))


_NO_FOLDER = "the file is in no folder that could name its namespace"


def _directory(mapping: Mapping, folders: Sequence[str], declared: str | None) -> Placed:
    parts = [*([mapping.prefix] if mapping.prefix else []), *folders]
    if not parts:
        return Placed(problem=_NO_FOLDER)
    namespace = ".".join(parts)
    if declared is not None and declared != namespace:
        return Placed(problem=f"the file says {declared!r}, its folders say {namespace!r}")
    return Placed(namespace=namespace)


def _prefixed(declared: str | None, old: str, new: str) -> str | None:
    if declared is None or not (declared == old or declared.startswith(old + ".") or not old):
        return None
    rest = declared[len(old) :].lstrip(".")
    return ".".join(part for part in (new, rest) if part) or None


def allowed(namespace: str, patterns: Sequence[str]) -> bool:
    """Whether a source may write to a namespace."""
    return any(fnmatch.fnmatchcase(namespace, pattern) for pattern in patterns)


def renamed(document: Document, text: str, namespace: str) -> tuple[str, int]:
    """The text of a document with its namespace set, and how many lines were put in above it."""
    node = document.node
    pairs = getattr(node, "value", None)
    if node is None or not isinstance(pairs, list) or not pairs:
        return text, 0
    for key, value in pairs:
        if key.value == "namespace":
            start, end = value.start_mark.index, value.end_mark.index
            return text[:start] + namespace + text[end:], 0
    first = pairs[0][0].start_mark
    if getattr(node, "flow_style", False):
        return text[: first.index] + f"namespace: {namespace}, " + text[first.index :], 0
    indent = " " * first.column
    return text[: first.index] + f"namespace: {namespace}\n{indent}" + text[first.index :], 1
