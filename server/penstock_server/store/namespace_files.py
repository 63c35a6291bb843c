"""Files that commits put into namespaces: which content a path has, and who keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, tuple_, update

from penstock_runner.tasks.namespace_files import FileRow
from penstock_server.store import upserts
from penstock_server.store.schema import namespace_files

_AT_ONCE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceFile:
    """One file; `path` starts with a slash, its content lies in the storage."""

    namespace: str
    path: str
    sha256: str
    size: int
    modified: datetime
    executable: bool = False
    managed_by: str | None = None
    commit_sha: str | None = None
    git_path: str | None = None
    git_blob: str | None = None
    sync_run_id: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and path."""
        return (self.namespace, self.path)

    @property
    def row(self) -> FileRow:
        """As much of it as a storage must know."""
        return FileRow(
            path=self.path,
            sha256=self.sha256,
            size=self.size,
            modified=self.modified,
            executable=self.executable,
            managed_by=self.managed_by,
        )


def put(connection: Connection, files: Sequence[NamespaceFile]) -> None:
    """Write files, over those of the same place."""
    upserts.put(connection, namespace_files, [upserts.values_of(file) for file in files])


def remove(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Delete files by namespace and path."""
    for some in _parts(list(keys)):
        connection.execute(delete(namespace_files).where(_place.in_(some)))


def release(connection: Connection, namespace: str, path: str) -> bool:
    """Delete a file that no source manages; whether there was one."""
    gone = delete(namespace_files).where(
        namespace_files.c.namespace == namespace,
        namespace_files.c.path == path,
        namespace_files.c.managed_by.is_(None),
    )
    return bool(connection.execute(gone).rowcount)


def of_namespace(connection: Connection, namespace: str) -> list[NamespaceFile]:
    """The files of a namespace by path."""
    chosen = (
        select(namespace_files)
        .where(namespace_files.c.namespace == namespace)
        .order_by(namespace_files.c.path)
    )
    return [NamespaceFile(**row) for row in connection.execute(chosen).mappings()]


def of_source(connection: Connection, source_id: str) -> list[NamespaceFile]:
    """The files that a source manages."""
    chosen = select(namespace_files).where(namespace_files.c.managed_by == source_id)
    return [NamespaceFile(**row) for row in connection.execute(chosen).mappings()]


def at(connection: Connection, keys: Iterable[tuple[str, str]]) -> list[NamespaceFile]:
    """The files of these places, whoever keeps them."""
    found: list[NamespaceFile] = []
    for some in _parts(list(keys)):
        chosen = select(namespace_files).where(_place.in_(some))
        found += [NamespaceFile(**row) for row in connection.execute(chosen).mappings()]
    return found


def set_free(connection: Connection, source_id: str) -> None:
    """Let the files of a source stay and belong to nobody."""
    mine = namespace_files.c.managed_by == source_id
    connection.execute(update(namespace_files).where(mine).values(managed_by=None))


def contents(connection: Connection) -> set[str]:
    """The contents that are in use, by what they hold."""
    return set(connection.scalars(select(namespace_files.c.sha256).distinct()))


_place = tuple_(namespace_files.c.namespace, namespace_files.c.path)


def _parts(keys: list[tuple[str, str]]) -> Iterable[list[tuple[str, str]]]:
    return (keys[at : at + _AT_ONCE] for at in range(0, len(keys), _AT_ONCE))
