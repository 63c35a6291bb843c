"""Copies the log of a SQLite store into its file, beside the writer and not in its way."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

EVERY = 400  # commits, or fewer when they are large
LOOK = 25
LARGE = 16 << 20


class Checkpoints:
    """Copies the log of a SQLite store into its file, on a thread and a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._wanted = threading.Event()
        self._closed = False
        self._commits = 0
        self._thread: threading.Thread | None = None

    def committed(self) -> None:
        """Count one commit; every so often there is work."""
        self._commits += 1
        if self._commits % EVERY == 0 or (self._commits % LOOK == 0 and self._large()):
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
                self._thread.start()
            self._wanted.set()

    def _large(self) -> bool:
        try:
            return self._log.stat().st_size > LARGE
        except OSError:
            return False

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, timeout=5, isolation_level=None)
        try:
            while self._wanted.wait() and not self._closed:
                self._wanted.clear()
                try:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                except sqlite3.Error:
                    # The next write meets the same trouble and has somebody to tell.
                    continue
        finally:
            connection.close()
