"""Packages that are installed once for a Python and then kept for the jobs that follow.

A set of requirements has a folder named by its hash below the runner's cache. The folder appears
under its name only when it is complete, and a lock sees that two jobs do not install the same set
at once: the second one waits and finds it. What nobody has used for a month goes.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Cancelled, ProcessEnd, ProcessSpec, RunContext, TaskFailed

PROCESS = {"type": "io.kestra.plugin.core.runner.Process"}
LOOK_AGAIN_SECONDS = 0.1
UNUSED_SECONDS = 30 * 24 * 3600
MOST_SETS = 200
DAY_SECONDS = 24 * 3600
TRY_AGAIN_SECONDS = 600


class PackageContext(RunContext, Protocol):
    """What installing needs of a running task."""

    @property
    def search_path(self) -> str: ...
    @property
    def index_settings(self) -> Mapping[str, str]: ...
    def cache_folder(self, name: str, *, shared: bool = False) -> Path: ...


class NotInstalled(TaskFailed):
    """The packages could not be installed; the log has the installer's own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSet:
    """Requirements for one Python. `options` say where packages come from."""

    python: str
    requirements: tuple[str, ...]
    options: tuple[str, ...] = ()
    manager: str = "UV"

    @property
    def name(self) -> str:
        """The same for the same set."""
        parts = [os.path.realpath(self.python), *sorted(self.requirements), "", *self.options]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def installed(ctx: PackageContext, wanted: PackageSet, *, cached: bool = True) -> Path:
    """The folder with the packages, which go on PYTHONPATH; installs them when they are not there.

    Without `cached` they are the job's alone.
    """
    if not cached:
        return _install(ctx, wanted)
    cache = ctx.cache_folder("python", shared=True)
    folder = cache / wanted.name
    if not _used(folder):
        with _locked(ctx, cache / f"{wanted.name}.lock"):
            if not _used(folder):
                _put(_install(ctx, wanted), folder)
                _drop_unused(cache, keep=folder, now=ctx.now())
    return folder


def installed_if_possible(ctx: PackageContext, wanted: PackageSet) -> Path | None:
    """As `installed`, but a task goes on without; a failure is not tried again for ten minutes."""
    mark = ctx.cache_folder("python", shared=True) / f"{wanted.name}.failed"
    if _age(mark, ctx.now()) < TRY_AGAIN_SECONDS and not (mark.parent / wanted.name).is_dir():
        return None
    try:
        found = installed(ctx, wanted)
    except NotInstalled as failed:
        names = ", ".join(wanted.requirements)
        ctx.log(Level.WARN, f"{failed}; the task runs without {names}")
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
        os.utime(mark)
        return None
    mark.unlink(missing_ok=True)
    return found


def _install(ctx: PackageContext, wanted: PackageSet) -> Path:
    """Install into a new folder of the job."""
    number = sum(1 for _ in ctx.workspace.parent.glob("packages-*"))
    fresh = ctx.workspace.parent / f"packages-{number}"
    cache = ctx.cache_folder("downloads")
    ctx.log(Level.DEBUG, f"Installing {', '.join(wanted.requirements)}")
    end: ProcessEnd = ctx.run_process(
        ProcessSpec(
            argv=_command(wanted, fresh, ctx.search_path),
            env={
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_ROOT_USER_ACTION": "ignore",
                **ctx.index_settings,
                "UV_CACHE_DIR": str(cache / "uv"),
                "PIP_CACHE_DIR": str(cache / "pip"),
                "UV_NO_PROGRESS": "1",
            },
            task_runner=PROCESS,
        )
    )
    if end.exit_code:
        raise NotInstalled(
            f"The dependencies could not be installed: exit code {end.exit_code}",
            reason=end.reason if end.reason != "exit" else "setup",
            exit_code=end.exit_code,
        )
    return fresh


def _command(wanted: PackageSet, folder: Path, search_path: str) -> list[str]:
    uv = shutil.which("uv", path=search_path)
    tail = ["--target", str(folder), *wanted.options, *wanted.requirements]
    if uv and wanted.manager == "UV":
        return [uv, "pip", "install", "--quiet", "--python", wanted.python, *tail]
    return [wanted.python, "-m", "pip", "install", "--quiet", *tail]


def _put(fresh: Path, folder: Path) -> None:
    """Give a complete folder its name; from another file system it is copied first.

    What a job of another user has installed for all becomes ours, so that none can change it.
    """
    _take(fresh)
    try:
        fresh.rename(folder)
    except OSError:
        beside = folder.with_suffix(".unfinished")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(fresh, beside, symlinks=True)
        beside.rename(folder)
    _used(folder)


def _take(folder: Path) -> None:
    ours = os.geteuid()
    if ours != 0 or folder.stat().st_uid == ours:
        return
    os.chown(folder, 0, 0)
    for top, folders, names in os.walk(folder):
        for name in (*folders, *names):
            os.chown(Path(top, name), 0, 0, follow_symlinks=False)


def _used(folder: Path) -> bool:
    """Whether the folder is there; it counts as used now."""
    try:
        os.utime(folder)
    except OSError:
        return folder.is_dir()
    return True


def _drop_unused(cache: Path, *, keep: Path, now: datetime) -> None:
    """Remove sets that nobody has used for long, and the oldest of very many."""
    ages = {path: _age(path, now) for path in cache.iterdir() if _is_set(path) and path != keep}
    oldest = sorted(ages, key=lambda path: ages[path], reverse=True)
    surplus = oldest[: max(0, len(oldest) - MOST_SETS)]
    for path, age in ages.items():
        if age > UNUSED_SECONDS or (path in surplus and age > DAY_SECONDS):
            shutil.rmtree(path, ignore_errors=True)
            path.with_suffix(".lock").unlink(missing_ok=True)


def _is_set(path: Path) -> bool:
    return len(path.name) == 32 and "." not in path.name and path.is_dir()


def _age(path: Path, now: datetime) -> float:
    """Seconds since a file was touched; for ever when there is none."""
    try:
        return max(0.0, now.timestamp() - path.stat().st_mtime)
    except OSError:
        return math.inf


@contextmanager
def _locked(ctx: PackageContext, path: Path) -> Iterator[None]:
    """Hold a lock that other jobs and runners of this machine wait for; a cancel ends the wait."""
    stopped = threading.Event()
    ctx.on_cancel(stopped.set)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        told = False
        while not _lock(descriptor):
            if not told:
                ctx.log(Level.INFO, "Waiting for another job that installs the same packages")
                told = True
            if stopped.wait(LOOK_AGAIN_SECONDS):
                raise Cancelled
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def search_paths(folders: Sequence[Path], search_path: str) -> dict[str, str]:
    """The variables that make packages of these folders known, the first one first."""
    programs = [str(folder / "bin") for folder in folders]
    return {
        "PYTHONPATH": ":".join(map(str, folders)),
        "PATH": ":".join([*programs, search_path]),
    }
