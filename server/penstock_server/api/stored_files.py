"""The files of namespaces that came from Git, as the storage of the API asks for them."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.tasks.namespace_files import FileRow
from penstock_server.core.client import CoreClient
from penstock_server.store import namespace_files
from penstock_server.store.engine import Database


class StoredFiles:
    """Implements `FileRows`: reads the store, and asks core to change it."""

    def __init__(self, database: Database, client: CoreClient) -> None:
        self._database = database
        self._client = client

    def files(self, namespace: str) -> Mapping[str, FileRow]:
        """The rows of a namespace by path."""
        with self._database.read() as connection:
            found = namespace_files.of_namespace(connection, namespace)
        return {file.path: file.row for file in found}

    def release(self, namespace: str, path: str) -> None:
        """Forget a row that no source manages."""
        self._client.call("files.release", namespace=namespace, path=path)
