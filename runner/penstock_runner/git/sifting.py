"""A pack without the objects that are too large, made without ever holding one of them in memory.

Not every server leaves large files out when it is asked to, and a pack of kilobytes can hold a file
of gigabytes. So packs are read as a stream before they are indexed: entries are copied as they are,
and those that would inflate to more than is allowed stay behind. What they were is not known then;
a file whose content is not in the store is told by its path when the tree is read.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from penstock_runner.git.trouble import GIT_CORRUPT, GitTrouble

_BLOB, _OFFSET_DELTA, _NAMED_DELTA = 3, 6, 7
_CHUNK = 65_536
# What a delta makes may be a tree, and those are needed.
_LARGEST_TREE = 16 * 1024 * 1024
Digest = Literal["sha1", "sha256"]


def sift(source: BinaryIO, target: BinaryIO, limit: int, digest: Digest = "sha1") -> int:
    """Copy a pack without blobs of more than `limit` bytes; gives how many were left out."""
    return _Sieve(source, target, limit, digest).run()


@dataclass(slots=True)
class _Entry:
    """One object of a pack: what stands before its compressed bytes, and those."""

    kind: int
    size: int
    place: int
    base: int | None = None
    name: bytes = b""
    pieces: list[bytes] = field(default_factory=list)


class _Sieve:
    def __init__(self, source: BinaryIO, target: BinaryIO, limit: int, digest: Digest) -> None:
        self._source = source
        self._target = target
        self._limit = limit
        self._digest = digest
        self._held = b""
        self._at = 0  # how many of the bytes that are held are done with
        self._read = 0  # how many bytes of the pack are
        self._places: dict[int, int] = {}  # where a kept entry was, and where it is now

    def run(self) -> int:
        magic, version, count = struct.unpack(">4sLL", self._take(12))
        if magic != b"PACK" or version not in (2, 3):
            raise _corrupt("it does not begin as a pack does")
        self._target.write(bytes(12))
        kept = 0
        for _ in range(count):
            entry = self._entry()
            if self._fits(entry):
                self._places[entry.place] = self._target.tell()
                self._write(entry)
                kept += 1
        self._finish(kept)
        return int(count) - kept

    def _entry(self) -> _Entry:
        """The next entry as far as its compressed bytes, which follow."""
        place = self._read
        byte = self._take(1)[0]
        kind, size, shift = (byte >> 4) & 7, byte & 15, 4
        while byte & 0x80:
            byte = self._take(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
        entry = _Entry(kind=kind, size=size, place=place)
        if kind == _OFFSET_DELTA:
            entry.base = place - self._distance()
        elif kind == _NAMED_DELTA:
            entry.name = self._take(hashlib.new(self._digest).digest_size)
        return entry

    def _distance(self) -> int:
        byte = self._take(1)[0]
        distance = byte & 0x7F
        while byte & 0x80:
            byte = self._take(1)[0]
            distance = ((distance + 1) << 7) | (byte & 0x7F)
        return distance

    def _fits(self, entry: _Entry) -> bool:
        """Go to the end of an entry; its bytes are kept unless it is too large, or its base was."""
        fits = entry.base is None or entry.base in self._places
        if entry.kind == _BLOB:
            fits = fits and entry.size <= self._limit
        elif entry.size > max(self._limit, _LARGEST_TREE):
            fits = False
        inflating, made, start = zlib.decompressobj(), 0, b""
        # What is given beyond the end of an entry would be copied back.
        step = min(_CHUNK, entry.size + 64)
        while not inflating.eof:
            if self._at == len(self._held):
                self._more()
            given = self._held[self._at : self._at + step]
            out = inflating.decompress(given, _CHUNK)
            left = inflating.unused_data or inflating.unconsumed_tail
            used = len(given) - len(left)
            if not used and not out:
                self._more()
                continue
            made += len(out)
            if made > entry.size:
                raise _corrupt("an object is longer than it says")
            if len(start) < 32:
                start += out[:32]
            if fits:
                entry.pieces.append(given[:used])
            self._skip(used)
        if made != entry.size:
            raise _corrupt("an object is shorter than it says")
        if entry.kind in (_OFFSET_DELTA, _NAMED_DELTA):
            fits = fits and _made_by(start) <= max(self._limit, _LARGEST_TREE)
        return fits

    def _write(self, entry: _Entry) -> None:
        size, header = entry.size >> 4, bytearray()
        byte = (entry.kind << 4) | (entry.size & 15)
        while size:
            header.append(byte | 0x80)
            byte, size = size & 0x7F, size >> 7
        header.append(byte)
        if entry.base is not None:
            header += _as_distance(self._target.tell() - self._places[entry.base])
        self._target.write(bytes(header) + entry.name)
        for piece in entry.pieces:
            self._target.write(piece)

    def _finish(self, kept: int) -> None:
        self._target.seek(0)
        self._target.write(struct.pack(">4sLL", b"PACK", 2, kept))
        self._target.seek(0)
        told = hashlib.new(self._digest)
        while chunk := self._target.read(_CHUNK):
            told.update(chunk)
        self._target.write(told.digest())
        self._target.seek(0)

    def _take(self, count: int) -> bytes:
        while len(self._held) - self._at < count:
            self._more()
        found = self._held[self._at : self._at + count]
        self._skip(count)
        return found

    def _skip(self, count: int) -> None:
        self._at += count
        self._read += count

    def _more(self) -> None:
        chunk = self._source.read(_CHUNK)
        if not chunk:
            raise _corrupt("it ends too early")
        self._held, self._at = self._held[self._at :] + chunk, 0


def _made_by(delta: bytes) -> int:
    """How large the object is that a delta makes: its second number."""
    place, value = 0, 0
    for _ in range(2):
        value, shift = 0, 0
        while place < len(delta):
            byte = delta[place]
            value |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if not byte & 0x80:
                break
    return value


def _as_distance(distance: int) -> bytes:
    found = [distance & 0x7F]
    distance >>= 7
    while distance:
        distance -= 1
        found.append(0x80 | (distance & 0x7F))
        distance >>= 7
    return bytes(reversed(found))


def _corrupt(why: str) -> GitTrouble:
    return GitTrouble(GIT_CORRUPT, f"the host sent a pack that cannot be read: {why}")
