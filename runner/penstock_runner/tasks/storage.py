"""The internal storage: files of executions and namespaces behind `kestra:///` addresses.

`Storage` is what tasks, the API and `read()` use; `LocalStorage` keeps the files in a folder.
`penstock_runner.tasks.places` builds the addresses: namespace dots become folders, then flow,
`executions/<id>/tasks/<task>/<task run>/<name>` and so on.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, Protocol

SCHEME: Final = "kestra://"
CHUNK: Final = 1 << 20
_UNFINISHED: Final = ".unfinished-"


class FileMissing(Exception):
    """There is no such file in the storage."""


class BadAddress(Exception):
    """The text is no address of the internal storage, or leaves its folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What is known of a stored file or folder."""

    uri: str
    name: str
    size: int
    directory: bool
    modified: datetime


class Storage(Protocol):
    """Files by address; every call may raise `BadAddress`, reads `FileMissing`."""

    def put_file(self, uri: str, source: Path, *, move: bool = False) -> str: ...
    def put_bytes(self, uri: str, content: bytes) -> str: ...
    def put_stream(self, uri: str, stream: BinaryIO) -> str: ...
    def open(self, uri: str) -> BinaryIO: ...
    def read_bytes(self, uri: str, limit: int | None = None) -> bytes: ...
    def fetch(self, uri: str, target: Path) -> None:
        """Copy a stored file to a local path."""
        ...

    def facts(self, uri: str) -> FileFacts: ...
    def exists(self, uri: str) -> bool: ...
    def delete(self, uri: str) -> bool: ...
    def delete_below(self, prefix: str) -> list[str]:
        """Delete all files below an address and give their addresses, then that of the folder."""
        ...

    def walk(self, prefix: str) -> Iterator[FileFacts]:
        """All files below an address."""
        ...


def check_address(uri: str | None) -> str:
    """The path of an address, without the leading slash."""
    if uri is None:
        raise BadAddress("Invalid internal storage uri, got null")
    if "://" not in uri:
        raise BadAddress(f"Invalid internal storage uri, got uri '{uri}'")
    if not uri.startswith(SCHEME):
        raise BadAddress(f"Invalid internal storage scheme, got uri '{uri}'")
    if ".." in uri:
        raise BadAddress(
            "File should be accessed with their full path and not using relative '..' path."
        )
    if "\0" in uri:
        raise BadAddress("Invalid internal storage uri, it holds a NUL character")
    return uri.removeprefix(SCHEME).strip("/")


class LocalStorage:
    """Files in a folder of this machine, private to the user of the process.

    A file appears whole or not at all: it is written under another name and then renamed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put_file(self, uri: str, source: Path, *, move: bool = False) -> str:
        """Store a regular file; a link is refused, since it may lead out of a task's folder."""
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            os.close(descriptor)
            raise BadAddress(f"{source.name} is not a regular file and cannot be stored")
        with os.fdopen(descriptor, "rb") as stream:
            if move and self._moved(descriptor, facts, source, uri):
                return uri
            self.put_stream(uri, stream)
        if move:
            source.unlink()
        return uri

    def _moved(self, descriptor: int, facts: os.stat_result, source: Path, uri: str) -> bool:
        """Take a file over without a copy, however large; False when it has to be copied.

        A file with a second name would stay in the hands of whoever has that. What was looked at
        and what was moved are the same file, or nothing is kept.
        """
        target = self._target(uri)
        self._make_folder(target.parent)
        if facts.st_nlink != 1 or facts.st_dev != target.parent.stat().st_dev:
            return False
        try:
            os.fchmod(descriptor, 0o600)
            if facts.st_uid != os.geteuid():
                os.fchown(descriptor, os.geteuid(), os.getegid())
            source.rename(target)
        except OSError:
            return False
        if target.lstat().st_ino != facts.st_ino:
            target.unlink()
            raise BadAddress(f"{source.name} was exchanged while it was stored")
        return True

    def put_bytes(self, uri: str, content: bytes) -> str:
        """Store some bytes."""
        return self.put_stream(uri, BytesIO(content))

    def put_stream(self, uri: str, stream: BinaryIO) -> str:
        """Store all that the stream gives."""
        target = self._target(uri)
        self._make_folder(target.parent)
        descriptor, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=target.parent)
        unfinished = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                shutil.copyfileobj(stream, out, CHUNK)
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        return uri

    def open(self, uri: str) -> BinaryIO:
        """Open a stored file for reading."""
        return self._existing(uri).open("rb")

    def read_bytes(self, uri: str, limit: int | None = None) -> bytes:
        """The content of a file, at most `limit` bytes of it."""
        with self.open(uri) as stream:
            return stream.read() if limit is None else stream.read(limit)

    def fetch(self, uri: str, target: Path) -> None:
        """Copy a stored file to a local path."""
        with self.open(uri) as stream, target.open("wb") as out:
            shutil.copyfileobj(stream, out, CHUNK)

    def facts(self, uri: str) -> FileFacts:
        """What is known of a file or folder."""
        path = self._path(uri)
        if not path.exists():
            raise FileMissing(f"File not found: {uri}")
        return self._facts(path)

    def exists(self, uri: str) -> bool:
        """Whether there is a file or folder."""
        return self._path(uri).exists()

    def delete(self, uri: str) -> bool:
        """Delete a file, or a folder with all in it; whether there was one."""
        path = self._target(uri)
        if path.is_dir():
            shutil.rmtree(path)
            return True
        if not path.exists():
            return False
        path.unlink()
        return True

    def delete_below(self, prefix: str) -> list[str]:
        """Delete all files below an address and give their addresses, then that of the folder."""
        folder = self._target(prefix)
        if not folder.exists():
            return []
        deleted = [facts.uri for facts in self.walk(prefix)]
        if folder.is_dir():
            deleted.append(self._address(folder))
            shutil.rmtree(folder)
        else:
            folder.unlink()
        return deleted

    def walk(self, prefix: str) -> Iterator[FileFacts]:
        """All files below an address, in the order of their paths."""
        top = self._path(prefix)
        if top.is_file():
            yield self._facts(top)
            return
        for path in sorted(top.rglob("*")):
            if path.is_file() and not path.name.startswith(_UNFINISHED):
                yield self._facts(path)

    def _path(self, uri: str) -> Path:
        return self._root / check_address(uri)

    def _target(self, uri: str) -> Path:
        path = self._path(uri)
        if path == self._root:
            raise BadAddress(f"'{uri}' is the storage itself, not a file in it")
        return path

    def _existing(self, uri: str) -> Path:
        path = self._path(uri)
        if not path.is_file():
            raise FileMissing(f"File not found: {uri}")
        return path

    def _address(self, path: Path) -> str:
        return f"{SCHEME}/{path.relative_to(self._root).as_posix()}"

    def _facts(self, path: Path) -> FileFacts:
        found = path.stat()
        return FileFacts(
            uri=self._address(path),
            name=path.name,
            size=found.st_size,
            directory=path.is_dir(),
            modified=datetime.fromtimestamp(found.st_mtime, UTC),
        )

    def _make_folder(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for part in reversed(missing):
            part.mkdir(mode=0o700, exist_ok=True)
