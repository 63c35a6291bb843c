"""Git tasks over a real store, a real repository over HTTP and real looks; no processes between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
from tests.git_http import Repository, serve_git
from tests.sync.world import World
from tests.tasks.context import Context, run

from penstock_runner.jobs.calls import RemoteFiles
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.namespace_files import NamespaceStorage
from penstock_runner.tasks.places import namespace_files
from penstock_server.core.operations import files, git_tasks

OPERATIONS = {**files.OPERATIONS, **git_tasks.OPERATIONS}


class Answer:
    """What a call was answered with."""

    def __init__(self) -> None:
        self.value: Any = None

    def ok(self, value: Any = None) -> None:
        self.value = value

    def fail(self, error: Exception) -> None:
        raise TaskFailed(str(error))


class Tasking:
    """Runs Git tasks as flow `company.team.my-flow`."""

    def __init__(self, folder: Path, repository: Repository, url: str) -> None:
        self.repository = repository
        self.url = url
        self.world = World(folder, url="https://localhost/other.git")
        self._folder = folder
        self.lines: list[tuple[str, str]] = []
        self.variables: dict[str, object] = {}

    def run(self, kind: str, **properties: Any) -> dict[str, Any]:
        """Run one task to its end; its outputs."""
        ctx = Context(self._folder, **self.variables)
        ctx.call = self._call  # type: ignore[method-assign]
        ctx.storage = NamespaceStorage(ctx.storage, RemoteFiles(self.calling))  # type: ignore[assignment]
        try:
            return run(ctx, f"io.kestra.plugin.git.{kind}", url=self.url, **properties)
        finally:
            self.lines = ctx.lines

    def rows(self, uri: str) -> list[dict[str, Any]]:
        """The lines of an item file."""
        return [orjson.loads(line) for line in self.world.storage.read_bytes(uri).splitlines()]

    def diff(self, kind: str, output: str = "flows", **properties: Any) -> list[dict[str, Any]]:
        """What a task tells in its item file."""
        return self.rows(self.run(kind, **properties)[output])

    def files(self, namespace: str) -> dict[str, str]:
        """Path -> content of the files of a namespace, as a job sees them."""
        storage = NamespaceStorage(self.world.storage, RemoteFiles(self.calling))
        top = namespace_files(namespace)
        return {
            one.uri.removeprefix(f"{top}/"): storage.read_bytes(one.uri).decode()
            for one in storage.walk(top)
        }

    def calling(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        return self._call(operation, **arguments)

    def _call(self, operation: str, **arguments: Any) -> Any:
        if operation == "git.task.result":
            while self.world.asked:
                self.world.answer()
        room: Any = SimpleNamespace(
            sync=self.world.service, database=self.world.database, write=self._write
        )
        answer = Answer()
        try:
            OPERATIONS[operation](room, arguments, answer)  # type: ignore[arg-type]
        except Exception as fault:
            if getattr(fault, "status", None) is None:
                raise
            raise TaskFailed(str(fault)) from fault
        return answer.value

    def _write(self, answer: Answer, writes: list[Any]) -> None:
        with self.world.database.begin() as tx:
            for write in writes:
                write(tx)
        answer.ok()


@contextmanager
def tasking(
    folder: Path, username: str | None = None, password: str | None = None
) -> Iterator[Tasking]:
    """A fresh store, and a fresh repository behind a real HTTP server that takes pushes."""
    repository = Repository(folder / "served" / "flows.git")
    with serve_git(folder / "served", username, password) as server:
        made = Tasking(folder, repository, server.url_of(repository))
        try:
            yield made
        finally:
            made.world.close()
