"""Files that arrive in a folder of the runner's machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import regex
from pydantic import Field

from penstock_runner.expressions.errors import KeyExpired
from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, task
from penstock_runner.tasks.polling import PollingTrigger, place
from penstock_runner.tasks.storage import BadAddress

REGEX_SECONDS = 1.0
COUNTED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file as it was when it was looked at."""

    path: Path
    below: str
    stat: os.stat_result

    @property
    def version(self) -> str:
        """Changes whenever the file does."""
        return f"{self.stat.st_mtime_ns}-{self.stat.st_size}-{self.stat.st_ino}"


@task("io.kestra.plugin.fs.local.Trigger", kind="polling")
class Trigger(PollingTrigger):
    """Start an execution when files arrive in a folder of this machine.

    `MOVE` and `DELETE` take the files away once the execution exists. With `NONE` they stay, and
    each starts an execution when it is new and when it has changed, as `on` says.
    """

    from_: str = Field(alias="from")
    reg_exp: str | None = None
    recursive: bool = False
    action: Literal["MOVE", "DELETE", "NONE"] = "NONE"
    move_directory: str | None = None
    on: Literal["CREATE", "UPDATE", "CREATE_OR_UPDATE"] = "CREATE_OR_UPDATE"
    max_files: int = Field(default=25, ge=1, le=1000)
    state_key: str | None = None
    state_ttl: timedelta | None = None

    def evaluate(self, ctx: RunContext) -> Outputs | None:
        """Look at the folder, and store what is new."""
        if self.action == "MOVE":
            self._target(ctx)
        seen = self._seen(ctx)
        arrived: list[dict[str, object]] = []
        passed_over: dict[str, str] = {}
        for file in self._files(ctx):
            known = seen.get(str(file.path))
            if known == file.version:
                continue
            change = "CREATE" if known is None else "UPDATE"
            if self.action == "NONE" and self.on not in (change, "CREATE_OR_UPDATE"):
                passed_over[str(file.path)] = file.version
            elif len(arrived) < self.max_files and (uri := _stored(ctx, file)):
                arrived.append({**_facts(file, uri), "changeType": change})
        if passed_over:
            self._remember(ctx, {**seen, **passed_over})
        return {"files": arrived, "count": len(arrived)} if arrived else None

    def taken(self, ctx: RunContext, found: Mapping[str, Any]) -> None:
        """Take the files away, or remember that they were seen."""
        files: Sequence[Mapping[str, Any]] = found["files"]
        if self.action == "NONE":
            versions = {one["localPath"]: one["version"] for one in files}
            self._remember(ctx, {**self._seen(ctx), **versions})
            return
        for one in files:
            path = ctx.local_path(str(one["localPath"]))
            stat = _look(path)
            if stat is None:
                continue
            if _File(path=path, below="", stat=stat).version != one["version"]:
                # It has changed since it was stored, so it is another arrival.
                ctx.log(Level.WARN, f"{path} has changed since and stays where it is")
            elif self.action == "DELETE":
                path.unlink(missing_ok=True)
            else:
                target = self._target(ctx) / str(one["below"])
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)

    def _target(self, ctx: RunContext) -> Path:
        if self.move_directory is None:
            raise TaskFailed("`moveDirectory` is required with the action MOVE")
        return ctx.local_path(self.move_directory)

    def _files(self, ctx: RunContext) -> Iterator[_File]:
        """The files that fit, oldest first."""
        top = ctx.local_path(self.from_)
        if not top.is_dir():
            raise TaskFailed(f"`from` names {self.from_}, which is no folder of this machine")
        wanted = self._pattern()
        beside = self._target(ctx) if self.action == "MOVE" else None
        found: list[_File] = []
        for path in _walk(top, recursive=self.recursive, beside=beside):
            stat = _look(path)
            if stat is None or not _fits(wanted, path) or not _allowed(ctx, path):
                continue
            found.append(_File(path=path, below=str(path.relative_to(top)), stat=stat))
            if len(found) >= COUNTED:
                break
        yield from sorted(found, key=lambda one: (one.stat.st_mtime_ns, str(one.path)))

    def _pattern(self) -> regex.Pattern[str] | None:
        try:
            return regex.compile(self.reg_exp) if self.reg_exp else None
        except regex.error as error:
            raise TaskFailed(f"`regExp` is no regular expression: {error}") from None

    def _key(self, ctx: RunContext) -> str:
        return self.state_key or f"{ctx.flow_id}.{ctx.task_id}.files"

    def _seen(self, ctx: RunContext) -> dict[str, str]:
        if self.action != "NONE":
            return {}
        try:
            entry = ctx.kv().get(self._key(ctx))
        except KeyExpired:
            return {}
        known = entry.value if entry is not None else None
        return dict(known) if isinstance(known, Mapping) else {}

    def _remember(self, ctx: RunContext, seen: Mapping[str, str]) -> None:
        """Keep the versions of files that are still there."""
        present = {path: version for path, version in seen.items() if Path(path).exists()}
        ctx.kv().put(self._key(ctx), present, kind="JSON", ttl=self.state_ttl)


def _walk(top: Path, *, recursive: bool, beside: Path | None) -> Iterator[Path]:
    """Files below a folder; links are not followed, and one folder may be left out."""
    for folder, folders, names in os.walk(top):
        here = Path(folder)
        kept = [one for one in folders if here / one != beside] if recursive else []
        folders[:] = sorted(kept)
        for name in sorted(names):
            yield here / name


def _look(path: Path) -> os.stat_result | None:
    """What is known of a file; None for what is gone or is no plain file."""
    try:
        stat = path.lstat()
    except OSError:
        return None
    return stat if path.is_file() and not path.is_symlink() else None


def _fits(wanted: regex.Pattern[str] | None, path: Path) -> bool:
    if wanted is None:
        return True
    try:
        texts = (path.name, str(path))
        return any(wanted.fullmatch(text, timeout=REGEX_SECONDS) for text in texts)
    except TimeoutError:
        raise TaskFailed(f"`regExp` takes too long for {path.name[:100]!r}") from None


def _allowed(ctx: RunContext, path: Path) -> bool:
    try:
        return ctx.local_path(str(path)) == path
    except TaskFailed:
        return False


def _stored(ctx: RunContext, file: _File) -> str | None:
    """The address of a copy; None when the file is still being written."""
    try:
        uri = ctx.storage.put_file(place(ctx, file.below), file.path)
    except (OSError, BadAddress) as error:
        ctx.log(Level.WARN, f"{file.path} cannot be stored: {error}")
        return None
    now = _look(file.path)
    if now is None or _File(path=file.path, below="", stat=now).version != file.version:
        ctx.storage.delete(uri)
        return None
    return uri


def _facts(file: _File, uri: str) -> dict[str, object]:
    stat = file.stat
    return {
        "uri": uri,
        "localPath": str(file.path),
        "path": str(file.path),
        "name": file.path.name,
        "parent": str(file.path.parent),
        "size": stat.st_size,
        "isDirectory": False,
        "createdDate": _moment(stat.st_ctime),
        "modifiedDate": _moment(stat.st_mtime),
        "accessedDate": _moment(stat.st_atime),
        "below": file.below,
        "version": file.version,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
