"""The internal storage: files of executions and namespaces behind `kestra:///` addresses.

`Storage` is what tasks, the API and `read()` use; `LocalStorage` keeps the files in a folder. Paths:
namespace dots become folders, then flow, `executions/<id>/tasks/<task>/<task run>/<name>` and so on
(`penstock_runner.tasks.places` builds them).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol


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
        """Delete all files below an address and give their addresses."""
        ...

    def walk(self, prefix: str) -> Iterator[FileFacts]:
        """All files below an address."""
        ...
