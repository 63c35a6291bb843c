"""Operations on files of namespaces that came from Git."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.tasks.namespace_files import row_data
from penstock_server.core.room import Answer, Operation, Room
from penstock_server.store import namespace_files

Arguments = Mapping[str, Any]


def list_files(room: Room, a: Arguments, answer: Answer) -> None:
    """The files of a namespace that came from Git, with where their contents lie."""
    with room.database.read() as connection:
        found = namespace_files.of_namespace(connection, a["namespace"])
    answer.ok([row_data(file.row) for file in found])


def release(room: Room, a: Arguments, answer: Answer) -> None:
    """Forget a file that no source manages; what a source manages stays."""
    namespace, path = a["namespace"], a["path"]

    def write(tx: Any) -> None:
        namespace_files.release(tx.connection, namespace, path)

    room.write(answer, [write])


OPERATIONS: Mapping[str, Operation] = {
    "files.list": list_files,
    "files.release": release,
}
