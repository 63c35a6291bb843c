"""Files of namespaces that came from Git, beside those that people and tasks put there.

Their contents lie in the storage under a name that says what they hold; which content a path has is
a row of the store, changed in one transaction with the flows. `NamespaceStorage` is a storage in
which both kinds look the same; a row hides a file of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from penstock_runner.tasks import places
from penstock_runner.tasks.storage import BadAddress, FileFacts, FileMissing, Storage

CONTENTS = places.address("_git/contents")
_FILES = re.compile(r"/(?P<namespace>[^_/].*?)/_files(?P<path>/.*)?")


def content_address(sha256: str) -> str:
    """Where a content lies; no namespace can have this address."""
    return f"{CONTENTS}/{sha256[:2]}/{sha256}"


class ManagedByGit(BadAddress):
    """The file belongs to a Git source and is changed there."""

    def __init__(self, namespace: str, path: str, source: str) -> None:
        super().__init__(
            f"{path} of namespace {namespace} is kept by Git source {source!r}: change it there"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A file that a commit put into a namespace; `path` starts with a slash."""

    path: str
    sha256: str
    size: int
    modified: datetime
    executable: bool = False
    managed_by: str | None = None


class FileRows(Protocol):
    """Who knows the rows."""

    def files(self, namespace: str) -> Mapping[str, FileRow]:
        """The rows of a namespace by path."""
        ...

    def release(self, namespace: str, path: str) -> None:
        """Forget a row that no source manages: a person or task has another file there."""
        ...


class NamespaceStorage:
    """A storage that also knows the files which came from Git."""

    def __init__(self, base: Storage, rows: FileRows) -> None:
        self._base = base
        self._rows = rows

    def put_file(self, uri: str, source: Path, *, move: bool = False) -> str:
        """Store a file, unless a Git source keeps the one of this name."""
        below = self._changing(uri)
        self._base.put_file(uri, source, move=move)
        return self._released(uri, below)

    def put_bytes(self, uri: str, content: bytes) -> str:
        """Store some bytes, unless a Git source keeps the file of this name."""
        below = self._changing(uri)
        self._base.put_bytes(uri, content)
        return self._released(uri, below)

    def put_stream(self, uri: str, stream: BinaryIO) -> str:
        """Store all that the stream gives, unless a Git source keeps the file of this name."""
        below = self._changing(uri)
        self._base.put_stream(uri, stream)
        return self._released(uri, below)

    def open(self, uri: str) -> BinaryIO:
        """Open a stored file for reading."""
        return self._base.open(self._content(uri))

    def read_bytes(self, uri: str, limit: int | None = None) -> bytes:
        """The content of a file, at most `limit` bytes of it."""
        return self._base.read_bytes(self._content(uri), limit)

    def fetch(self, uri: str, target: Path) -> None:
        """Copy a stored file to a local path; one that Git has as executable stays so."""
        row = self._row(uri)
        self._base.fetch(uri if row is None else content_address(row.sha256), target)
        if row is not None and row.executable:
            target.chmod(target.stat().st_mode | 0o111)

    def facts(self, uri: str) -> FileFacts:
        """What is known of a file or folder."""
        row = self._row(uri)
        if row is not None:
            return _facts(uri, row)
        try:
            return self._base.facts(uri)
        except FileMissing:
            below = self._below(uri)
            if not below:
                raise
        newest = max(row.modified for row in below.values())
        name = uri.rstrip("/").rpartition("/")[2]
        return FileFacts(uri=uri, name=name, size=0, directory=True, modified=newest)

    def exists(self, uri: str) -> bool:
        """Whether there is a file or folder."""
        return bool(self._below(uri)) or self._base.exists(uri)

    def delete(self, uri: str) -> bool:
        """Delete a file or folder, unless a Git source keeps one of them."""
        below = self._changing(uri)
        deleted = self._base.delete(uri)
        self._released(uri, below)
        return deleted or bool(below)

    def delete_below(self, prefix: str) -> list[str]:
        """Delete all files below an address, unless a Git source keeps one of them."""
        below = self._changing(prefix)
        deleted = self._base.delete_below(prefix)
        self._released(prefix, below)
        return [*(one for one in below if one not in deleted), *deleted]

    def check_free(self, uri: str) -> None:
        """Raise `ManagedByGit` when a Git source keeps what is at or below an address."""
        self._changing(uri)

    def delete_hidden(self, uri: str) -> None:
        """Delete the file that a row of the same name hides."""
        self._base.delete(uri)

    def walk(self, prefix: str) -> Iterator[FileFacts]:
        """All files below an address, in the order of their paths."""
        rows = self._below(prefix)
        if not rows:
            yield from self._base.walk(prefix)
            return
        found = {facts.uri: facts for facts in self._base.walk(prefix)}
        found |= {uri: _facts(uri, row) for uri, row in rows.items()}
        for uri in sorted(found, key=lambda one: one.split("/")):
            yield found[uri]

    def _row(self, uri: str) -> FileRow | None:
        place = _place(uri)
        return None if place is None else self._rows.files(place[0]).get(place[1])

    def _content(self, uri: str) -> str:
        row = self._row(uri)
        return uri if row is None else content_address(row.sha256)

    def _below(self, uri: str) -> dict[str, FileRow]:
        """The rows at or below an address, by address."""
        place = _place(uri)
        if place is None:
            return {}
        namespace, path = place
        top = places.namespace_files(namespace)
        return {
            top + known: row
            for known, row in self._rows.files(namespace).items()
            if path in ("", known) or known.startswith(f"{path}/")
        }

    def _changing(self, uri: str) -> dict[str, FileRow]:
        """The rows that a change of an address would touch; none may be a source's."""
        below = self._below(uri)
        place = _place(uri)
        for row in below.values():
            if row.managed_by is not None and place is not None:
                raise ManagedByGit(place[0], row.path, row.managed_by)
        return below

    def _released(self, uri: str, below: Mapping[str, FileRow]) -> str:
        place = _place(uri)
        for row in below.values():
            if place is not None:
                self._rows.release(place[0], row.path)
        return uri


def _facts(uri: str, row: FileRow) -> FileFacts:
    return FileFacts(
        uri=uri,
        name=row.path.rpartition("/")[2],
        size=row.size,
        directory=False,
        modified=row.modified,
    )


def _place(uri: str) -> tuple[str, str] | None:
    """Namespace and path of a namespace file; other addresses are none."""
    if not uri.startswith(places.SCHEME):
        return None
    found = _FILES.fullmatch(places.path_of(uri).rstrip("/"))
    if found is None or "/executions/" in uri:
        return None
    return found["namespace"].replace("/", "."), found["path"] or ""


def row_data(row: FileRow) -> dict[str, object]:
    """A row as plain data."""
    return {
        "path": row.path,
        "sha256": row.sha256,
        "size": row.size,
        "modified": row.modified.isoformat(),
        "executable": row.executable,
        "managed_by": row.managed_by,
    }


def row_from(data: Mapping[str, Any]) -> FileRow:
    """The row of plain data."""
    return FileRow(**{**data, "modified": datetime.fromisoformat(data["modified"])})
