"""The private folder of one job: working directory, output directory, temporary files, output file.

Layout below `<workspaces>/<task run>-<attempt>`, all of it mode 0700 and gone after the job: `work`
(the working directory), `out` (`outputDir`), `in` (fetched files), temporary files and the files
behind `$PENSTOCK_OUTPUT` and its like, which are outside `work` so that no glob of `outputFiles`
finds them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from penstock_runner.jobs import users
from penstock_runner.jobs.settings import RunAs
from penstock_runner.jobs.spares import Spares
from penstock_runner.jobs.trees import PRIVATE, remove_tree
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.storage import Storage

LONGEST_NAME = 255
LONGEST_PATH = 1024


class Workspace:
    """Knows its paths at once; the folders are made on first use."""

    def __init__(
        self, folder: Path, run_as: RunAs | None = None, spares: Spares | None = None
    ) -> None:
        self.folder = folder
        self.path = self.folder / "work"
        self.output_dir = self.folder / "out"
        self.output_file = self.folder / "output"
        self.summary_file = self.folder / "summary"
        self.env_file = self.folder / "env"
        self.path_file = self.folder / "path"
        self._fetched = self.folder / "in"
        self._run_as = run_as
        self._spares = spares
        self._made = False
        self._count = 0

    def make(self) -> None:
        """Make the folders, once; what an earlier process left under this name goes first."""
        if self._made:
            return
        if self._spares is not None and self._spares.take(self.folder):
            self._made = True
            return
        for attempt in (0, 1):
            try:
                self.folder.mkdir(mode=PRIVATE, parents=True)
                break
            except FileExistsError:
                if attempt:
                    raise
                remove_tree(self.folder)
        self.path.mkdir(mode=PRIVATE)
        self._made = True
        self.give(self.folder, self.path)

    def make_output_dir(self) -> None:
        """Make the output directory, for tasks that have one."""
        self.make()
        self.output_dir.mkdir(mode=PRIVATE, exist_ok=True)
        self.give(self.output_dir)

    def remove(self) -> None:
        """Remove everything."""
        if not self._made:
            return
        self._made = False
        if self._spares is not None and self._spares.give_back(self.folder):
            return
        try:
            os.rmdir(self.path)  # noqa: PTH106 - most jobs leave nothing, and this is much quicker
            os.rmdir(self.folder)  # noqa: PTH106
        except OSError:
            remove_tree(self.folder)

    def give(self, *paths: Path) -> None:
        """Let the job's user have these paths, when it has one of its own."""
        if self._run_as is not None:
            for path in paths:
                os.chown(path, self._run_as.user, self._run_as.group, follow_symlinks=False)

    def take_back(self) -> None:
        """Let the job's user have what a container has written here; devices are removed."""
        if self._run_as is None:
            return
        for folder, folders, names in os.walk(self.folder):
            for path in (Path(folder, name) for name in (*folders, *names)):
                mode = path.lstat().st_mode
                if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
                    path.unlink()
                else:
                    self.give(path)

    def resolve(self, name: str) -> Path:
        """A path inside the working directory; anything that leaves it is refused."""
        encoded = os.fsencode(name)
        longest = max(map(len, encoded.split(b"/")))
        if b"\0" in encoded or len(encoded) > LONGEST_PATH or longest > LONGEST_NAME:
            raise TaskFailed(
                f"{name[:40]!r} is no name for a file: a name has at most {LONGEST_NAME} bytes, a "
                f"path {LONGEST_PATH}, and neither holds a NUL"
            )
        relative = Path(name)
        if relative.is_absolute():
            try:
                relative = relative.relative_to(self.path)
            except ValueError:
                raise TaskFailed(_OUTSIDE) from None
        if ".." in relative.parts or not relative.parts:
            raise TaskFailed(_OUTSIDE)
        return self.path / relative

    def write(self, name: str, content: str) -> Path:
        """Write a text file, with the folders it needs."""
        target = self._room_for(name)
        target.write_text(content, "utf-8")
        self.give(target)
        return target

    def place(self, name: str, fetch: Callable[[Path], None]) -> Path:
        """Let `fetch` fill a file, with the folders it needs."""
        target = self._room_for(name)
        fetch(target)
        self.give(target)
        return target

    def fetched(self, name: str, fetch: Callable[[Path], None]) -> Path:
        """Let `fetch` fill a file that is not part of the working directory."""
        self.make()
        self._count += 1
        folder = self._fetched / str(self._count)
        folder.mkdir(mode=PRIVATE, parents=True)
        target = folder / (Path(name).name or "file")
        fetch(target)
        self.give(self._fetched, folder, target)
        return target

    def inside(self, path: Path) -> bool:
        """Whether a path, links followed, is still in the job's folders."""
        return path.resolve().is_relative_to(self.folder.resolve())

    def open(self, path: Path) -> BinaryIO:
        """Open a regular file that the job may have made, with the job's own rights."""
        with users.with_rights_of(self._run_as):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{path.name} is not a regular file")
        return os.fdopen(descriptor, "rb")

    def keep(self, path: Path, storage: Storage, uri: str, *, move: bool) -> str:
        """Store a file of the job under an address; it may be moved unless it is a link."""
        linked = path.is_symlink()
        source = path.resolve() if linked else path
        if self._run_as is None:
            return storage.put_file(uri, source, move=move and not linked)
        with self.open(source) as stream:
            storage.put_stream(uri, stream)
        if move and not linked:
            path.unlink(missing_ok=True)
        return uri

    def read_side_file(self, path: Path, limit: int) -> str:
        """What a process wrote to a side file, at most so many bytes; links are refused."""
        try:
            with self.open(path) as stream:
                return stream.read(limit).decode("utf-8", "replace")
        except OSError:
            return ""

    def _room_for(self, name: str) -> Path:
        self.make()
        target = self.resolve(name)
        missing = [p for p in target.parents if p.is_relative_to(self.path) and not p.exists()]
        target.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if not self.inside(target.parent) or target.is_symlink():
            raise TaskFailed(_OUTSIDE)
        self.give(*missing)
        return target


_OUTSIDE = "The path to resolve must be a relative path inside the current working directory"


def workspace_folder(root: Path, taskrun_id: str, attempt: int) -> Path:
    """The folder of one attempt of a task run."""
    return root / re.sub(r"[^A-Za-z0-9._-]", "_", f"{taskrun_id}-{attempt}")
