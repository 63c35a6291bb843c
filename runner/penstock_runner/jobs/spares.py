"""Empty workspaces that wait for their next job, and full ones that wait to be removed.

Making and removing two folders costs a small job more than all else: a journal that the store is
flushing at the same moment lets each removal wait for it. Most jobs leave nothing behind, so their
folders are renamed for the next job of the same worker; what others leave is removed meanwhile.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
from contextlib import suppress
from pathlib import Path

from penstock_runner.jobs.settings import RunAs
from penstock_runner.jobs.trees import PRIVATE, remove_tree

WORK = "work"
KEPT = 2
MOST_WAITING = 8
_AS_MADE = stat.S_IFDIR | PRIVATE


def spare_root(workspaces: Path) -> Path:
    """Where the folders are that belong to no job, beside those that do."""
    return workspaces.with_name(f".{workspaces.name}.spare")


class Spares:
    """The folders of one worker; its jobs come one after the other."""

    def __init__(self, workspaces: Path, run_as: RunAs | None) -> None:
        self._root = spare_root(workspaces)
        self._owner = run_as.user if run_as is not None else os.geteuid()
        self._empty: list[Path] = []
        self._full: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._remover: threading.Thread | None = None
        self._count = 0

    def take(self, folder: Path) -> bool:
        """Let an empty workspace have this name; False when there is none."""
        if not self._empty:
            return False
        try:
            os.rename(self._empty[-1], folder)  # noqa: PTH104 - a hot path
        except OSError:
            return False  # something has this name; whoever makes the folder removes that first
        self._empty.pop()
        return True

    def give_back(self, folder: Path) -> bool:
        """Keep the folder when it is as it was made, else have it removed; False: neither."""
        place = self._place()
        try:
            clean = len(self._empty) < KEPT and self._as_made(folder)
            if not clean and self._full.qsize() >= MOST_WAITING:
                return False
            os.rename(folder, place)  # noqa: PTH104 - a hot path
        except OSError:
            return False
        if clean:
            self._empty.append(place)
        else:
            self._remove_later(place)
        return True

    def close(self) -> None:
        """Remove the empty folders; the worker ends."""
        while self._empty:
            remove_tree(self._empty.pop())

    def _place(self) -> Path:
        self._count += 1
        return self._root / f"{os.getpid()}-{self._count}"

    def _as_made(self, folder: Path) -> bool:
        return (
            os.listdir(folder) == [WORK]  # noqa: PTH208 - a hot path
            and not os.listdir(folder / WORK)  # noqa: PTH208
            and self._untouched(folder)
            and self._untouched(folder / WORK)
        )

    def _untouched(self, folder: Path) -> bool:
        facts = folder.lstat()
        return (facts.st_mode, facts.st_uid) == (_AS_MADE, self._owner) and not _marked(folder)

    def _remove_later(self, folder: Path) -> None:
        self._full.put(folder)
        if self._remover is None:
            self._remover = threading.Thread(target=self._remove, daemon=True, name="remover")
            self._remover.start()

    def _remove(self) -> None:
        while True:
            folder = self._full.get()
            with suppress(OSError):
                remove_tree(folder)


def _marked(folder: Path) -> bool:
    """Whether a folder has attributes, such as an access list, that the next job would inherit."""
    try:
        return bool(os.listxattr(folder, follow_symlinks=False))
    except (OSError, AttributeError):
        return False
