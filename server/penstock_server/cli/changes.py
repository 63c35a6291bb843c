"""When the files below a folder have changed: told by the kernel where it can, else looked for.

What the kernel says only wakes: what has changed is found by looking, so that nothing depends on
the order of its events, and files that are renamed into their place are seen like any others.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import time
from pathlib import Path

_LOOKED_EVERY = 2.0
_LOOKED_OFTEN = 0.5
# IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_MODIFY, IN_ATTRIB
_EVENTS = 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x2 | 0x4
_NONBLOCK = 0o4000

Seen = dict[str, tuple[int, int, int]]


class Changes:
    """The files of one folder; `wait` comes back when they have changed and are left in peace."""

    def __init__(self, folder: Path, *, quiet: float = 0.3, poll: bool = False) -> None:
        self._folder = folder
        self._quiet = quiet
        self._kernel = None if poll else _Kernel.open(folder)
        self._seen = seen_in(folder)

    @property
    def polling(self) -> bool:
        """Whether nobody but looking tells."""
        return self._kernel is None

    def wait(self, seconds: float | None = None) -> bool:
        """Come back after a change, once nothing has changed for the quiet time; or in time."""
        until = None if seconds is None else time.monotonic() + seconds
        while (now := seen_in(self._folder)) == self._seen:
            if until is not None and time.monotonic() >= until:
                return False
            self._sleep(_LOOKED_OFTEN if self.polling else _LOOKED_EVERY, until)
        while True:
            self._seen = now
            if self._kernel is not None:
                self._kernel.follow(self._folder)
            time.sleep(self._quiet)  # noqa: TID251 - a person's editor is given its time
            now = seen_in(self._folder)
            if now == self._seen:
                return True

    def _sleep(self, seconds: float, until: float | None) -> None:
        if until is not None:
            seconds = max(0.0, min(seconds, until - time.monotonic()))
        if self._kernel is not None:
            self._kernel.wait(seconds)
        else:
            time.sleep(seconds)  # noqa: TID251 - nobody tells of changes

    def close(self) -> None:
        """Ask the kernel no more."""
        if self._kernel is not None:
            self._kernel.close()


def seen_in(folder: Path) -> Seen:
    """What can be seen of the files below a folder without reading them; Git's own are left out."""
    found: Seen = {}
    if folder.is_file():
        facts = folder.stat()
        return {str(folder): (facts.st_mtime_ns, facts.st_size, facts.st_ino)}
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(where) / name
            try:
                facts = path.stat()
            except OSError:
                continue  # gone in this moment
            found[str(path)] = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
    return found


class _Kernel:
    """inotify, as a bell."""

    def __init__(self, libc: ctypes.CDLL, descriptor: int) -> None:
        self._libc = libc
        self._descriptor = descriptor

    @classmethod
    def open(cls, folder: Path) -> _Kernel | None:
        """None where the kernel has no such bell, or gives no more of them."""
        if not sys.platform.startswith("linux"):
            return None
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.inotify_init1(_NONBLOCK)
        if descriptor < 0:
            return None
        made = cls(libc, descriptor)
        if made.follow(folder):
            return made
        made.close()
        return None

    def follow(self, folder: Path) -> bool:
        """Hear of all folders that are there now; those that are known stay known."""
        top = folder if folder.is_dir() else folder.parent
        fine = self._add(top)
        for where, folders, _ in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".")]
            heard = [self._add(Path(where) / name) for name in folders]
            fine = fine and all(heard)
        return fine

    def wait(self, seconds: float) -> None:
        """Sleep until something happens, at most so long."""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if ready:
            os.read(self._descriptor, 65_536)

    def close(self) -> None:
        """Give it back."""
        os.close(self._descriptor)

    def _add(self, folder: Path) -> bool:
        added: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _EVENTS)
        return added >= 0
