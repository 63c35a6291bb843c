"""Tasks on the files of a namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from penstock_runner.flow.model import Level
from penstock_runner.tasks import globs, places
from penstock_runner.tasks.api import (
    Outputs,
    Properties,
    RunContext,
    TaskFailed,
    TaskProperties,
    task,
)
from penstock_runner.tasks.purging import BOTH
from penstock_runner.tasks.stored import place

Texts = tuple[str, ...]


class _Patterns(TaskProperties):
    namespace: str
    files: Texts

    @field_validator("files", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def _found(self, ctx: RunContext) -> Iterator[tuple[str, str]]:
        """The path (from the namespace, with a leading slash) and address of each file meant."""
        top = places.namespace_files(self.namespace)
        meant = globs.rule(self.files)
        for facts in ctx.storage.walk(top):
            path = facts.uri.removeprefix(top)
            if not facts.directory and meant(path):
                yield path, facts.uri


@task("io.kestra.plugin.core.namespace.DownloadFiles")
class DownloadFiles(_Patterns):
    """Copy files of a namespace into the execution; its output `files` maps paths to addresses."""

    destination: str = ""

    def run(self, ctx: RunContext) -> Outputs:
        """Copy the files."""
        found: dict[str, str] = {}
        for path, uri in self._found(ctx):
            target = f"{self.destination.rstrip('/')}{path}"
            with ctx.storage.open(uri) as stream:
                stored = ctx.storage.put_stream(place(ctx, target.lstrip("/")), stream)
            found[target if target.startswith("/") else f"/{target}"] = stored
        ctx.metric("downloaded", "counter", len(found))
        return {"files": found}


@task("io.kestra.plugin.core.namespace.DeleteFiles")
class DeleteFiles(_Patterns):
    """Delete files of a namespace."""

    def run(self, ctx: RunContext) -> Outputs:
        """Delete the files."""
        deleted = {path: ctx.storage.delete(uri) for path, uri in list(self._found(ctx))}
        ctx.metric("deleted", "counter", len(deleted))
        return {"files": deleted}


class PurgeBehavior(Properties):
    """Which versions of the files that are meant are deleted."""

    type: Literal["version"] = "version"
    before: str | None = None
    keep_amount: int | None = Field(default=None, ge=1)


@task("io.kestra.plugin.core.namespace.PurgeFiles")
class PurgeFiles(TaskProperties):
    """Delete older versions of files; the last one always stays, and here there is no other."""

    namespaces: tuple[str, ...] = ()
    namespace_pattern: str | None = None
    include_child_namespaces: bool = True
    file_pattern: str | None = None
    behavior: PurgeBehavior = PurgeBehavior(keep_amount=1)

    def run(self, ctx: RunContext) -> Outputs:
        """Say that there is nothing to delete; its output is `size`."""
        if self.namespaces and self.namespace_pattern:
            raise TaskFailed(BOTH)
        ctx.log(Level.INFO, "A file has one version here: there is no older one to purge")
        return {"size": 0}


@task("io.kestra.plugin.core.namespace.UploadFiles")
class UploadFiles(TaskProperties):
    """Put files of the working directory, or stored files, into a namespace."""

    namespace: str
    files: Texts | None = None
    files_map: Mapping[str, str] | None = None
    destination: str = "/"
    conflict: Literal["OVERWRITE", "ERROR", "SKIP"] = "OVERWRITE"

    def run(self, ctx: RunContext) -> Outputs:
        """Put the files where they belong."""
        if self.files is None and self.files_map is None:
            raise TaskFailed("files or filesMap is required")
        stored: dict[str, str] = {}
        for target, source in self._sources(ctx):
            uri = self._address(target)
            if self.conflict != "OVERWRITE" and ctx.storage.exists(uri):
                if self.conflict == "SKIP":
                    continue
                raise TaskFailed(
                    f"File '{target}' already exists in namespace '{self.namespace}' "
                    "and conflict is set to ERROR"
                )
            if isinstance(source, Path):
                ctx.storage.put_file(uri, source)
            elif ctx.storage.exists(source):
                with ctx.storage.open(source) as stream:
                    ctx.storage.put_stream(uri, stream)
            else:
                continue
            stored[target] = uri
        ctx.metric("uploaded", "counter", len(stored))
        return {"files": stored}

    def _sources(self, ctx: RunContext) -> Iterator[tuple[str, Path | str]]:
        """Where each file goes and where it comes from: a local path, or an address."""
        meant = globs.rule(self.files or (), str(ctx.workspace))
        for path in sorted(ctx.workspace.rglob("*")):
            if path.is_file() and not path.is_symlink() and meant(str(path)):
                yield self._target(path.relative_to(ctx.workspace).as_posix()), path
        for name, uri in (self.files_map or {}).items():
            yield self._target(name), uri

    def _target(self, name: str) -> str:
        path = os.path.normpath(f"/{self.destination}/{name.lstrip('/')}").lstrip("/")
        if ".." in PurePosixPath(self.destination, name).parts:
            raise TaskFailed(f"'{name}' leads out of the namespace")
        if path.split("/")[0] == "_flows":
            raise TaskFailed("Illegal argument: Forbidden path: /_flows")
        return f"/{path}"

    def _address(self, target: str) -> str:
        return places.namespace_file(self.namespace, target)
