"""Which namespace a flow of a file gets.

By default it is what the file says. A mapping may take it from the folders instead, or replace it;
`rewriting` then puts it into the text.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_server.sync.settings import Mapping

FLOWS = "flows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The namespace for a document: None leaves it as written.

    `problem` says why there is none, `ignored` why the file is not read at all.
    """

    namespace: str | None = None
    problem: str | None = None
    ignored: str | None = None


def namespace_for(mapping: Mapping, path: str, declared: str | None) -> Placed:
    """The namespace of a flow in the file at `path` (relative to the source's folder)."""
    folders = path.split("/")[:-1]
    match mapping.mode:
        case "declared":
            return Placed()
        case "directory":
            return _directory(mapping, folders, declared)
        case "rewrite":
            if folders and not mapping.children:
                return Placed(ignored="is in a folder, and `children: false` reads none")
            return Placed(namespace=".".join([mapping.target or "", *folders]))
        case "folders":
            return _folders(folders)
        case "prefix":
            return Placed(namespace=_prefixed(declared, mapping.from_ or "", mapping.to or ""))


def rewrites(mapping: Mapping) -> bool:
    """Whether flows get other namespaces than they declare, so that references must follow."""
    return mapping.mode in ("rewrite", "prefix")


def _directory(mapping: Mapping, folders: Sequence[str], declared: str | None) -> Placed:
    parts = [*([mapping.prefix] if mapping.prefix else []), *folders]
    if not parts:
        return Placed(problem="the file is in no folder that could name its namespace")
    namespace = ".".join(parts)
    if declared is not None and declared != namespace:
        return Placed(problem=f"the file says {declared!r}, its folders say {namespace!r}")
    return Placed(namespace=namespace)


def _folders(folders: Sequence[str]) -> Placed:
    """`company.team/flows/x.yaml`: the name of the folder is the namespace, dots and all."""
    if len(folders) > 1 and folders[1] == FLOWS:
        return Placed(namespace=folders[0])
    return Placed(ignored=f"is not below <namespace>/{FLOWS}/")


def _prefixed(declared: str | None, old: str, new: str) -> str | None:
    if declared is None or not (declared == old or declared.startswith(old + ".") or not old):
        return None
    rest = declared[len(old) :].lstrip(".")
    return ".".join(part for part in (new, rest) if part) or None


def allowed(namespace: str, patterns: Sequence[str]) -> bool:
    """Whether a source may write to a namespace."""
    return any(fnmatch.fnmatchcase(namespace, pattern) for pattern in patterns)
