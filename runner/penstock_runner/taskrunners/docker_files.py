"""The files of a job on their way into a container and back.

They travel as archives, which works with any daemon, also one that does not see this machine's
folders. What comes back is read without trust: an entry that would lead out of the folder stays
where it is.
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors

ROOT = ("", "0", "root", "0:0", "root:root")


def needs_files(container: Any, folder: Path) -> bool:
    """Whether the container must be given the folder: the daemon itself makes an empty one.

    It belongs to root then, and an image with another user could not write into it.
    """
    user = str(container.attrs.get("Config", {}).get("User") or "")
    return user not in ROOT or _has_more_than_the_working_directory(folder)


def _has_more_than_the_working_directory(folder: Path) -> bool:
    return [entry.name for entry in os.scandir(folder)] != ["work"] or any(
        os.scandir(folder / "work")
    )


def copy_in(container: Any, folder: Path) -> None:
    """Put the folder into a container that has not started."""
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(folder, arcname=str(folder).lstrip("/"), filter=_open_to_all)
        packed.seek(0)
        container.put_archive("/", packed)


def _open_to_all(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whoever the image runs as may use the job's files: they are copies."""
    entry.mode |= 0o777 if entry.isdir() else 0o666
    entry.uid = entry.gid = 0
    return entry


def wrote_nothing(container: Any, folder: Path) -> bool:
    """Whether an ended container, which was given no files, has none below the folder."""
    below = f"{folder}/"
    changes = container.diff() or ()
    return not any(
        str(change["Path"]).startswith(below) and str(change["Path"]) != f"{below}work"
        for change in changes
    )


def copy_out(container: Any, folder: Path, inside: Path | None = None) -> None:
    """Bring the folder's files back; `inside` is where the container has them, if elsewhere."""
    inside = inside or folder
    with contextlib.suppress(docker.errors.NotFound):
        chunks, _ = container.get_archive(str(inside))
        with tarfile.open(fileobj=_Stream(chunks), mode="r|") as archive:
            for entry in archive:
                if inside.name != folder.name:
                    _move(entry, inside.name, folder.name)
                with contextlib.suppress(tarfile.FilterError, OSError):
                    archive.extract(entry, folder.parent, filter="data")
        for place, folders, _ in os.walk(folder):
            for name in folders:
                with contextlib.suppress(OSError):
                    (Path(place) / name).chmod(0o700)


def _move(entry: tarfile.TarInfo, old: str, new: str) -> None:
    """Give an entry, and the entry that a hard link names, another folder at the top."""
    entry.name = new + entry.name.removeprefix(old)
    if entry.islnk():
        entry.linkname = new + entry.linkname.removeprefix(old)


class _Stream(io.RawIOBase):
    """An iterator of chunks as a file to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
