"""Tasks on files of the internal storage as a whole: join, split, turn round, write, delete."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, BinaryIO, cast

from pydantic import Field

from penstock_runner.tasks import globs, places
from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, TaskProperties, task
from penstock_runner.tasks.splitting import rows_of, split
from penstock_runner.tasks.storage import BadAddress, FileMissing
from penstock_runner.tasks.stored import extension, opened, place, put_written

CHUNK = 1 << 20
Texts = tuple[str, ...]


@task("io.kestra.plugin.core.storage.Concat")
class Concat(TaskProperties):
    """Join files to one; the separator is written after each of them."""

    files: Texts
    separator: str | None = None
    extension: str = ".tmp"

    def run(self, ctx: RunContext) -> Outputs:
        """Join the files."""
        end = (self.separator or "").encode()

        def write(out: BinaryIO) -> None:
            for uri in self.files:
                with opened(ctx, uri) as stream:
                    while chunk := stream.read(CHUNK):
                        out.write(chunk)
                out.write(end)

        uri, _ = put_written(ctx, f"concat{self.extension}", write)
        return {"uri": uri}


@task("io.kestra.plugin.core.storage.Delete")
class Delete(TaskProperties):
    """Delete a file; its output `deleted` says whether there was one."""

    uri: str
    error_on_missing: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Delete the file."""
        try:
            deleted = ctx.storage.delete(self.uri)
        except BadAddress as error:
            raise TaskFailed(str(error)) from None
        if not deleted and self.error_on_missing:
            raise TaskFailed(f"Unable to find file '{self.uri}'")
        return {"uri": self.uri, "deleted": deleted}


@task("io.kestra.plugin.core.storage.Size")
class Size(TaskProperties):
    """Give the size of a file in bytes."""

    uri: str

    def run(self, ctx: RunContext) -> Outputs:
        """Look at the file."""
        try:
            return {"size": ctx.storage.facts(self.uri).size}
        except (BadAddress, FileMissing) as error:
            raise TaskFailed(str(error)) from None


@task("io.kestra.plugin.core.storage.Split")
class Split(TaskProperties):
    """Divide a file by rows, bytes or partitions; its output is `uris`."""

    from_: Annotated[str, Field(alias="from")]
    bytes: str | None = None
    partitions: int | None = None
    rows: int | None = None
    separator: str = "\n"

    def run(self, ctx: RunContext) -> Outputs:
        """Divide the file."""
        kind = extension(self.from_)

        def put(number: int, part: BinaryIO) -> str:
            return ctx.storage.put_stream(place(ctx, f"part-{number:05}{kind}"), part)

        with opened(ctx, self.from_) as stream:
            uris = split(
                stream,
                put,
                size=self.bytes,
                partitions=self.partitions,
                rows=self.rows,
                separator=self.separator,
            )
        return {"uris": uris}


@task("io.kestra.plugin.core.storage.Reverse")
class Reverse(TaskProperties):
    """Write the lines of a file in reverse order."""

    from_: Annotated[str, Field(alias="from")]
    separator: str = "\n"
    charset: str = "UTF-8"

    def run(self, ctx: RunContext) -> Outputs:
        """Turn the file round."""
        try:
            with opened(ctx, self.from_) as stream:
                rows = list(rows_of(stream, self.separator.encode(self.charset)))
        except LookupError:
            raise TaskFailed(f"`charset` {self.charset} is not known") from None
        uri, _ = put_written(
            ctx, f"reverse{extension(self.from_)}", lambda out: out.writelines(reversed(rows))
        )
        return {"uri": uri}


@task("io.kestra.plugin.core.storage.Write")
class Write(TaskProperties):
    """Write a text to a file; its output is `uri`."""

    content: str
    extension: str | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Write the file."""
        kind = self.extension or ".tmp"
        name = f"content{kind if kind.startswith('.') else f'.{kind}'}"
        return {"uri": ctx.storage.put_bytes(place(ctx, name), self.content.encode())}


@task("io.kestra.plugin.core.storage.PurgeCurrentExecutionFiles")
class PurgeCurrentExecutionFiles(TaskProperties):
    """Delete all files of the running execution; its output is `uris`."""

    def run(self, ctx: RunContext) -> Outputs:
        """Delete the files."""
        below = places.execution_prefix(ctx.namespace, ctx.flow_id, ctx.execution_id)
        return {"uris": ctx.storage.delete_below(below)}


@task("io.kestra.plugin.core.storage.LocalFiles")
class LocalFiles(TaskProperties):
    """Put files into the working directory and take files out of it (deprecated)."""

    inputs: Mapping[str, str] | None = None
    outputs: Texts | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Place the inputs, then store the outputs."""
        for name, content in (self.inputs or {}).items():
            _place(ctx, name, content)
        uris: dict[str, str] = {}
        wanted = globs.rule(self.outputs or (), str(ctx.workspace))
        for path in _regular_files(ctx.workspace):
            if wanted(str(path)):
                name = path.relative_to(ctx.workspace).as_posix()
                stored = place(ctx, name.replace("..", "__"))
                uris[name] = ctx.storage.put_file(stored, path, move=True)
        return {"uris": uris}


def _place(ctx: RunContext, name: str, content: str) -> None:
    target = Path(os.path.normpath(ctx.workspace / name))
    if not target.is_relative_to(ctx.workspace):
        raise TaskFailed(f"'{name}' leads out of the working directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not content.startswith("kestra://"):
        target.write_text(content, "utf-8")
        return
    try:
        ctx.storage.fetch(content, target)
    except (BadAddress, FileMissing) as error:
        raise TaskFailed(str(error)) from None


def _regular_files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(cast("list[Path]", list(found)))
