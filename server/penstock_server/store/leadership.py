"""Who may write a store in a folder: the process that holds the lock of its file `lock`."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from penstock_server.store.faults import StoreUnavailable


class Leadership:
    """The right of this process to write a store, until released or the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let another process write."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def holder_of(path: Path) -> int | None:
    """The process that holds the lock of the folder, None when nobody does."""
    with (path / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            said = lock.read(20).strip()
            return int(said) if said.isdigit() else None
    return None


def acquire_leadership(path: Path) -> Leadership:
    """Lock `lock` in the folder for this process; raises `StoreUnavailable` naming the holder."""
    lock = path / "lock"
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"{lock} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreUnavailable(
            f"{path} is in use by another penstock process (pid {holder}); stop it first,"
            " or choose another home"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return Leadership(descriptor)
