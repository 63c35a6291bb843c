"""Files that commits put into namespaces, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

from penstock_server.store import namespace_files as files
from penstock_server.store.engine import Database
from penstock_server.store.namespace_files import NamespaceFile

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def file(path: str, sha256: str = "a", owner: str | None = "main", **more: object) -> NamespaceFile:
    values = {"namespace": "team", "executable": False, **more}
    return NamespaceFile(
        path=path,
        sha256=sha256,
        size=3_000_000_000,
        modified=NOON,
        managed_by=owner,
        **values,  # type: ignore[arg-type]
    )


def test_files_are_written_found_and_removed_by_their_place(database: Database) -> None:
    many = [file(f"/{n:04}") for n in range(900)]
    odd = file("/é ü/%20 'x'", "b", executable=True, commit_sha="c", git_path="files/x")
    with database.begin() as tx:
        files.put(tx.connection, [*many, odd, file("/0000", namespace="lab")])
        files.put(tx.connection, [file("/0001", "new")])
    with database.read() as connection:
        found = files.of_namespace(connection, "team")
        assert len(found) == 901
        assert {one.path: one for one in found}[odd.path] == odd
        assert len(files.of_source(connection, "main")) == 902
        keys = [one.key for one in found]
        assert len(files.at(connection, [*keys, ("team", "/none")])) == 901
        assert files.contents(connection) == {"a", "b", "new"}
    with database.begin() as tx:
        files.remove(tx.connection, keys)
    with database.read() as connection:
        assert [one.namespace for one in files.of_source(connection, "main")] == ["lab"]


def test_only_what_nobody_manages_is_released(database: Database) -> None:
    with database.begin() as tx:
        files.put(tx.connection, [file("/mine"), file("/free", owner=None)])
        assert files.release(tx.connection, "team", "/free")
        assert not files.release(tx.connection, "team", "/mine")
        files.set_free(tx.connection, "main")
        assert files.release(tx.connection, "team", "/mine")
        assert files.of_namespace(tx.connection, "team") == []
