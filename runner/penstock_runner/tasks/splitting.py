"""Divides a stored file into several: after so many rows or bytes, or dealt out to partitions."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, cast

from penstock_runner.tasks.api import TaskFailed

Put = Callable[[int, BinaryIO], str]
"""Stores the part of this number (from 0) and gives its address."""

_SIZE = re.compile(r"(\d+)\s*([kKmMgG])?[iI]?[bB]?")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_CHUNK = 1 << 18
_IN_MEMORY = 1 << 20


def bytes_of(size: str | int) -> int:
    """The number of bytes that `1KB`, `10 MB` or a plain number means."""
    found = _SIZE.fullmatch(str(size).strip())
    if found is None or int(found[1]) == 0:
        raise TaskFailed(f"`bytes` must be a size such as 1MB, not {size!r}")
    return int(found[1]) * _UNITS[(found[2] or "").lower()]


def rows_of(stream: BinaryIO, end: bytes = b"\n") -> Iterator[bytes]:
    """The rows of a file, each with its separator at the end."""
    if not end:
        raise TaskFailed("`separator` must not be empty")
    rest = b""
    while chunk := stream.read(_CHUNK):
        *rows, rest = (rest + chunk).split(end)
        for row in rows:
            yield row + end
    if rest:
        yield rest + end


def split(
    stream: BinaryIO,
    put: Put,
    *,
    size: str | int | None = None,
    partitions: int | None = None,
    rows: int | None = None,
    separator: str = "\n",
) -> list[str]:
    """Store the parts of a file and give their addresses in order."""
    end = separator.encode()
    if size is not None:
        return _by_weight(rows_of(stream, end), put, len, bytes_of(size))
    if partitions is not None:
        return _dealt(rows_of(stream, end), put, _positive("partitions", partitions))
    if rows is not None:
        return _by_weight(rows_of(stream, end), put, lambda _: 1, _positive("rows", rows))
    raise TaskFailed("Invalid configuration with no size, count, nor rows")


def _by_weight(
    rows: Iterator[bytes], put: Put, weigh: Callable[[bytes], int], limit: int
) -> list[str]:
    found: list[str] = []
    weight = 0
    part = _spool()
    for row in rows:
        part.write(row)
        weight += weigh(row)
        if weight >= limit:
            found.append(_stored(part, put, len(found)))
            part, weight = _spool(), 0
    if weight:
        found.append(_stored(part, put, len(found)))
    part.close()
    return found


def _dealt(rows: Iterator[bytes], put: Put, count: int) -> list[str]:
    parts: list[IO[bytes]] = []
    for number, row in enumerate(rows):
        if number < count:
            parts.append(_spool())
        parts[number % count].write(row)
    return [_stored(part, put, number) for number, part in enumerate(parts)]


def _stored(part: IO[bytes], put: Put, number: int) -> str:
    with part:
        part.seek(0)
        return put(number, cast("BinaryIO", part))


def _spool() -> IO[bytes]:
    return cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))


def _positive(name: str, number: int) -> int:
    if number < 1:
        raise TaskFailed(f"`{name}` must be at least 1")
    return number
